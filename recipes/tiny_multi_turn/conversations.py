"""The tiny multi-turn recipe's conversations: short ones of BFCL, as tasks and as played right."""

from dataclasses import dataclass
from typing import Any

from rest_verl.data import BfclSource, Dialogue, split_position
from rest_verl.data.bfcl_replay import replay_category

CATEGORIES = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param")
MAX_CLASSES = 1  # each class brings 10 to 30 tools, which fill a small context
SPLITS = ("warm_start", "train", "held_out")
SPLIT_SEED = 0


@dataclass(frozen=True)
class Conversation:
    """A task of a registered environment, and the dialogue of its right calls."""

    environment: str
    task: dict[str, Any]
    dialogue: Dialogue
    split: str


def split_of(key: str) -> str:
    """Half warm_start, a third train, the rest held_out."""
    place = split_position(key, SPLIT_SEED)
    return SPLITS[0] if place < 1 / 2 else SPLITS[1] if place < 5 / 6 else SPLITS[2]


def bfcl_conversations() -> list[Conversation]:
    """Rows of CATEGORIES with few tools; variants of one conversation share a split."""
    source = BfclSource.open()
    conversations = []
    for category in CATEGORIES:
        played = replay_category(source, category)
        for row, dialogue in zip(played.rows, played.dialogues, strict=True):
            if len(row.task["involved_classes"]) <= MAX_CLASSES:
                split = split_of(row.question_key)
                conversations.append(Conversation("bfcl", row.task, dialogue, split))
    return conversations
