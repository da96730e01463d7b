"""A prompt as a model's chat template shows it, with the tools that its row brings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def prompt_ids(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    tools: str | None = None,
    template_kwargs: Mapping[str, Any] | None = None,
) -> list[int]:
    """The tokens of the chat, up to where the model's answer begins.

    Args:
        tokenizer: of Hugging Face's, with a chat template.
        messages: `{"role", "content"}` each.
        tools: a list in JSON; empty or None: no tools.
        template_kwargs: `data.apply_chat_template_kwargs`.

    Raises:
        ValueError: the template refuses them, or the tools are no JSON.
    """
    try:
        text = tokenizer.apply_chat_template(
            messages,
            tools=json.loads(tools) if tools else None,
            **{**(template_kwargs or {}), "add_generation_prompt": True, "tokenize": False},
        )
    except Exception as error:  # a template raises what it likes
        with_tools = " with extra_info.tools" if tools else ""
        raise ValueError(
            f"the model's chat template cannot show its prompt{with_tools}: "
            f"{type(error).__name__}: {error}"
        ) from error
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
