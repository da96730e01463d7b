"""Makes what the tiny run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.tiny_cpu.prepare --output-dir outputs/tiny_cpu_start

Reuses a folder that an earlier call completed with the same recipe.
"""

import argparse
from pathlib import Path

import torch

from recipes.tiny_cpu.data import SPLITS, fitting, read_tasks, verl_rows
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import new_model, train_tokenizer
from recipes.tiny_cpu.renaming import partly_renamed
from recipes.tiny_cpu.start import fingerprint, make_once
from recipes.tiny_cpu.warm_start import warm_start
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset

SEED = 0
NUM_STEPS = 480  # of the warm start
BATCH_SIZE = 16
SOURCES = ("data", "induction", "model", "prepare", "renaming", "start", "warm_start")


def prepare(folder: Path, num_steps: int) -> None:
    """Fills `folder` with `data/` and `model/`, warm-started by `num_steps` batches."""
    torch.manual_seed(SEED)
    tasks = read_tasks()
    first = [task for task in tasks if task.split == "warm_start"]
    texts = [message["content"] for task in first for message in task.messages]
    tokenizer = train_tokenizer([*texts, *(task.answer for task in first)])
    tasks = fitting(tasks, tokenizer)
    counts = {split: sum(task.split == split for task in tasks) for split in SPLITS}
    print("BFCL rows:", ", ".join(f"{count} {split}" for split, count in counts.items()))

    model = new_model(tokenizer)
    start_with_induction_head(model, torch.Generator().manual_seed(SEED))
    print(f"model: {model.num_parameters() / 1e6:.2f} M parameters")
    chosen = [task for task in tasks if task.split == "warm_start"]
    warm_start(
        model,
        tokenizer,
        lambda rng: partly_renamed(chosen, rng),
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        seed=SEED,
    )

    rl_splits = [split for split in SPLITS if split != "warm_start"]
    manifest = {"counts": counts, "data_version": tasks[0].row.version}
    rows = {split: verl_rows(tasks, split) for split in rl_splits}
    write_dataset(folder / "data", rows, BFCL_EXTRA_INFO, manifest)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


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
