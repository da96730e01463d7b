"""The rollouts to look at: plain text, verl's dumped JSON lines, TransferQueue dumps of a run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from rest_verl.files.json_lines import read_utf8
from rest_verl.files.responses import read_responses
from rest_verl.integration.run_syntax import asked_syntax
from rest_verl.syntax.terms import logged_terms
from rest_verl.viewing.tokens.dumps import read_dump
from rest_verl.viewing.tokens.rollout import (
    Rollout,
    as_text,
    finite,
    rollout_key,
)


def read_texts(paths: Iterable[Path]) -> list[Rollout]:
    """One rollout a file, bytes that are not UTF-8 as U+FFFD.

    Raises:
        ValueError: a file that is absent, no file, empty, or UTF-16 by its byte-order mark.
    """
    rollouts = []
    for path in paths:
        try:
            text = read_utf8(path).decode("utf-8", "replace")
        except (FileNotFoundError, IsADirectoryError):
            raise ValueError(f"{path}: no such file; --text takes files of model text") from None
        if not text:
            raise ValueError(f"{path}: is empty, so there is no token to show")
        rollouts.append(Rollout(name=path.name, text=text))
    return rollouts


def read_rollouts(path: Path, limit: int | None = None) -> list[Rollout]:
    """The first `limit` rollouts (default: all) of a dump of verl's.

    Args:
        path: A `<step>.jsonl` of `trainer.rollout_data_dir` or `validation_data_dir`, or that
            folder (its last step is read); a `tq_batch.pt` of `skip.rollout_tq`; a checkpoint of
            the asynchronous trainers (`global_step_*`, or the `transfer_queue` in it).

    Raises:
        ValueError: none of these, or damaged; the message names the file (and line).
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; --rollouts takes a dump of verl's")
    path = newest_step(path)
    if path.suffix == ".jsonl":
        lines = islice(read_responses(path), limit)
        rollouts = [_rollout(record, number) for number, record in lines]
    else:
        rollouts = read_dump(path)[:limit]
    if not rollouts:
        raise ValueError(f"{path}: holds no rollouts")
    return rollouts


def newest_step(path: Path) -> Path:
    """The last step's file in a folder of `<step>.jsonl`; any other path as it is."""
    steps = [file for file in path.glob("*.jsonl") if file.stem.isdecimal()]
    return max(steps, key=lambda file: int(file.stem), default=path)


def _rollout(record: dict[str, Any], number: int) -> Rollout:
    prompt, key, step = record.get("input"), record.get("uid"), record.get("step")
    prompt = prompt if isinstance(prompt, str) else None
    name = key if isinstance(key, str) else f"line {number}"
    group, session = rollout_key(key) if isinstance(key, str) else (prompt, name)
    return Rollout(
        name=name,
        text=record["output"],
        prompt=prompt,
        score=finite(record.get("score")),
        terms=logged_terms(record),
        ground_truth=as_text(record.get("gts")),
        syntax=asked_syntax(None, record.get("gts")),
        group=group,
        session=session,
        step=step if type(step) is int else None,
    )
