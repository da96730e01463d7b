"""The rollouts to look at: plain text, verl's dumped JSON lines, TransferQueue dumps of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One response with what its source knows about it; what it does not know is None.

    Either `text` is given or `token_ids` are; arrays are aligned with `token_ids`.
    """

    name: str
    """What to call it: a file's name, or verl's key of the rollout."""
    text: str | None = None
    prompt: str | None = None
    token_ids: np.ndarray | None = None
    """Sampled ids, observations among them, (T,)."""
    prompt_ids: np.ndarray | None = None
    response_mask: np.ndarray | None = None
    """Non-zero where the policy sampled the token, (T,)."""
    entropy: np.ndarray | None = None
    """The old policy's entropy (nats), (T,)."""
    advantage: np.ndarray | None = None
    """The advantage of each token, (T,)."""
    score: float | None = None
    format_ok: bool | None = None
    """The reward's verdict on the form."""
    ground_truth: str | None = None
    group: str | None = None
    """Rollouts of one prompt share it."""
    session: str | None = None
    """Outputs of one conversation share it."""
    step: int | None = None
    """The training step that it was sampled at."""


def read_texts(paths: Iterable[Path]) -> list[Rollout]:
    """One rollout a file, bytes that are not UTF-8 as U+FFFD.

    Raises:
        ValueError: a file that is absent, no file, or empty.
    """
    rollouts = []
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8", "replace")
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
        rollouts = _read_json_lines(path, limit)
    else:
        from rest_verl.viewing.view_dumps import read_dump

        rollouts = read_dump(path)[:limit]
    if not rollouts:
        raise ValueError(f"{path}: holds no rollouts")
    return rollouts


def newest_step(path: Path) -> Path:
    """The last step's file in a folder of `<step>.jsonl`; any other path as it is."""
    steps = [file for file in path.glob("*.jsonl") if file.stem.isdecimal()]
    return max(steps, key=lambda file: int(file.stem), default=path)


def rollout_key(key: str) -> tuple[str, str]:
    """Group and session of verl's key `{uid}_{session}_{output}`."""
    session = key.rsplit("_", 1)[0]
    return session.rsplit("_", 1)[0], session


def finite(value: Any) -> float | None:
    """`value` if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def format_verdict(parts: Mapping[str, Any]) -> bool | None:
    """The reward's verdict on the form, where its parts hold one (`format_ok`)."""
    value = parts.get("format_ok")
    return bool(value) if isinstance(value, bool | int | float) else None


def as_text(value: Any) -> str | None:
    """A ground truth as it stands, or as indented JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _read_json_lines(path: Path, limit: int | None) -> list[Rollout]:
    rollouts: list[Rollout] = []
    lines = path.read_bytes().split(b"\n")  # only "\n" ends a line: texts may hold U+2028
    for number, line in enumerate(lines, start=1):
        if limit is not None and len(rollouts) == limit:
            break
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # no newline behind it: the run is still writing, or was cut
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
        format_ok=format_verdict(record),
        ground_truth=as_text(record.get("gts")),
        group=group,
        session=session,
        step=step if type(step) is int else None,
    )
