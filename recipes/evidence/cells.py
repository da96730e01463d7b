"""The study's cells as files: read, held to the declaration, and which of the declared are missing.

A cell is one training run: a task, a reward, an arm (how tokens are weighted) and a seed. Its file
carries the SHA-256 of the declaration under which it was run: that of its task alone, so that a
task can be declared after another was run.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
DECLARATION, CELLS = HERE / "declaration.json", HERE / "cells"
REFERENCE = "uniform"
"""The arm that the others are compared with: plain GRPO."""


class Key(NamedTuple):
    """Which cell."""

    task: str
    reward: str
    arm: str
    seed: int

    def path(self, folder: Path) -> Path:
        """Where the cell's file lies."""
        return folder / self.task / self.reward / self.arm / f"seed_{self.seed}.json"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What was declared of one task."""

    name: str
    rewards: tuple[str, ...]
    arms: tuple[str, ...]
    first: tuple[str, ...]
    """The arms that are run first."""
    seeds: tuple[int, ...]
    steps: int
    evaluate_every: int
    settings: Mapping[str, Any]
    """All that was declared of it."""
    digest: str
    """SHA-256 of all that was declared of it, however it is laid out."""

    @property
    def evaluation_steps(self) -> list[int]:
        """Before the first step, then regularly, and after the last."""
        return sorted({*range(0, self.steps, self.evaluate_every), self.steps})

    def declared(self) -> Iterator[Key]:
        """Every declared cell, in the order of running: what is complete is whole seeds."""
        later = tuple(arm for arm in self.arms if arm not in self.first)
        for arms in (self.first, later):
            for seed in self.seeds:
                for reward in self.rewards:
                    for arm in arms:
                        yield Key(self.name, reward, arm, seed)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the policy answered to the held-out rows after some step."""

    step: int
    exact_N: np.ndarray
    """Which of the N rows are exact matches, 0 or 1."""
    bfcl_N: np.ndarray | None
    """Which are right by BFCL's own verdict, 0 or 1; None where the task has none."""
    reward: float
    """Mean over the rows."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run."""

    key: Key
    start: str
    """SHA-256 of the weights that it started from."""
    learning_rate: float
    seconds: float
    steps: Sequence[Mapping[str, Any]]
    """What was logged of each step, 1 to the last."""
    evaluations: Sequence[Evaluation]
    """By step; those of `Task.evaluation_steps`."""

    def logged(self, name: str) -> list[float | None]:
        """A number of each step (`entropy/think` of a part); None where it was not defined."""
        first, _, part = name.partition("/")
        values = [step.get(first) for step in self.steps]
        if part:
            values = [value.get(part) if isinstance(value, dict) else None for value in values]
        numbers = [value if isinstance(value, int | float) else math.nan for value in values]
        return [value if math.isfinite(value) else None for value in numbers]


@dataclass(frozen=True, kw_only=True)
class Study:
    """All that was declared, and all that was run of it."""

    tasks: Mapping[str, Task]
    cells: Mapping[Key, Cell]

    def of(self, task: str, reward: str, arm: str) -> dict[int, Cell]:
        """Seed -> cell, by seed."""
        keys = [Key(task, reward, arm, seed) for seed in sorted(self.tasks[task].seeds)]
        return {key.seed: self.cells[key] for key in keys if key in self.cells}

    def not_run(self, task: str) -> list[Key]:
        """The declared cells of a task that have no file, by reward, arm and seed as declared."""
        declared = self.tasks[task]
        keys = [
            Key(task, reward, arm, seed)
            for reward in declared.rewards
            for arm in declared.arms
            for seed in declared.seeds
        ]
        return [key for key in keys if key not in self.cells]


