"""How many tokens a prompt has with the tools that its row brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def prompt_length(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    template_kwargs: Mapping[str, Any],
) -> int:
    """Tokens of the chat as the template shows it to the model, tools and all.

    Args:
        tokenizer: of Hugging Face's, with a chat template.
        template_kwargs: `data.apply_chat_template_kwargs`.
    """
    text = tokenizer.apply_chat_template(
        messages,
        tools=tools,
        **{**template_kwargs, "add_generation_prompt": True, "tokenize": False},
    )
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])
