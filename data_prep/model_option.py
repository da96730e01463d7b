"""The options `--model` and `--max-prompt-length` of the scripts here."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from rest_verl.data.model_prompts import leave_out_long
from rest_verl.integration.template_syntax import template_syntax

ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the model, for its tokenizer: with chat_template, answers are written in "
        "the syntax of its chat template."
    ),
]
LengthOption = Annotated[
    int | None,
    typer.Option(
        help="Leave out rows whose prompt, tools included, has more tokens; needs --model."
    ),
]


class Model(NamedTuple):
    """What the scripts ask a model."""

    tokenizer: Any
    syntax: str
    """How it writes calls; "" where the prompts ask for a format."""


def load_model(folder: Path | None, style: str, longest: int | None) -> Model | None:
    """The model of `--model`, or None.

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
        return Model(tokenizer, "")
    mend = "take --prompt-style toolrl, whose prompts ask for a format"
    return Model(tokenizer, template_syntax(tokenizer, model=folder, mend=mend).name)


def check_lengths(
    splits: dict[str, list[dict[str, Any]]], model: Model | None, longest: int | None
) -> dict[str, Any]:
    """Takes rows that are too long out of `splits`; what the manifest says of the model."""
    if model is None:
        return {}
    about: dict[str, Any] = {"syntax": model.syntax or "toolrl"}
    if longest is not None:
        about["max_prompt_length"] = longest
        about["too_long"] = leave_out_long(splits, model.tokenizer, longest)
        if not any(splits.values()):
            raise ValueError(f"no prompt has at most {longest} tokens; raise --max-prompt-length")
    return about
