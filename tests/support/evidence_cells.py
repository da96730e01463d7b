"""Made-up cells of the study, whose truth is known, as files."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.evidence.cells import Key, read_declaration

ARMS = ("uniform", "paper", "shuffled")
REWARDS = ("toolrl", "toolrl_scheduled")

Chance = Callable[[str, str, int, float], float]
"""Reward, arm, seed and progress -> chance that a held-out row is right."""


def declare(folder: Path, **changes: Any) -> Path:
    """Writes a declaration of the task `tiny`; its path."""
    task = {
        "rewards": REWARDS, "arms": ARMS, "seeds": [0, 1, 2, 3], "steps": 10, "evaluate_every": 5,
    }  # fmt: skip
    path = folder / "declaration.json"
    path.write_text(json.dumps({"tasks": {"tiny": {**task, **changes}}}))
    return path


def record(
    declaration: Path,
    reward: str = "toolrl",
    arm: str = "uniform",
    seed: int = 0,
    *,
    exact: Sequence[str] = ("0000", "0011", "0111"),
    rewards: Sequence[float] | None = None,
    bfcl: Sequence[str] | None = None,
) -> dict[str, Any]:
    """A cell's content; `exact` and `bfcl` are of each evaluation, `rewards` of each step."""
    task = json.loads(declaration.read_bytes())["tasks"]["tiny"]
    steps, every = task["steps"], task["evaluate_every"]
    rewards = rewards if rewards is not None else [0.1 * step for step in range(1, steps + 1)]
    evaluations: list[dict[str, Any]] = []
    for step, marks in zip([*range(0, steps, every), steps], exact, strict=True):
        mean = 4 * marks.count("1") / len(marks)
        evaluations.append({"step": step, "exact": marks, "reward": mean, "format": 1.0})
        if bfcl is not None:
            evaluations[-1]["bfcl"] = bfcl[len(evaluations) - 1]
    return {
        "declaration": read_declaration(declaration)["tiny"].digest,
        "task": "tiny",
        "reward": reward,
        "arm": arm,
        "seed": seed,
        "start": {"weights_sha256": f"{seed:064}"},
        "learning_rate": 3e-4,
        "seconds": 90.0,
        "versions": {"torch": "0"},
        "steps": [
            {
                "step": step,
                "reward": value,
                "exact": 0.5,
                "format": 1.0,
                "response_length": 40.0 + step,
                "grad_norm": 0.5,
                "entropy": {"format": 0.01, "name": 0.2, "args": 0.3, "think": None},
                "weight": {"format": 1.2, "name": 0.7, "args": 0.7, "think": None},
                "control_log_prob": -0.1,
                "control_entropy": 0.02,
            }
            for step, value in enumerate(rewards, start=1)
        ],
        "evaluations": evaluations,
    }


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    """Writes a cell where it belongs under `folder`; its path."""
    key = Key(content["task"], content["reward"], content["arm"], content["seed"])
    path = key.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_study(
    declaration: Path, folder: Path, chance: Chance, *, num_rows: int = 40, bfcl: bool = False
) -> None:
    """Writes every declared cell. Rows are drawn from one seed a cell: the same cells each time."""
    task = json.loads(declaration.read_bytes())["tasks"]["tiny"]
    progress = np.linspace(0, 1, len(range(0, task["steps"], task["evaluate_every"])) + 1)
    for place, reward in enumerate(task["rewards"]):
        for number, arm in enumerate(task["arms"]):
            for seed in task["seeds"]:
                rng = np.random.default_rng([place, number, seed])
                exact = [
                    "".join("01"[int(right)] for right in draw < chance(reward, arm, seed, at))
                    for at, draw in zip(
                        progress, rng.random((len(progress), num_rows)), strict=True
                    )
                ]
                marks = exact if bfcl else None
                write(folder, record(declaration, reward, arm, seed, exact=exact, bfcl=marks))
