"""The rollouts to look at: plain text, verl's dumped JSON lines, TransferQueue dumps of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rest_verl.files.json_lines import read_lines, read_utf8
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
    is_text = path.suffix == ".jsonl"
    rollouts = _read_json_lines(path, limit) if is_text else read_dump(path)[:limit]
    if not rollouts:
        raise ValueError(f"{path}: holds no rollouts")
    return rollouts


def newest_step(path: Path) -> Path:
    """The last step's file in a folder of `<step>.jsonl`; any other path as it is."""
    steps = [file for file in path.glob("*.jsonl") if file.stem.isdecimal()]
    return max(steps, key=lambda file: int(file.stem), default=path)


def _read_json_lines(path: Path, limit: int | None) -> list[Rollout]:
    rollouts: list[Rollout] = []
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if limit is not None and len(rollouts) == limit:
            break
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):  # the run is still writing, or was cut
                break
            raise ValueError(f"{path}:{number}: not a line of JSON: {error}") from None
        if not isinstance(record, dict) or not isinstance(record.get("output"), str):
            raise ValueError(
                f'{path}:{number}: no rollout of verl\'s (an object with the text "output")'
            )
        rollouts.append(_rollout(record, number))
    return rollouts


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
