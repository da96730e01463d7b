"""What ResT keeps in a checkpoint of verl's: the clock, and the averages of region entropies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.files.atomic import write_json

STATE_FILE = "rest_state.json"


def write_state(folder: Path, clock: Clock, memory: EntropyMemory) -> None:
    """Writes the state into verl's folder of one checkpoint (`global_step_*`)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STATE_FILE, {"clock": clock.state(), "entropy": memory.state()})


def read_state(folder: Path | None) -> tuple[Clock | None, Mapping[str, float]]:
    """Clock and averages in a checkpoint's folder; None and nothing where it has none of ResT's.

    Raises:
        ValueError: a state file that cannot be read; the message names it.
    """
    path = None if folder is None else folder / STATE_FILE
    if path is None or not path.is_file():
        return None, {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        memory = EntropyMemory(share=0.0)
        memory.load(state["entropy"])  # which refuses what is none
        return Clock.from_state(state["clock"]), memory.state()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: no state of ResT ({error}); resume from another checkpoint, or remove the "
            "file to begin its averages and clock anew"
        ) from error


def checkpoint_to_resume(config: DictConfig) -> Path | None:
    """The `global_step_*` folder that verl's trainer will resume from, by verl's own rule.

    Raises:
        ValueError: a path that verl will refuse, said before any worker starts.
    """
    trainer: Any = config.trainer
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "resume_path":
        path = str(trainer.resume_from_path)
        if not re.search(r"global_step_[0-9]+$", path):
            raise ValueError(
                f"trainer.resume_from_path={path}: trainer.resume_mode=resume_path needs the path "
                "of a checkpoint that ends in global_step_<step>"
            )
        return Path(path).absolute()
    latest = find_latest_ckpt_path(str(Path(trainer.default_local_dir).absolute()))
    return None if latest is None else Path(latest)


def step_of(folder: Path) -> int:
    """The step that a checkpoint's folder is of."""
    return int(folder.name.rpartition("global_step_")[2])
