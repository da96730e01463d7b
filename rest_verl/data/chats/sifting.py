"""Conversations of a file as steps, those that cannot be right set aside with their reasons."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rest_verl.data.chats.files import RefusedRecord
from rest_verl.data.chats.reader import ReadChat
from rest_verl.data.dialogues import Dialogue
from rest_verl.data.refusals import Refused
from rest_verl.data.steps import Step


@dataclass(kw_only=True)
class Sifted:
    """What became of a file's conversations."""

    kept: list[tuple[Dialogue, list[Step]]] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)
    layouts: Counter[str] = field(default_factory=Counter)
    """Kept conversations by layout."""
    num_nulls: int = 0
    """Nulls left out of the kept ones' arguments: tables had put them there."""
    num_systems_replaced: int = 0
    """Kept conversations whose system message listed the tools, and was left out."""


def sift(
    chats: Iterable[ReadChat | RefusedRecord],
    split: Callable[[Dialogue], Iterable[Step]],
    *,
    skip_bad: bool,
) -> Sifted:
    """Splits the dialogues into steps.

    Raises:
        Refused: with `skip_bad` False, the first conversation that gives none.
    """
    sifted = Sifted()
    for chat in chats:
        if isinstance(chat, ReadChat):
            try:
                steps = list(split(chat.dialogue))
            except Refused as refused:
                chat = RefusedRecord(chat.dialogue.origin, refused, chat.content)
        if isinstance(chat, RefusedRecord):
            if not skip_bad:
                raise chat.refused
            sifted.refused.append(chat)
            continue
        sifted.kept.append((chat.dialogue, steps))
        sifted.layouts[chat.layout] += 1
        sifted.num_nulls += chat.num_nulls
        sifted.num_systems_replaced += chat.system_replaced
    return sifted


def refusal_table(refused: Sequence[RefusedRecord]) -> Iterator[str]:
    """Lines: how many conversations each reason refused, the most frequent first, and the first."""
    counts = Counter(record.refused.reason for record in refused)
    for reason, count in counts.most_common():
        first = next(record for record in refused if record.refused.reason == reason)
        yield f"{count:8} {reason:32} first: {first.refused}"


def refused_lines(refused: Iterable[RefusedRecord]) -> str:
    """JSON lines: reason, message and the record of each."""
    return "".join(
        json.dumps(
            {
                "place": record.place,
                "reason": record.refused.reason,
                "message": str(record.refused),
                "record": record.content,
            },
            ensure_ascii=False,
        )
        + "\n"
        for record in refused
    )
