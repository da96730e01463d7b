"""What is asked of the model: API-Bank's rows, each with its prompt and its judge."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from rest_verl.data.api_bank import ApiBankRow, read_api_bank
from rest_verl.evaluation.api_bank.scoring import score_api_bank
from rest_verl.evaluation.calls import Calls
from rest_verl.evaluation.conversations import Question, Record


def api_bank_rows(folder: Path, limit: int | None) -> list[Question]:
    """The rows of API-Bank's levels, `limit` of each.

    Raises:
        ValueError: missing or bad data.
    """
    levels = groupby(read_api_bank(folder), key=lambda row: row.category)
    return [
        Question(
            id=row.id,
            category=row.category,
            messages=row.messages,
            tools=None,
            judge=partial(_judge_api_bank, row),
        )
        for _, rows in levels
        for row in islice(rows, limit)
    ]


def _judge_api_bank(row: ApiBankRow, text: str, calls: Calls | None, foreign: str) -> Record:
    return asdict(score_api_bank(row, text))
