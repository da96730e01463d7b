"""Reads BFCL's multi-turn categories as tasks of the environment "bfcl".

A task is the record as it stands, with its `ground_truth` (per turn, the calls as Python text) and
the `version` of the data; `functions` only where the data folder brings function docs of its own.
"""

import re
from dataclasses import dataclass
from typing import Any

import rest_verl.environments.bfcl  # noqa: F401 (registers the environment)
from rest_verl.data.bfcl import BfclSource
from rest_verl.data.conversations import environment_row
from rest_verl.environments.bfcl_backend import CLASSES
from rest_verl.files.json_lines import read_by_id, read_json_lines
from rest_verl.prompts.styles import PromptStyle

ENVIRONMENT = "bfcl"

_NUMBERED_ID = re.compile(r"multi_turn_[a-z_]+_(?P<number>\d+)")


@dataclass(frozen=True, kw_only=True)
class MultiTurnRow:
    """One conversation with its state at the start and its right calls, as yet unchecked."""

    id: str
    category: str
    version: str
    """Version of the data, "v3" or "v4"."""
    task: dict[str, Any]

    @property
    def question_key(self) -> str:
        """What a split goes by: the number in the id.

        Rows of one number are variants of one conversation, in all categories and both versions.
        """
        numbered = _NUMBERED_ID.fullmatch(self.id)
        return f"multi_turn {numbered['number']}" if numbered else self.id


def read_multi_turn(source: BfclSource, category: str) -> list[MultiTurnRow]:
    """All rows of a multi-turn category, in file order.

    Raises:
        ValueError: a missing file or a bad line, or a question without an answer and the reverse,
            with file, line and id.
    """
    questions = read_by_id(source.file(category))
    answers = read_by_id(source.answer_file(category))
    for row_id, (where, _) in answers.items():
        if row_id not in questions:
            raise ValueError(f"{where}: answer without a question in {source.file(category)}")
    docs = _own_docs(source)
    rows = []
    for row_id, (where, record) in questions.items():
        if row_id not in answers:
            raise ValueError(
                f"{where}: question without an answer in {source.answer_file(category)}"
            )
        task = {
            **record,
            "ground_truth": answers[row_id][1].get("ground_truth"),
            "version": source.version,
        }
        classes = record.get("involved_classes")
        if docs and isinstance(classes, list):
            names = [name for name in classes if isinstance(name, str)]
            task["functions"] = [doc for name in names for doc in docs.get(name, ())]
        rows.append(MultiTurnRow(id=row_id, category=category, version=source.version, task=task))
    return rows


def multi_turn_row(
    row: MultiTurnRow, style: PromptStyle, *, index: int, split: str
) -> dict[str, Any]:
    """The row as verl reads it; one `data_source` a category, so validation reports each."""
    return environment_row(
        ENVIRONMENT,
        row.task,
        style,
        index=index,
        id=row.id,
        category=row.category,
        split=split,
        version=row.version,
        data_source=f"bfcl_{row.version}/{row.category}",
    )


def _own_docs(source: BfclSource) -> dict[str, list[dict[str, Any]]]:
    """class -> docs of its functions, from the user's folder; {} without a folder of docs."""
    if source.own_docs is None:
        return {}
    paths = {name: source.own_docs / f"{file}.json" for name, (_, file) in CLASSES.items()}
    return {name: [doc for _, doc in read_json_lines(path)] for name, path in paths.items()}
