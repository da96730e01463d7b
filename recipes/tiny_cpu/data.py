"""The tiny recipe's tasks: short BFCL rows, split once into four parts that never meet.

warm_start  supervised training of the starting model
train       ResT
validation  choosing the recipe's settings
held_out    the before/after table; nothing is chosen on it
"""

from bisect import bisect
from dataclasses import dataclass
from typing import Any

from rest_verl.data import (
    BfclRow,
    BfclSource,
    build_prompt,
    reference_answer,
    split_position,
    verl_row,
)

CATEGORIES = ("simple_python", "multiple", "live_simple", "live_multiple")
SPLITS = ("warm_start", "train", "validation", "held_out")
SHARES = (0.45, 0.30, 0.10, 0.15)
SPLIT_SEED = 1
STYLE = "compact"

MAX_PROMPT_TOKENS = 160
MAX_ANSWER_TOKENS = 64  # below the 80 that a response may have: room for a detour


@dataclass(frozen=True)
class Task:
    """One BFCL row as chat messages and a right answer."""

    row: BfclRow
    split: str
    messages: list[dict[str, str]]
    answer: str


def thought(num_tools: int) -> str:
    """What the starting model learns to think.

    It names no tool: a model this small, having written a name and a quote, takes itself to be in
    the call already.
    """
    return f"I choose one of {num_tools} tools."


def read_tasks() -> list[Task]:
    """All rows of CATEGORIES, each in its split; rows with the same question share a split."""
    source = BfclSource.open(None)
    rows = [row for category in CATEGORIES for row in source.read(category)]
    return [_task(row) for row in rows]


def _task(row: BfclRow) -> Task:
    edges = [sum(SHARES[: i + 1]) for i in range(len(SHARES) - 1)]
    split = SPLITS[bisect(edges, split_position(row.question_key, SPLIT_SEED))]
    answer = reference_answer(row, STYLE, thought(len(row.functions)))
    return Task(row, split, build_prompt(row, STYLE), answer)


def fitting(tasks: list[Task], tokenizer: Any) -> list[Task]:
    """The tasks whose prompt and answer stay within the recipe's lengths."""

    def fits(task: Task) -> bool:
        prompt = tokenizer.apply_chat_template(task.messages, add_generation_prompt=True)
        return (
            len(prompt["input_ids"]) <= MAX_PROMPT_TOKENS
            and len(tokenizer(task.answer)["input_ids"]) < MAX_ANSWER_TOKENS
        )

    return [task for task in tasks if fits(task)]


def verl_rows(tasks: list[Task], split: str) -> list[dict[str, Any]]:
    """The tasks of one split as rows for verl, `data_source` being the split.

    verl reports validation by `data_source`, so the parts stay apart in its log.
    """
    chosen = [task.row for task in tasks if task.split == split]
    return [
        {**verl_row(row, STYLE, index=index, split=split), "data_source": split}
        for index, row in enumerate(chosen)
    ]
