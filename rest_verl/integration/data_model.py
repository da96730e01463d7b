"""The model that rows are made for: its tokenizer, and how it writes calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rest_verl.integration.template_syntax import template_syntax


class DataModel(NamedTuple):
    """What the data scripts ask a model."""

    tokenizer: Any
    syntax: str
    """How it writes calls; "" where the prompts ask for a format."""


def load_data_model(folder: Path | None, style: str, longest: int | None) -> DataModel | None:
    """The model of a script's `--model`, or None.

    Args:
        folder: of Hugging Face's; weights are not read.
        style: the rows' prompt style.
        longest: of `--max-prompt-length`.

    Raises:
        ValueError: no such model, one whose template writes no calls that are read, or
            --max-prompt-length without --model.
    """
    if folder is None:
        if longest is not None:
            raise ValueError("--max-prompt-length counts a model's tokens: name it with --model")
        return None
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise ValueError(f"--model {folder}: no such folder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if style != "chat_template":
        return DataModel(tokenizer, "")
    mend = "take --prompt-style toolrl, whose prompts ask for a format"
    return DataModel(tokenizer, template_syntax(tokenizer, model=folder, mend=mend).name)
