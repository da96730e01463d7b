"""What a cell is given: policy, prompts and held-out rows; here, those of task `tiny`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.evidence.desk import make_requests
from recipes.evidence.start import MAX_TOKENS, start_folder, tasks_of
from recipes.plain_torch.loop import Task
from rest_verl.viewing.tokens.entropy import load_tokenizer

MICRO_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Given:
    """The same for all arms of a seed."""

    model: Path
    prompts: Sequence[Task]
    held_out: Sequence[Task]
    facts: Mapping[str, Any]
    """About the start, `weights_sha256` among them."""
    max_tokens: int
    """Of a response."""
    micro_rows: int
    """Responses that go through the model at once."""
    bfcl: Callable[[Sequence[str]], str] | None = None
    """Answers to the held-out rows -> which are right by BFCL's own verdict, 1 or 0 each."""


def given_tiny(root: Path, seed: int, declared: Mapping[str, Any]) -> Given:
    """A warm-started policy of the seed's own; the requests are drawn for it."""
    start = start_folder(root, seed)
    tokenizer = load_tokenizer(str(start / "model"))
    return Given(
        model=start / "model",
        prompts=[Task(**row) for row in json.loads((start / "train.json").read_text())],
        held_out=tasks_of(make_requests(declared["held_out"], "held out"), tokenizer),
        facts=json.loads((start / "start.json").read_text()),
        max_tokens=MAX_TOKENS,
        micro_rows=MICRO_ROWS,
    )
