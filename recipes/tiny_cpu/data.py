"""The tasks of the small recipes: short BFCL rows, split once into four parts that never meet.

warm_start  supervised training of the starting model
train       ResT
validation  choosing the recipe's settings
held_out    the before/after table; nothing is chosen on it

Shares, lengths and answers are the tiny recipe's unless a caller gives others.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_verl.data import (
    BfclRow,
    BfclSource,
    PromptStyle,
    build_prompt,
    reference_answer,
    split_position,
    verl_row,
)
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset

CATEGORIES = ("simple_python", "multiple", "live_simple", "live_multiple")
SPLITS = ("warm_start", "train", "validation", "held_out")
SHARES = (0.45, 0.30, 0.10, 0.15)
SPLIT_SEED = 1
STYLE: PromptStyle = "compact"

MAX_PROMPT_TOKENS = 160
MAX_ANSWER_TOKENS = 64  # below the 80 that a response may have: room for a detour


@dataclass(frozen=True)
class Task:
    """One BFCL row as chat messages and a right answer."""

    row: BfclRow
    split: str
    messages: list[dict[str, str]]
    answer: str


def tiny_answer(row: BfclRow) -> str:
    """The row's right answer with the thought that the tiny starting model learns.

    It names no tool: a model this small, having written a name and a quote, takes itself to be in
    the call already.
    """
    return reference_answer(row, STYLE, f"I choose one of {len(row.functions)} tools.")


def read_tasks(
    shares: Sequence[float] = SHARES,
    answer: Callable[[BfclRow], str] = tiny_answer,
    seed: int = SPLIT_SEED,
) -> list[Task]:
    """All rows of CATEGORIES, each in its split; rows with the same question share a split.

    Args:
        shares: of SPLITS, in their order; they add up to 1.
        answer: a row's right answer.
        seed: of the split.
    """
    source = BfclSource.open(None)
    rows = [row for category in CATEGORIES for row in source.read(category)]
    edges = [sum(shares[: i + 1]) for i in range(len(shares) - 1)]
    splits = [SPLITS[bisect(edges, split_position(row.question_key, seed))] for row in rows]
    return [
        Task(row, split, build_prompt(row, STYLE), answer(row))
        for row, split in zip(rows, splits, strict=True)
    ]


def fitting(
    tasks: list[Task],
    tokenizer: Any,
    max_prompt_tokens: int = MAX_PROMPT_TOKENS,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> list[Task]:
    """The tasks whose prompt has at most so many tokens, and whose right answer has fewer."""

    def fits(task: Task) -> bool:
        prompt = tokenizer.apply_chat_template(task.messages, add_generation_prompt=True)
        return (
            len(prompt["input_ids"]) <= max_prompt_tokens
            and len(tokenizer(task.answer)["input_ids"]) < max_answer_tokens
        )

    return [task for task in tasks if fits(task)]


def in_split(tasks: list[Task], split: str) -> list[Task]:
    """The tasks of one split."""
    return [task for task in tasks if task.split == split]


def counts_by_split(tasks: list[Task]) -> dict[str, int]:
    """How many tasks each split has."""
    return {split: len(in_split(tasks, split)) for split in SPLITS}


def counts_line(tasks: list[Task]) -> str:
    """The same for the terminal."""
    return ", ".join(f"{count} {split}" for split, count in counts_by_split(tasks).items())


def verl_rows(tasks: list[Task], split: str) -> list[dict[str, Any]]:
    """The tasks of one split as rows for verl, `data_source` being the split.

    verl reports validation by `data_source`, so the parts stay apart in its log.
    """
    return [
        {**verl_row(task.row, STYLE, index=index, split=split), "data_source": split}
        for index, task in enumerate(in_split(tasks, split))
    ]


def write_start(folder: Path, tasks: list[Task], model: Any, tokenizer: Any) -> None:
    """What a run starts from: `data/` with parquet files for verl, and `model/`."""
    rows = {split: verl_rows(tasks, split) for split in SPLITS if split != "warm_start"}
    manifest = {"counts": counts_by_split(tasks), "data_version": tasks[0].row.version}
    write_dataset(folder / "data", rows, BFCL_EXTRA_INFO, manifest)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