def read_study(declaration: Path, folder: Path) -> Study:
    """Reads the declaration and every cell under `folder`.

    Raises:
        ValueError: no declaration; or any cell that was run under another one, was not declared,
            is not whole, has other rows than the rest of its task, or began from other weights than
            the rest of its seed. All of them are named.
    """
    tasks = read_declaration(declaration)
    cells: dict[Key, Cell] = {}
    rows: dict[str, int] = {}
    starts: dict[tuple[str, int], str] = {}
    refused = []
    for path in sorted(folder.rglob("*.json")):
        try:
            cell = _read_cell(path, folder, tasks)
            counts = {len(evaluation.exact_N) for evaluation in cell.evaluations}
            wanted = rows.setdefault(cell.key.task, min(counts))
            if counts != {wanted} or not wanted:
                raise ValueError(f"{sorted(counts)} held-out rows, {wanted} in the task's first")
            if cell.start != starts.setdefault((cell.key.task, cell.key.seed), cell.start):
                raise ValueError(
                    f"began from other weights than its seed's first cell ({cell.start[:12]}…): "
                    "arms are compared from one start; run the seed's cells on one machine"
                )
        except ValueError as error:
            refused.append(f"{path}: {error}")
        else:
            cells[cell.key] = cell
    if refused:
        raise ValueError("\n".join(refused))
    return Study(tasks=tasks, cells=cells)


def read_declaration(path: Path) -> dict[str, Task]:
    """The declared tasks by name.

    Raises:
        ValueError: no such file, or it does not say what a task is.
    """
    try:
        declared = json.loads(path.read_bytes())["tasks"]
        return {name: _task(name, task) for name, task in declared.items()}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a declaration: {error!r}") from None


def _task(name: str, declared: Mapping[str, Any]) -> Task:
    return Task(
        name=name,
        rewards=tuple(declared["rewards"]),
        arms=tuple(declared["arms"]),
        first=tuple(declared.get("first", declared["arms"])),
        seeds=tuple(map(int, declared["seeds"])),
        steps=int(declared["steps"]),
        evaluate_every=int(declared["evaluate_every"]),
        settings=declared,
        digest=hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest(),
    )


def _read_cell(path: Path, folder: Path, tasks: Mapping[str, Task]) -> Cell:
    """Raises ValueError, without the file's name."""
    try:
        record = json.loads(path.read_bytes())
        under = record["declaration"]
        key = Key(record["task"], record["reward"], record["arm"], record["seed"])
        cell = Cell(
            key=key,
            start=str(record["start"]["weights_sha256"]),
            learning_rate=float(record["learning_rate"]),
            seconds=float(record["seconds"]),
            steps=record["steps"],
            evaluations=[_evaluation(evaluation) for evaluation in record["evaluations"]],
        )
        numbers = [step["step"] for step in cell.steps]
        rewards = [float(step["reward"]) for step in cell.steps]
    except KeyError as error:
        raise ValueError(f"no {error} in it") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"not a cell: {error}") from None
    task = tasks.get(key.task)
    if task is None or key not in list(task.declared()):
        raise ValueError(f"a cell that was not declared: {key}")
    if under != task.digest:
        raise ValueError(
            f"run under declaration {str(under)[:12]}…, not under this one, {task.digest[:12]}…: "
            "restore that declaration, or move the file away and run the cell again"
        )
    if path != key.path(folder):
        raise ValueError(f"holds the cell of {key.path(folder)}")
    if numbers != list(range(1, task.steps + 1)):
        raise ValueError(f"has {len(numbers)} steps, not 1 to {task.steps} as declared")
    if not np.isfinite(rewards).all():
        raise ValueError("a step's reward is not a number")
    if [evaluation.step for evaluation in cell.evaluations] != task.evaluation_steps:
        raise ValueError(f"was not evaluated at the declared steps {task.evaluation_steps}")
    return cell


def _evaluation(record: Mapping[str, Any]) -> Evaluation:
    exact_N, bfcl = _marks(record["exact"]), record.get("bfcl")
    bfcl_N = None if bfcl is None else _marks(bfcl)
    if bfcl_N is not None and len(bfcl_N) != len(exact_N):
        raise ValueError(f"{len(exact_N)} rows in exact, {len(bfcl_N)} in bfcl")
    reward = float(record["reward"])
    if not math.isfinite(reward):
        raise ValueError("an evaluation's reward is not a number")
    return Evaluation(step=record["step"], exact_N=exact_N, bfcl_N=bfcl_N, reward=reward)


def _marks(text: str) -> np.ndarray:
    """One character a row: 1 for right, 0 for wrong."""
    if set(text) - {"0", "1"}:
        raise ValueError(f"rows are marked 0 or 1, not {sorted(set(text) - {'0', '1'})}")
    return np.array([character == "1" for character in text], dtype=float)
