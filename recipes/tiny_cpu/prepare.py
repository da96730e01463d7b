"""Makes what the tiny run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.tiny_cpu.prepare --output-dir outputs/tiny_cpu_start

Reuses a folder that an earlier call completed with the same recipe.
"""

import argparse
from pathlib import Path

import torch

from recipes.tiny_cpu.data import counts_line, fitting, in_split, read_tasks, write_start
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import new_model, train_tokenizer
from recipes.tiny_cpu.renaming import partly_renamed
from recipes.tiny_cpu.start import fingerprint, make_once
from recipes.tiny_cpu.warm_start import warm_start

SEED = 0
NUM_STEPS = 480  # of the warm start
BATCH_SIZE = 16
SOURCES = ("data", "induction", "model", "prepare", "renaming", "start", "warm_start")


def prepare(folder: Path, num_steps: int) -> None:
    """Fills `folder` with `data/` and `model/`, warm-started by `num_steps` batches."""
    torch.manual_seed(SEED)
    tasks = read_tasks()
    first = in_split(tasks, "warm_start")
    texts = [message["content"] for task in first for message in task.messages]
    tokenizer = train_tokenizer([*texts, *(task.answer for task in first)])
    tasks = fitting(tasks, tokenizer)
    print("BFCL rows:", counts_line(tasks))

    model = new_model(tokenizer)
    start_with_induction_head(model, torch.Generator().manual_seed(SEED))
    print(f"model: {model.num_parameters() / 1e6:.2f} M parameters")
    chosen = in_split(tasks, "warm_start")
    warm_start(
        model,
        tokenizer,
        lambda rng: partly_renamed(chosen, rng),
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        seed=SEED,
    )
    write_start(folder, tasks, model, tokenizer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--warm-steps", type=int, default=NUM_STEPS, help="batches")
    arguments = parser.parse_args()
    num_steps = arguments.warm_steps
    recipe = fingerprint(Path(__file__).with_name(f"{name}.py") for name in SOURCES)
    make_once(
        arguments.output_dir, f"{recipe} {num_steps}", lambda folder: prepare(folder, num_steps)
    )


if __name__ == "__main__":
    main()
