"""Trains the shop's conversations with each way of giving credit, seed by seed, through verl.

    python -m recipes.turn_credit.run                            # every declared run without a file
    python -m recipes.turn_credit.run --arm rest_turn --seed 0 --cells outputs/again    # one again

A run is run_scripts/tiny_cpu_multi_turn.sh with the arm's overrides; what it came to is one small
JSON file. A run that has its file is not made again; one that was stopped goes on after its last
checkpoint. With `--cells` the runs themselves lie beside their files.
"""

import argparse
import hashlib
import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.tiny_cpu.summarize import read_log
from recipes.tiny_multi_turn.summarize import read_dump
from rest_verl.files.atomic import write_json

HERE = Path(__file__).parent
DECLARATION, CELLS = HERE / "declaration.json", HERE / "cells"
RUNS = Path("outputs/turn_credit")
SCRIPT = Path("run_scripts/tiny_cpu_multi_turn.sh")


def read_declaration() -> dict[str, Any]:
    """What was fixed before the first run."""
    return json.loads(DECLARATION.read_bytes())


def digest() -> str:
    """SHA-256 of the declaration, which each cell carries."""
    return hashlib.sha256(DECLARATION.read_bytes()).hexdigest()


def evaluation_steps(declared: Mapping[str, Any]) -> list[int]:
    """Before the first step, then regularly, and after the last."""
    regular = range(0, declared["steps"], declared["evaluate_every"])
    return sorted({*regular, declared["steps"]})


def cell_path(folder: Path, arm: str, seed: int) -> Path:
    """Where the file of a run lies."""
    return folder / arm / f"seed_{seed}.json"


def train(arm: str, seed: int, declared: Mapping[str, Any], output: Path) -> None:
    """Runs the script, or goes on with it; its output goes to the terminal.

    Raises:
        subprocess.CalledProcessError: it failed; its log is in `output`.
    """
    settings = {
        "TINY_TASKS": "shop",
        "TINY_STEPS": declared["steps"],
        "TINY_WARM_STEPS": declared["warm_steps"],
        "TINY_PRESET": declared["preset"],
        "TINY_SEED": seed,
        "TINY_SYNTAX": "toolrl",
        "TINY_SAVE": declared["evaluate_every"],
        "TINY_OUTPUT": output,
    }
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    options = [*declared["arms"][arm], f"trainer.test_freq={declared['evaluate_every']}"]
    subprocess.run(["bash", str(SCRIPT), *options], env=environment, check=True)


def read_run(arm: str, seed: int, declared: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The record of a complete run."""
    steps = [record for record in read_log(output) if "reward/total/mean" in record]
    return {
        "arm": arm,
        "seed": seed,
        "declaration": digest(),
        "versions": {name: version(name) for name in ("verl", "vllm", "torch", "transformers")},
        "seconds": round(
            sum(step["timing_s/step"] + step.get("timing_s/testing", 0.0) for step in steps)
        ),
        "steps": [
            {
                "step": record["step"],
                "right": round(record["reward/official/mean"], 4),
                "response_length": round(record["response_length/mean"], 1),
            }
            for record in steps
        ],
        "evaluations": [
            {"step": step, "right": held_out_shares(output, step)}
            for step in evaluation_steps(declared)
        ],
    }


def held_out_shares(output: Path, step: int) -> list[float]:
    """The share of right turns of each held-out conversation, a mean over its answers.

    In ascending order: verl dumps answers as they end, under ids that are new each time.
    """
    shares: dict[str, list[float]] = defaultdict(list)
    for row in read_dump(output / "validation", step):
        shares[row["uid"].split("_")[0]].append(row["official"])
    return sorted(round(fmean(answers), 4) for answers in shares.values())


def wanted(declared: Mapping[str, Any], arm: str | None, seed: int | None) -> Iterator[tuple]:
    """(arm, seed) of what is to be run: all arms of a seed, then the next seed."""
    for each_seed in declared["seeds"] if seed is None else [seed]:
        for each_arm in declared["arms"] if arm is None else [arm]:
            yield each_arm, each_seed


def main() -> None:
    declared = read_declaration()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arm", choices=declared["arms"])
    parser.add_argument("--seed", type=int, choices=declared["seeds"])
    parser.add_argument("--cells", type=Path, default=CELLS, help="folder of the runs' files")
    arguments = parser.parse_args()
    for arm, seed in wanted(declared, arguments.arm, arguments.seed):
        path = cell_path(arguments.cells, arm, seed)
        if path.exists():
            print(f"{path}: there already")
            continue
        runs = RUNS if arguments.cells == CELLS else arguments.cells / "runs"
        output = runs.absolute() / arm / f"seed_{seed}"
        train(arm, seed, declared, output)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, read_run(arm, seed, declared, output))
        print(f"{path}: written")


if __name__ == "__main__":
    main()
