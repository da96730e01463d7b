"""Every row of a dump scored again: single answers by rule, conversations by a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rest_verl.study.recorded import Recorded, last_outputs
from rest_verl.study.rescore.conversations import ConversationScorer
from rest_verl.study.rescore.rules import RuleScorer
from rest_verl.study.rescore.settings import Settings
from rest_verl.study.rescore.tasks import Columns, TaskRows, own_columns

SINGLE, CONVERSATION = "single turn", "conversation"
_SHOWN = 5
"""Differences of a conversation that its record shows; all are counted."""


class Scorer:
    """Scores rows of dumps.

    Args:
        settings: how.
        tokenizer: of the settings' model; None where that is None.
        tasks: the data set's rows; None where none are named.
        conversations: None where no model is named.
    """

    def __init__(
        self,
        settings: Settings,
        tokenizer: Any,
        tasks: TaskRows | None,
        conversations: ConversationScorer | None,
    ) -> None:
        self._rules = RuleScorer(settings, tokenizer)
        self._tasks = tasks
        self._conversations = conversations

    def check(self, rows: Sequence[Recorded]) -> None:
        """Refuses a dump in which a row cannot be scored; ValueError names the first and the mend.

        Only the last output of a session is looked at: verl's reward is of that.
        """
        for row in last_outputs(rows).values():
            columns = self._columns(row)
            if _is_conversation(columns):
                if self._conversations is None:
                    raise ValueError(
                        f"{row.where}: is a conversation; name the model whose run it is with "
                        "--model FOLDER, of which the tokenizer and its chat template are read"
                    )
                self._conversations.check(row, columns)
            elif row.ground_truth in (None, ""):
                raise ValueError(
                    f"{row.where}: has no ground truth. A conversation is scored by its task: name "
                    "the run's rows with --data PARQUET, and the model with --model FOLDER"
                )
            else:
                self._rules.check(row, _info(columns))

    def score(self, rows: Sequence[Recorded], file: str) -> Iterable[dict[str, Any]]:
        """The record of each row of a dump that `check` let through, in its order.

        Args:
            rows: all of the dump.
            file: what the records call it.
        """
        scored: dict[str, dict[str, Any]] = {}
        last = last_outputs(rows)
        for row in rows:
            if row.session not in scored:
                scored[row.session] = self._scored(last[row.session])
            yield _record(row, file, scored[row.session])

    def _columns(self, row: Recorded) -> Sequence[Columns]:
        """The rows of the data set that this may be of; empty: unknown."""
        own = own_columns(row)
        if own is not None:
            return [own]
        return [] if self._tasks is None else self._tasks.of(row)

    def _scored(self, row: Recorded) -> dict[str, Any]:
        columns = self._columns(row)
        if not _is_conversation(columns):
            return {"kind": SINGLE, "parts": self._rules.score(row, _info(columns)).as_dict()}
        assert self._conversations is not None
        replay = self._conversations.score(row, columns)
        parts = dict(replay.parts)
        if row.text is not None:
            del parts["cut_off"]  # a text does not tell what ended its last message
        return {
            "kind": CONVERSATION,
            "parts": parts,
            "replay": {
                "task": replay.task,
                "is_one_of_several": replay.is_one_of_several,
                "compared": replay.num_compared,
                "differing": len(replay.differences),
                "has_left_over": replay.has_left_over,
                "passed_over": replay.num_passed_over,
                "differences": list(replay.differences)[:_SHOWN],
            },
        }


def _is_conversation(columns: Sequence[Columns]) -> bool:
    return any((found["extra_info"] or {}).get("environment") for found in columns)


def _info(columns: Sequence[Columns]) -> Mapping[str, Any] | None:
    return columns[0]["extra_info"] if columns else None


def _record(row: Recorded, file: str, scored: Mapping[str, Any]) -> dict[str, Any]:
    parts = scored["parts"]
    old = None if row.score is None else as_logged(row.score)
    new = as_logged(parts["score"])
    differs = [
        name
        for name, value in row.parts.items()
        if name != "score" and name in parts and as_logged(parts[name]) != as_logged(value)
    ]
    if old not in (None, new):
        differs.insert(0, "score")
    return {
        "file": file,
        "name": row.name,
        "step": row.step,
        "kind": scored["kind"],
        "old": old,
        "new": new,
        "differs": differs,
        "parts": parts,
        **({"replay": scored["replay"]} if "replay" in scored else {}),
    }


def as_logged(score: float) -> float:
    """A score as verl keeps it, in float32; in a validation's lines it stands in full."""
    return float(np.float32(score))
