"""Finds what a run wrote its metrics to, and reads it: JSON lines or tensorboard's events."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rest_verl.files.json_lines import read_utf8
from rest_verl.files.run_folder import METRICS_FILES, RUN_FILE, open_run
from rest_verl.viewing.report.metrics import NoStepYet, Record, load_metrics, merge_steps, series

EVENTS = "events.out.tfevents"
"""How the names of tensorboard's event files begin."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known of one run."""

    name: str
    records: list[Record]
    remarks: list[str]
    """What in its files could not be read."""
    summary: dict[str, Any] = field(default_factory=dict)
    """`summary.json`: measures before and after, preset, seed; empty where there is none."""
    samples: list[Any] = field(default_factory=list)
    """`samples.json`: answers before and after; empty where there is none."""
    folder: Path | None = None
    """None: it is a single file."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """`run.json`: what ran; empty where there is none."""

    @property
    def preset(self) -> str | None:
        """The ResT preset, as far as it is known."""
        named = self.summary.get("preset", self.about.get("preset"))
        return named if isinstance(named, str) else None

    @property
    def options(self) -> Mapping[str, Any] | None:
        """Its `algorithm.rest`, or the preset alone; None: neither is known."""
        named = self.about.get("rest")
        if isinstance(named, Mapping):
            return named
        return None if self.preset is None else {"preset": self.preset}

    @property
    def total_steps(self) -> int | None:
        """The steps that it is to have; without `run.json` from its progress, as far as logged."""
        if type(steps := self.about.get("steps")) is int:
            return steps
        at, progress = series(self.records, ("rest/progress",))
        return round(at[-1] / progress[-1]) if at and progress[-1] > 0 else None


def find_metrics(run: Path) -> Path:
    """The metrics file of a run, or the folder itself where it holds tensorboard's events.

    Raises:
        FileNotFoundError: there is none.
        ValueError: several files could be meant.
    """
    if run.is_file():
        return run
    # Both stand there once a run is complete; one that goes on writes the second only.
    known = [run / name for name in METRICS_FILES if (run / name).is_file()]
    if known:
        return max(known, key=_newest_step)  # of two with the same, the first: it has all of them
    named = open_run(run).place("metrics") if (run / RUN_FILE).is_file() else run
    if named.is_file():  # verl's file logger was told to write elsewhere
        return named
    if any(run.glob(f"{EVENTS}.*")):
        return run
    others = sorted(run.glob("*.jsonl"))  # verl's own choice of name: PROJECT/EXPERIMENT.jsonl
    if len(others) > 1:
        names = ", ".join(path.name for path in others[:5])
        raise ValueError(f"{run} holds several metrics files ({names}): name one of them")
    return others[0] if others else run / METRICS_FILES[0]


def _newest_step(metrics: Path) -> float:
    """The last step in a metrics file; -1 where none is to be read yet."""
    try:
        records, _ = load_metrics(metrics)
    except (OSError, ValueError):
        return -1
    return float(records[-1]["step"])


def read_run(path: Path | str, name: str | None = None) -> Run:
    """Reads a run; what is damaged in its files is left out with a remark.

    Args:
        path: A folder with `metrics.jsonl`, with the file of verl's file logger, with a wandb
            history as JSON lines or with tensorboard's event files; or one of these files.
        name: How the report calls it (default: the folder's or file's name).

    Raises:
        FileNotFoundError: there are no metrics.
        ValueError: they hold no step, are not UTF-8, or the package tensorboard is needed and
            missing.
    """
    path = Path(path)
    if path.is_file() and path.name in METRICS_FILES:
        path = path.parent
    source = find_metrics(path)
    if source.is_dir() or source.name.startswith(EVENTS):
        records, remarks = _load_tensorboard(source)
    else:
        records, remarks = load_metrics(source)
    summary = samples = None
    about: Mapping[str, Any] = {}
    if path.is_dir():
        about = open_run(path).about if (path / RUN_FILE).is_file() else {}
        summary = _read_json(path / "summary.json", dict, remarks)
        samples = _read_json(path / "samples.json", list, remarks)
    resolved = path.resolve()
    return Run(
        name=name or (resolved.name if path.is_dir() else resolved.stem),
        records=records,
        remarks=remarks,
        summary=summary or {},
        samples=samples or [],
        folder=path if path.is_dir() else None,
        about=about,
    )


def _load_tensorboard(path: Path) -> tuple[list[Record], list[str]]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise ValueError(
            f"{path} holds tensorboard's event files, which need the package tensorboard: "
            "pip install tensorboard"
        ) from None
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a cut file is nothing to warn of
    events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    found = [
        (event.step, {tag: event.value})
        for tag in events.Tags()["scalars"]
        for event in events.Scalars(tag)
        if event.step >= 0
    ]
    records, remarks = merge_steps(found)
    if not records:
        raise NoStepYet(f"{path} holds no scalar yet: wait for the run's first step to end")
    return records, remarks


def _read_json(path: Path, kind: type, remarks: list[str]) -> Any:
    """The content of an optional file; None, with a remark if it is there, when it is unusable."""
    if not path.is_file():
        return None
    try:
        content = json.loads(read_utf8(path).decode("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        remarks.append(f"{path.name} is not valid JSON and was left out.")
        return None
    if not isinstance(content, kind):
        form = "an object" if kind is dict else "a list"
        remarks.append(f"{path.name} is not {form} and was left out.")
        return None
    return content
