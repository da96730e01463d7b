"""Makes what a tiny multi-turn run starts from: parquet files, tokenizer and warm-started model.

    python -m recipes.tiny_multi_turn.prepare --tasks bfcl --warm-steps 100 --output-dir DIR

With `--syntax qwen3_coder` the prompts ask for no format; the model writes calls as its chat
template does, which is one of Qwen3-Coder's kind.

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
from recipes.tiny_multi_turn.coder_template import CODER_TEMPLATE
from recipes.tiny_multi_turn.conversations import SPLITS, Conversation, bfcl_conversations
from rest_verl.data import Dialogue, Message, PromptStyle, environment_row, split_steps
from rest_verl.data.parquet import ENVIRONMENT_EXTRA_INFO, write_dataset

SEED = 0
STYLES: dict[str, PromptStyle] = {"toolrl": "compact", "qwen3_coder": "chat_template"}
"""Syntax that the model learns -> prompt style."""


@dataclass(frozen=True)
class TaskSet:
    """Where the conversations come from, and what a batch of the warm start holds."""

    conversations: Callable[[], list[Conversation]]
    context: int
    """Tokens of the longest conversation."""
    batch_size: int


TASK_SETS = {
    "bfcl": TaskSet(bfcl_conversations, context=1536, batch_size=4),
    "shop": TaskSet(shop_conversations, context=512, batch_size=16),
}


def thought(message: Message) -> str:
    """What the starting model learns to think; see `recipes.tiny_cpu.data.tiny_answer`."""
    return f"I make {len(message.calls)} call." if message.calls else "No call is left."


def whole(dialogue: Dialogue, syntax: str) -> Messages:
    """The dialogue from the system message to the last answer, as a rollout would show it."""
    style = STYLES[syntax]
    *_, last = split_steps(dialogue, style, thought=thought, syntax=syntax)
    messages = [*last.messages, {"role": "assistant", "content": last.answer}]
    if style == "chat_template":
        names = " ".join(tool["function"]["name"] for tool in dialogue.tools)
        messages.insert(0, {"role": "system", "content": f"Tools: {names}"})
    return messages


def prepare(tasks: TaskSet, syntax: str, num_steps: int, folder: Path) -> None:
    """Fills `folder` with `data/` and `model/`, warm-started for `num_steps` batches."""
    torch.manual_seed(SEED)
    style = STYLES[syntax]
    conversations = tasks.conversations()
    lessons = [whole(c.dialogue, syntax) for c in conversations if c.split == "warm_start"]
    tokenizer = train_tokenizer(message["content"] for lesson in lessons for message in lesson)
    if style == "chat_template":
        tokenizer.chat_template = CODER_TEMPLATE
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
        num_steps=num_steps,
        batch_size=tasks.batch_size,
        seed=SEED,
    )

    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS[1:]}
    for conversation in conversations:
        fits = _length(tokenizer, whole(conversation.dialogue, syntax)) <= tasks.context
        if fits and conversation.split in rows:
            index = len(rows[conversation.split])
            rows[conversation.split].append(_row(conversation, style, index))
    print("rows:", ", ".join(f"{len(chosen)} {split}" for split, chosen in rows.items()))
    write_dataset(folder / "data", rows, ENVIRONMENT_EXTRA_INFO, {"style": style})
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def _row(conversation: Conversation, style: PromptStyle, index: int) -> dict[str, Any]:
    dialogue = conversation.dialogue
    return environment_row(
        conversation.environment,
        conversation.task,
        style,
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
    parser.add_argument("--syntax", choices=STYLES, default="toolrl")
    parser.add_argument("--warm-steps", type=int, required=True, help="batches of the warm start")
    parser.add_argument("--output-dir", type=Path, required=True)
    arguments = parser.parse_args()
    recipes = Path(__file__).parents[1]
    names = [f"tiny_cpu/{name}.py" for name in ("induction", "model", "start", "warm_start")]
    own = ("coder_template", "conversations", "prepare")
    names += [f"tiny_multi_turn/{name}.py" for name in own]
    names += ["own_tools/conversations.py", "own_tools/shop.py"]
    recipe = fingerprint(recipes / name for name in names)
    what = TASK_SETS[arguments.tasks], arguments.syntax, arguments.warm_steps
    make_once(
        arguments.output_dir,
        f"{recipe} {arguments.warm_steps}",
        lambda folder: prepare(*what, folder),
    )


if __name__ == "__main__":
    main()
