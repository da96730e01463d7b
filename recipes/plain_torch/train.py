"""Trains a model on the rows of a data script with ResT, without verl.

    python -m recipes.plain_torch.train --model outputs/tiny_cpu_start/model \
        --data outputs/tiny_cpu_start/data/train.parquet --output-dir outputs/plain_torch

Prints a line a step; writes metrics.jsonl and, at the end, the trained model.
"""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from recipes.plain_torch.loop import Loop, Settings, Task
from rest_verl.algorithm.presets import PRESETS
from rest_verl.options.names import Parser
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer

SHOWN = ("reward/total/mean", "reward/format_ok/mean", "reward/name_match/mean")


def read_tasks(path: Path, tokenizer: Any) -> list[Task]:
    """The rows of a parquet file that a script in `data_prep` or a recipe wrote."""
    rows = pq.read_table(path, columns=["prompt", "reward_model"]).to_pylist()
    return [
        Task(
            tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"],
            row["reward_model"]["ground_truth"],
        )
        for row in rows
    ]


def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True, help="parquet, in verl's layout")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--preset", choices=PRESETS, default=Settings.preset)
    parser.add_argument("--steps", type=int, default=Settings.num_steps)
    parser.add_argument("--prompts", type=int, default=16, help="a step; 8 responses each")
    parser.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    tokenizer, model = load_tokenizer(arguments.model), load_model(arguments.model)
    tasks = read_tasks(arguments.data, tokenizer)
    torch.manual_seed(arguments.seed)
    settings = Settings(
        preset=arguments.preset,
        num_steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        temperature=arguments.temperature,
        seed=arguments.seed,
    )
    loop, rng = Loop(model, tokenizer, settings), random.Random(arguments.seed)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    with (arguments.output_dir / "metrics.jsonl").open("w", encoding="utf-8") as log:
        for step in range(1, settings.num_steps + 1):
            metrics = loop.step(rng.sample(tasks, arguments.prompts), step)
            print(f"step {step:3}", *(f"{name} {metrics[name]:.3f}" for name in SHOWN), flush=True)
            log.write(json.dumps({"step": step, "data": metrics}) + "\n")
    model.save_pretrained(arguments.output_dir / "model")
    tokenizer.save_pretrained(arguments.output_dir / "model")


if __name__ == "__main__":
    main()
