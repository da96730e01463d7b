"""Responses of a run as verl dumped them, with what was logged of each.

verl writes two kinds of dump. `<step>.jsonl` (`trainer.rollout_data_dir`, `validation_data_dir`)
holds text without special tokens. `tq_batch.pt` (`skip.rollout_tq`) holds what the trainer sampled:
ids, masks, the sampler's log-probabilities, and the row of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rest_verl.files.responses import read_responses, say_cut
from rest_verl.integration.run_syntax import asked_syntax
from rest_verl.viewing.tokens.dumps import BATCH_FILE, read_batch
from rest_verl.viewing.tokens.rollout import finite, rollout_key

_OF_VALIDATION = "reward"
"""A key that verl writes into the lines of a validation, and into no others."""
_NO_PARTS = {"input", "output", "gts", "step", "uid", _OF_VALIDATION}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One response; what its dump does not hold is None. Arrays are aligned with `token_ids`."""

    name: str
    """verl's key `{uid}_{session}_{output}`, or the number of the line."""
    where: str
    """File, and line or key: for messages."""
    group: str | None = None
    """The responses to one prompt share it."""
    session: str
    """The outputs of one conversation share it."""
    output: int = 0
    """The number of this output in its session."""
    text: str | None = None
    """Without special tokens; where there is none, there are ids."""
    prompt: str | None = None
    token_ids: np.ndarray | None = None
    """Observations among them, int64 (T,)."""
    prompt_ids: np.ndarray | None = None
    response_mask: np.ndarray | None = None
    """Non-zero where the policy sampled the token, (T,)."""
    sampler_log_prob: np.ndarray | None = None
    """What the sampler says, float32 (T,)."""
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """Of the reward, by name."""
    ground_truth: Any = None
    extra_info: Mapping[str, Any] | None = None
    """Of the data set's row."""
    messages: Sequence[Mapping[str, Any]] | None = None
    """The prompt of the data set's row."""
    step: int | None = None
    """The training step that the reward's schedule is read at."""
    trained_at: int | None = None
    """The training step that its dump is of."""
    policy_step: int | None = None
    """The training step whose policy sampled it: what the weights' clock is read at."""
    is_validation: bool = False
    """Whether the dump shows that it is of a validation."""

    @property
    def asked(self) -> str:
        """The syntax that its prompt asks for; "": the model's own."""
        return asked_syntax(self.extra_info, self.ground_truth)


def dump_files(path: Path) -> list[Path]:
    """The dumps at `path`, in the order of their steps.

    Args:
        path: a dump; a folder of `<step>.jsonl`; or a folder above such folders or above
            `tq_batch.pt`, such as a run's.

    Raises:
        ValueError: there is none.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder; name a dump of verl's")
    if path.is_file():
        if path.name == BATCH_FILE or path.suffix == ".jsonl":
            return [path]
        raise ValueError(f"{path}: no dump of verl's: those are <step>.jsonl or {BATCH_FILE}")
    found = _steps(path.glob("*.jsonl"))
    if not found:
        found = _steps(path.rglob("*.jsonl")) + sorted(path.rglob(BATCH_FILE))
    if not found:
        raise ValueError(
            f"{path}: holds no dump of verl's (<step>.jsonl or {BATCH_FILE}); a run writes "
            "its rollouts where trainer.rollout_data_dir says"
        )
    return found


def _steps(paths: Any) -> list[Path]:
    steps = [path for path in paths if path.stem.isdecimal()]
    return sorted(steps, key=lambda path: (str(path.parent), int(path.stem)))


def read_recorded(path: Path, on_cut: Callable[[Path], None] = say_cut) -> list[Recorded]:
    """The responses of one dump, in its order; `on_cut` is called where the last is cut off.

    Raises:
        ValueError: it is damaged or holds none; the message names the file (and line).
    """
    if path.name == BATCH_FILE:
        rows = read_batch(path, partial(_from_queue, path))
    else:
        lines = read_responses(path, on_cut)
        rows = [_from_line(record, f"{path}:{number}", number) for number, record in lines]
    if not rows:
        raise ValueError(f"{path}: holds no responses")
    return rows


def last_outputs(rows: Sequence[Recorded]) -> dict[str, Recorded]:
    """The last output of each session: verl's reward is of that, and holds for the others too."""
    return {row.session: row for row in sorted(rows, key=lambda row: row.output)}


def _from_line(record: Mapping[str, Any], where: str, number: int) -> Recorded:
    prompt, step = record.get("input"), record.get("step")
    prompt = prompt if isinstance(prompt, str) else None
    step = step if type(step) is int else None
    parts = {key: finite(value) for key, value in record.items() if key not in _NO_PARTS}
    named = {"name": f"line {number}", "session": f"line {number}", "group": prompt}
    return Recorded(
        **(_named(record["uid"]) if isinstance(record.get("uid"), str) else named),
        where=where,
        text=record["output"],
        prompt=prompt,
        score=finite(record.get("score")),
        parts={key: value for key, value in parts.items() if value is not None},
        ground_truth=record.get("gts"),
        step=step,
        trained_at=step,
        policy_step=step,
        is_validation=_OF_VALIDATION in record,
    )


def _named(key: str) -> dict[str, Any]:
    group, session = rollout_key(key)
    output = key.rpartition("_")[2]
    return {
        "name": key,
        "group": group,
        "session": session,
        "output": int(output) if output.isdecimal() else 0,
    }


def _from_queue(
    path: Path, key: str, tag: Mapping[str, Any], row: Mapping[str, Any], saved: Mapping[str, Any]
) -> Recorded:
    step, sampled_by = row.get("global_steps"), tag.get("min_global_steps")
    current = saved.get("global_steps", step)
    reward_info = (row.get("extra_fields") or {}).get("reward_extra_info") or {}
    parts = {name: finite(_plain(value)) for name, value in reward_info.items()}
    scores = row.get("rm_scores")
    return Recorded(
        **_named(key),
        where=f"{path}: {key}",
        token_ids=row["responses"].numpy(),
        prompt_ids=row["prompts"].numpy(),
        response_mask=row["response_mask"].numpy(),
        sampler_log_prob=_floats(row.get("rollout_log_probs")),
        score=None if scores is None else finite(float(scores.sum())),
        parts={name: value for name, value in parts.items() if value is not None},
        ground_truth=(row.get("reward_model") or {}).get("ground_truth"),
        extra_info=row.get("extra_info"),
        messages=row.get("raw_prompt"),
        step=step,
        trained_at=current,
        # as `rest_verl.integration.samples.sample_steps` has it
        policy_step=current if sampled_by is None else min(current, sampled_by + 1),
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _floats(column: Any) -> np.ndarray | None:
    return column.float().numpy() if isinstance(column, torch.Tensor) else None
