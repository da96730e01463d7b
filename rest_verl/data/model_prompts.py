"""What a model makes of rows: how long their prompts are to it, tools included."""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_verl.prompts.template import prompt_ids


def prompt_length(row: Mapping[str, Any], tokenizer: Any) -> int:
    """Tokens of a row's prompt as the model's chat template writes it.

    Raises:
        ValueError: the template refuses it; names the row.
    """
    info = row["extra_info"]
    try:
        return len(prompt_ids(tokenizer, row["prompt"], info.get("tools")))
    except ValueError as error:
        mend = "take another --prompt-style, or leave out --max-prompt-length"
        raise ValueError(f"{info['id']}: {error}; {mend}") from error


def leave_out_long(
    splits: Mapping[str, list[dict[str, Any]]], tokenizer: Any, longest: int
) -> dict[str, int]:
    """Takes the rows with longer prompts out of `splits`; their ids and lengths.

    Raises:
        ValueError: no row is left.
    """
    too_long: dict[str, int] = {}
    for rows in splits.values():
        lengths = [prompt_length(row, tokenizer) for row in rows]
        measured = list(zip(rows, lengths, strict=True))
        too_long |= {row["extra_info"]["id"]: n for row, n in measured if n > longest}
        rows[:] = [row for row, length in measured if length <= longest]
    if not any(splits.values()):
        raise ValueError(f"no prompt has at most {longest} tokens; raise --max-prompt-length")
    return too_long


def counts_by_category(
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
) -> dict[str, dict[str, int]]:
    """category -> rows in each split, categories in the order of the rows."""
    counts: dict[str, dict[str, int]] = {}
    for split, rows in splits.items():
        for row in rows:
            category = row["extra_info"]["category"]
            counts.setdefault(category, dict.fromkeys(splits, 0))[split] += 1
    return counts
