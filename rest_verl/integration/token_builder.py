"""verl's continuous-token builder for a model in a folder, as its rollouts use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def token_builder(model: Path, chat_template_kwargs: Mapping[str, Any]) -> Any:
    """verl's continuous-token builder for the model in a Hugging Face folder.

    Raises:
        ValueError: its tokenizer has no chat template.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # processes are forked later
    from transformers import AutoConfig, AutoTokenizer
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    tokenizer = AutoTokenizer.from_pretrained(model)
    if not tokenizer.chat_template:
        raise ValueError(f"{model}: its tokenizer has no chat template; add chat_template.jinja")
    return create_continuous_token_builder(
        tokenizer,
        hf_model_type=AutoConfig.from_pretrained(model).model_type,
        chat_template_kwargs=dict(chat_template_kwargs),
    )
