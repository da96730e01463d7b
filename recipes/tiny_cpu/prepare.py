"""Makes what the tiny run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.tiny_cpu.prepare --output-dir outputs/tiny_cpu_start

Reuses a folder that an earlier call completed with the same recipe.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch

from recipes.tiny_cpu.data import SPLITS, fitting, read_tasks, verl_rows
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import new_model, train_tokenizer
from recipes.tiny_cpu.warm_start import warm_start
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset

SEED = 0
DONE = "complete.json"


def recipe_fingerprint() -> str:
    """Of everything that decides the result: the recipe's own code."""
    digest = hashlib.sha256()
    for name in ("data", "induction", "model", "warm_start", "prepare"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


def is_complete(folder: Path) -> bool:
    """True if `folder` was completed by this version of the recipe."""
    try:
        return json.loads((folder / DONE).read_text())["recipe"] == recipe_fingerprint()
    except (OSError, ValueError, KeyError):
        return False


def prepare(folder: Path) -> None:
    """Builds `folder` beside its final place and moves it there when it is complete."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
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
    warm_start(model, tokenizer, [t for t in tasks if t.split == "warm_start"], SEED)

    rl_splits = [split for split in SPLITS if split != "warm_start"]
    manifest = {"counts": counts, "data_version": tasks[0].row.version}
    rows = {split: verl_rows(tasks, split) for split in rl_splits}
    write_dataset(partial / "data", rows, BFCL_EXTRA_INFO, manifest)
    model.save_pretrained(partial / "model")
    tokenizer.save_pretrained(partial / "model")
    (partial / DONE).write_text(json.dumps({"recipe": recipe_fingerprint(), **manifest}))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    folder = parser.parse_args().output_dir
    if is_complete(folder):
        print(f"reusing {folder}")
    else:
        prepare(folder)


if __name__ == "__main__":
    main()
