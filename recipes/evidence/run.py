"""Runs the study cell by cell: one arm, reward and seed each, one small JSON file for each.

    python -m recipes.evidence.run --task tiny --reward toolrl --arm paper --seed 0    # one cell
    python -m recipes.evidence.run --task tiny --share 1/2     # every other seed's missing cells

What a cell is stands in declaration.json. A cell that has its file is not run again; stopped
within a cell, only that one begins anew. Two processes, `--share 1/2` and `--share 2/2`, use two
cores: each takes one thread. `--cells` puts the files elsewhere, to compare them with the study's.
"""

import argparse
import json
import random
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from recipes.evidence.cells import CELLS, DECLARATION, Key, Task, read_declaration
from recipes.evidence.given import Given, given_tiny
from recipes.evidence.smollm2 import given_smollm2
from recipes.plain_torch.loop import Loop, Settings
from rest_verl.files.atomic import write_atomically
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer

STARTS = Path("outputs/evidence")
GIVEN = {"tiny": given_tiny, "smollm2": given_smollm2}
REGIONS = ("format", "name", "args", "think", "text")


def run_cell(key: Key, task: Task) -> dict[str, Any]:
    """Trains the cell's arm from its seed's start; the record that its file holds."""
    design = task.settings
    given = GIVEN[key.task](STARTS / key.task, key.seed, design)
    began = time.monotonic()
    tokenizer, model = load_tokenizer(str(given.model)), load_model(str(given.model))
    settings = Settings(
        preset=key.arm,
        reward=key.reward,
        num_steps=task.steps,
        responses_per_prompt=design["responses_per_prompt"],
        mini_batches=design["mini_batches"],
        micro_rows=given.micro_rows,
        max_tokens=given.max_tokens,
        temperature=design["temperature"],
        learning_rate=design["learning_rate"],
        seed=key.seed,
    )
    loop = Loop(model, tokenizer, settings)
    order = random.Random(f"order {key.seed}")  # the same for all arms of a seed
    steps, evaluations = [], [evaluate(loop, given, 0)]
    for number in range(1, settings.num_steps + 1):
        metrics = loop.step(order.sample(given.prompts, design["prompts_per_step"]), number)
        steps.append(_step_record(number, metrics))
        if number in task.evaluation_steps:
            evaluations.append(evaluate(loop, given, number))
    return {
        **key._asdict(),
        "declaration": task.digest,
        "start": given.facts,
        "learning_rate": settings.learning_rate,
        "seconds": round(time.monotonic() - began, 1),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "steps": steps,
        "evaluations": evaluations,
    }


def evaluate(loop: Loop, given: Given, step: int) -> dict[str, Any]:
    """One answer to each held-out row, sampled as in training, judged on the fixed scale."""
    rollouts = loop.sample(given.held_out, 1, loop.settings.temperature)
    results = loop.judge(given.held_out, rollouts, 1, None)
    texts = list(map(loop.labeler.vocabulary.response_text, rollouts.ids()))
    return {
        "step": step,
        "exact": "".join(str(int(result.exact_match)) for result in results),
        **({"bfcl": given.bfcl(texts)} if given.bfcl else {}),
        "reward": round(sum(result.score for result in results) / len(results), 4),
        "format": round(sum(result.format_ok for result in results) / len(results), 4),
        "names": round(sum(result.name_match for result in results) / len(results), 4),
    }


def _step_record(number: int, metrics: dict[str, float]) -> dict[str, Any]:
    def by_region(kind: str) -> dict[str, float]:
        names = {region: f"rest/{kind}/{region}" for region in REGIONS}
        return {
            region: round(metrics[name], 5) for region, name in names.items() if name in metrics
        }

    logged = {
        "reward": "reward/score/mean",
        "exact": "reward/exact_match/mean",
        "format": "reward/format_ok/mean",
        "response_length": "response_length",
        "grad_norm": "actor/grad_norm",
        "control_log_prob": "control_log_prob",
        "control_entropy": "control_entropy",
    }
    return {
        "step": number,
        **{short: round(metrics[name], 5) for short, name in logged.items()},
        "entropy": by_region("entropy"),
        "weight": by_region("weight"),
    }


def _share(text: str) -> tuple[int, int]:
    """`1/2` as (1, 2)."""
    share, _, shares = text.partition("/")
    if not (share.isdigit() and shares.isdigit() and 1 <= int(share) <= int(shares)):
        raise argparse.ArgumentTypeError(f"{text} is no K/N with K from 1 to N")
    return int(share), int(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", required=True, choices=read_declaration(DECLARATION))
    parser.add_argument("--reward")
    parser.add_argument("--arm")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--share",
        type=_share,
        default=(1, 1),
        metavar="K/N",
        help="every Nth seed, from the Kth on",
    )
    parser.add_argument("--cells", type=Path, default=CELLS, help="folder of the files")
    arguments = parser.parse_args()
    task = read_declaration(DECLARATION)[arguments.task]
    wanted = {"reward": arguments.reward, "arm": arguments.arm, "seed": arguments.seed}
    keys = [
        key
        for key in task.declared()
        if all(value in (None, getattr(key, name)) for name, value in wanted.items())
    ]
    if not keys:
        parser.error(f"{arguments.task} declares no cell of {wanted}")
    share, shares = arguments.share
    torch.set_num_threads(1)  # a cell's result must not hang on the machine's cores
    for key in keys:
        path = key.path(arguments.cells)
        if key.seed % shares != share - 1 or path.exists():
            continue
        record = run_cell(key, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record) + "\n")
        print(f"{path}: {record['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
