"""Writes the rows of an environment: train.parquet, validation.parquet and a manifest.

    python -m recipes.own_tools.make_rows --environment shop --output-dir data/shop

To copy: put your own environment and its tasks into TASKS.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from recipes.own_tools.conversations import shop_conversations
from recipes.own_tools.customer import visits  # importing an environment registers it
from rest_verl.data import PromptStyle, environment_row, validation_keys
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

Tasks = dict[str, dict[str, Any]]
"""A name for each task, and what the environment's class is given."""


def shop_tasks() -> Tasks:
    return {visit.dialogue.id: visit.task for visit in shop_conversations()}


TASKS: dict[str, Callable[[], Tasks]] = {"shop": shop_tasks, "shop_customer": visits}
"""By the name that the environment is registered under."""

VAL_FRACTION = 0.2
SEED = 0
"""Of the split, which goes by the tasks' names."""


def make_rows(environment: str, style: PromptStyle) -> dict[str, list[dict[str, Any]]]:
    """The rows of each split.

    Raises:
        ValueError: a task that its environment refuses; names it.
    """
    tasks = TASKS[environment]()
    held_out = validation_keys(tasks, VAL_FRACTION, SEED)
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for index, (name, task) in enumerate(tasks.items()):
        split = "validation" if name in held_out else "train"
        row = environment_row(environment, task, style, index=index, id=name, split=split)
        splits[split].append(row)
    return splits


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--environment", choices=TASKS, default=next(iter(TASKS)))
    parser.add_argument("--prompt-style", choices=get_args(PromptStyle), default="chat_template")
    parser.add_argument("--output-dir", type=Path, required=True)
    given = parser.parse_args(argv)
    try:
        splits = make_rows(given.environment, given.prompt_style)
        manifest = {"environment": given.environment, "style": given.prompt_style, "seed": SEED}
        write_dataset(given.output_dir, splits, ENVIRONMENT_EXTRA_INFO, manifest)
    except (ValueError, OSError) as error:
        print(f"make_rows: {error}", file=sys.stderr)
        return 1
    counts = ", ".join(f"{len(rows)} {split}" for split, rows in splits.items())
    print(f"{given.environment}: {counts} rows, written to {given.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
