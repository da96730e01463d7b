"""Makes what a tiny multi-turn run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.tiny_multi_turn.prepare --tasks bfcl --output-dir outputs/start

Reuses a folder that an earlier call completed with the same recipe.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.own_tools.conversations import shop_conversations
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import new_model, train_tokenizer
from recipes.tiny_cpu.start import fingerprint, make_once
from recipes.tiny_cpu.warm_start import Conversation as Messages
from recipes.tiny_cpu.warm_start import warm_start
from recipes.tiny_multi_turn.conversations import SPLITS, Conversation, bfcl_conversations
from rest_verl.data import Dialogue, Message, environment_row, split_steps
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

SEED = 0
STYLE = "compact"


@dataclass(frozen=True)
class TaskSet:
    """Where the conversations come from, and how long and how hard the warm start is."""

    conversations: Callable[[], list[Conversation]]
    context: int
    """Tokens of the longest conversation."""
    num_steps: int
    batch_size: int


TASK_SETS = {
    "bfcl": TaskSet(bfcl_conversations, context=1536, num_steps=100, batch_size=4),
    "shop": TaskSet(shop_conversations, context=512, num_steps=90, batch_size=16),
}


def thought(message: Message) -> str:
    """What the starting model learns to think; see `recipes.tiny_cpu.data.thought`."""
    return f"I make {len(message.calls)} call." if message.calls else "No call is left."


def whole(dialogue: Dialogue) -> Messages:
    """The dialogue from the system message to the last answer, as a rollout would show it."""
    *_, last = split_steps(dialogue, STYLE, thought=thought)
    return [*last.messages, {"role": "assistant", "content": last.answer}]


def prepare(tasks: TaskSet, folder: Path) -> None:
    """Fills `folder` with `data/` and `model/`."""
    torch.manual_seed(SEED)
    conversations = tasks.conversations()
    lessons = [whole(c.dialogue) for c in conversations if c.split == "warm_start"]
    tokenizer = train_tokenizer(message["content"] for lesson in lessons for message in lesson)
    lessons = [lesson for lesson in lessons if _length(tokenizer, lesson) <= tasks.context]

    model = new_model(tokenizer, tasks.context)
    start_with_induction_head(model, torch.Generator().manual_seed(SEED))
    print(f"model: {model.num_parameters() / 1e6:.2f} M parameters, {len(lessons)} lessons")

    def epoch(rng: random.Random) -> list[Messages]:
        return lessons

    warm_start(
        model,
        tokenizer,
        epoch,
        num_steps=tasks.num_steps,
        batch_size=tasks.batch_size,
        seed=SEED,
    )

    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS[1:]}
    for conversation in conversations:
        fits = _length(tokenizer, whole(conversation.dialogue)) <= tasks.context
        if fits and conversation.split in rows:
            rows[conversation.split].append(_row(conversation, len(rows[conversation.split])))
    print("rows:", ", ".join(f"{len(chosen)} {split}" for split, chosen in rows.items()))
    write_dataset(folder / "data", rows, ENVIRONMENT_EXTRA_INFO, {"style": STYLE})
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def _row(conversation: Conversation, index: int) -> dict[str, Any]:
    dialogue = conversation.dialogue
    return environment_row(
        conversation.environment,
        conversation.task,
        STYLE,
        index=index,
        id=dialogue.id,
        category=dialogue.category,
        split=conversation.split,
        version=dialogue.version,
        data_source=conversation.split,
    )


def _length(tokenizer: Any, messages: Messages) -> int:
    return len(tokenizer.apply_chat_template(messages)["input_ids"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", choices=TASK_SETS, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    arguments = parser.parse_args()
    recipes = Path(__file__).parents[1]
    names = [f"tiny_cpu/{name}.py" for name in ("induction", "model", "start", "warm_start")]
    names += ["tiny_multi_turn/conversations.py", "tiny_multi_turn/prepare.py"]
    names += ["own_tools/conversations.py", "own_tools/shop.py"]
    recipe = fingerprint(recipes / name for name in names)
    tasks = TASK_SETS[arguments.tasks]
    make_once(arguments.output_dir, recipe, lambda folder: prepare(tasks, folder))


if __name__ == "__main__":
    main()
