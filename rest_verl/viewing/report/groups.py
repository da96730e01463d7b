"""Runs by name: those that share a name are seeds of one setting, drawn as a mean and a band."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rest_verl.viewing.report.metrics import series
from rest_verl.viewing.report.sources import Run, read_run
from rest_verl.viewing.text import visible_text

MAX_NAMES = 8
"""Names in one report: as many as there are colours that can be told apart."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One metric of a group over the steps; the lists are of one length."""

    steps: list[int]
    values: list[float]
    """The mean over the group's runs that have a value at the step."""
    low: list[float]
    """The lowest of them; equal to `values` for a single run."""
    high: list[float]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in nothing but their seed."""

    name: str
    runs: tuple[Run, ...]

    def line(self, names: Sequence[str]) -> Line | None:
        """The first of `names` that a run has, up to the last step that all runs came to."""
        last = self.last_shared_step
        by_step: dict[int, list[float]] = {}
        for run in self.runs:
            for step, value in zip(*series(run.records, names), strict=True):
                if step <= last:
                    by_step.setdefault(step, []).append(value)
        if not by_step:
            return None
        steps = sorted(by_step)
        return Line(
            steps=steps,
            # Divided first: a sum of huge values would overflow.
            values=[sum(v / len(by_step[s]) for v in by_step[s]) for s in steps],
            low=[min(by_step[step]) for step in steps],
            high=[max(by_step[step]) for step in steps],
        )

    @property
    def last_shared_step(self) -> int:
        """The last step of the shortest run: beyond it a mean would be of fewer runs."""
        return min(int(run.records[-1]["step"]) for run in self.runs)

    @property
    def remarks(self) -> list[str]:
        """What could not be read in its runs, and where they end if not together."""
        many = len(self.runs) > 1
        remarks = [
            f"{f'Run {number}: ' if many else ''}{remark}"
            for number, run in enumerate(self.runs, start=1)
            for remark in run.remarks
        ]
        ends = [int(run.records[-1]["step"]) for run in self.runs]
        if len(set(ends)) > 1:
            remarks.append(
                f"Its runs end at steps {', '.join(map(str, ends))}: shown up to step {min(ends)}."
            )
        return remarks


def read_groups(arguments: Sequence[str | Path]) -> list[Group]:
    """Reads the runs, in groups by name, in the order in which the names first stand.

    Args:
        arguments: `PATH` or `NAME=PATH` each (see `split_argument`). Runs given the same NAME
            form one group; a run without a name is a group by itself, called after its folder.

    Raises:
        FileNotFoundError: a run is not there, or has no metrics.
        ValueError: a run cannot be read, or there are more than MAX_NAMES names.
    """
    named: dict[str, list[Run]] = {}
    paths: dict[str, Path] = {}
    for argument in arguments:
        name, path = split_argument(argument)
        run = read_run(path, name)
        if name is None:
            paths[str(path)] = path
        named.setdefault(f"={name}" if name else str(path), []).append(run)
    if len(named) > MAX_NAMES:
        raise ValueError(
            f"{len(named)} names are more than can be told apart: give {MAX_NAMES} at most "
            "(runs that differ in their seed can share one: name=path name=path)"
        )
    short = _distinct_names(paths)
    return [
        Group(name=visible_text(short.get(key, key[1:])), runs=tuple(runs))
        for key, runs in named.items()
    ]


def split_argument(argument: str | Path) -> tuple[str | None, Path]:
    """`"name=path"` in its parts, at the first "=" with something there behind it.

    A path that is there, or has "/" before the "=", is no name.

    Raises:
        ValueError: name or path is empty.
        FileNotFoundError: there is nothing by that path.
    """
    text = str(argument)
    places = [place for place, letter in enumerate(text) if letter == "="]
    splits = [(text[:place], text[place + 1 :]) for place in places if "/" not in text[:place]]
    if isinstance(argument, Path) or not splits or Path(text).exists():
        return None, Path(text)
    for name, path in splits:
        if name and path and Path(path).exists():
            return name, Path(path)
    name, path = splits[0]
    if not name or not path:
        raise ValueError(f"{text!r}: write a run as PATH or NAME=PATH")
    raise FileNotFoundError(
        f"{text!r}: there is no {path!r}; write a run as PATH or NAME=PATH, and a PATH that has = "
        "in its first part as ./PATH"
    )


def _distinct_names(paths: dict[str, Path]) -> dict[str, str]:
    """For each path its last part, or as many parts as tell it from the others."""
    parts = {key: path.resolve().parts for key, path in paths.items()}
    names = {}
    for key, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = next(
            n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others)
        )
        names[key] = "/".join(own[-length:])
    return names
