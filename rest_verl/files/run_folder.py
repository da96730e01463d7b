"""A run's folder: what lies where in it, for all who write to it or look at it afterwards.

    run.json      trainer, preset, model, steps, clock, where the other files are, and of each start
                  its versions and commits
    config.yaml   verl's configuration, resolved
    verl_metrics.jsonl   by verl's file logger, as the run goes
    validation/, rollouts/   <step>.jsonl, as verl dumps them
    checkpoints/  verl's global_step_<step>

A run without `run.json`, of another trainer, is found by these names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_json
from rest_verl.files.json_lines import read_utf8

RUN_FILE, CONFIG_FILE = "run.json", "config.yaml"
METRICS_FILES = ("metrics.jsonl", "verl_metrics.jsonl")
"""What the recipes write: flat at the run's end, and by verl's file logger as it goes."""
VALIDATION, ROLLOUTS, CHECKPOINTS = "validation", "rollouts", "checkpoints"
_STEP = "global_step_"
_NEWEST = "latest_checkpointed_iteration.txt"
_OF_MODELS = ("actor", "merged_hf", "config.json")
"""In a checkpoint: verl's shards, what is made of them, or a model as it is."""
_LEVELS = 2
"""Below a folder of runs: verl names them PROJECT/EXPERIMENT."""


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """One run's folder."""

    path: Path
    about: Mapping[str, Any]
    """`run.json`; empty where there is none."""

    def place(self, what: str) -> Path:
        """Where a kind of file is, by its name in `run.json` or, without that, its usual name."""
        files = self.about.get("files")
        named = files.get(what) if isinstance(files, Mapping) else None
        return self.path / (named if isinstance(named, str) else what)

    def text(self, key: str) -> str | None:
        """A text of `run.json`."""
        value = self.about.get(key)
        return value if isinstance(value, str) and value else None

    @property
    def checkpoints(self) -> dict[int, Path]:
        """The complete checkpoints by step, in rising order."""
        folder = self.place(CHECKPOINTS)
        if not folder.is_dir():
            folder = self.path
        try:
            newest = int((folder / _NEWEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # verl names a checkpoint there once it is complete
            return {}
        # Of a checkpoint that verl has removed, the folder stays with what is not the model's.
        steps = {
            path.name.removeprefix(_STEP): path
            for path in folder.glob(f"{_STEP}*")
            if any((path / part).exists() for part in _OF_MODELS)
        }
        found = {int(step): path for step, path in steps.items() if step.isdecimal()}
        return {step: found[step] for step in sorted(found) if step <= newest}

    def model_near(self, step: int) -> tuple[int, str] | None:
        """The saved model whose step is nearest to `step`, the starting model's being 0.

        Returns:
            Its step, and a folder or a hub name; None where nothing is saved or known.
        """
        models: dict[int, str] = {at: str(path) for at, path in self.checkpoints.items()}
        if start := self.text("model"):
            models[0] = start
        if not models:
            return None
        nearest = min(models, key=lambda at: (abs(at - step), -at))
        return nearest, models[nearest]

    @property
    def dumps(self) -> Path | None:
        """The last step's rollouts or, without any, the last validation's answers."""
        for what in (ROLLOUTS, VALIDATION):
            if path := last_step(self.place(what)):
                return path
        return None


def dumped_steps(folder: Path) -> dict[int, Path]:
    """The `<step>.jsonl` in a folder, by step."""
    return {int(file.stem): file for file in folder.glob("*.jsonl") if file.stem.isdecimal()}


def last_step(folder: Path) -> Path | None:
    """The last of them."""
    steps = dumped_steps(folder)
    return steps[max(steps)] if steps else None


def open_run(path: Path) -> RunFolder:
    """The run in a folder.

    Raises:
        ValueError: there is none, or its `run.json` cannot be read.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder; name the folder of a run")
    run = RunFolder(path=path, about=_read_about(path / RUN_FILE))
    known = run.about or run.dumps or run.checkpoints or _has_metrics(path)
    if not known:
        found = [str(other.path) for other in find_runs(path)]
        hint = f"; it holds runs: name one, such as {found[0]}" if found else ""
        raise ValueError(f"{path}: not the folder of a run (no {RUN_FILE}, metrics or dumps){hint}")
    return run


def run_of(path: Path) -> RunFolder | None:
    """The run that a file or folder in a run's folder belongs to; None where none says so."""
    for folder in path.absolute().parents:
        if about := _read_about(folder / RUN_FILE):
            return RunFolder(path=folder, about=about)
    return None


def find_runs(folder: Path, levels: int = _LEVELS) -> Iterator[RunFolder]:
    """The runs below a folder, by name; what lies within a run is none.

    One whose `run.json` cannot be read is among them, with nothing about it.
    """
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            about = _read_about(path / RUN_FILE)
        except ValueError:
            yield RunFolder(path=path, about={})
            continue
        if about or _has_metrics(path):
            yield RunFolder(path=path, about=about)
        elif levels > 1:
            yield from find_runs(path, levels - 1)


def write_about(folder: Path, about: Mapping[str, Any], start: Mapping[str, Any]) -> None:
    """Writes `run.json`; `start` is added to the starts that an earlier one has."""
    path = folder / RUN_FILE
    starts = _read_about(path).get("starts", [])
    write_json(path, {**about, "starts": [*starts, start] if isinstance(starts, list) else [start]})


def _has_metrics(path: Path) -> bool:
    return any((path / name).is_file() for name in METRICS_FILES)


def _read_about(path: Path) -> Mapping[str, Any]:
    """A training run's `run.json`; nothing where there is none, or an evaluation's."""
    try:
        about = json.loads(read_utf8(path))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    if not isinstance(about, dict):
        raise ValueError(f"{path}: not a JSON object")
    return about if "trainer" in about else {}
