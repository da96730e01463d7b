"""What is asked of the model: BFCL's rows, each with its prompt and its judge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rest_verl.data.bfcl import (
    CATEGORIES,
    MULTI_TURN,
    MULTI_TURN_CATEGORIES,
    BfclRow,
    BfclSource,
)
from rest_verl.data.bfcl_multi_turn import ENVIRONMENT, MultiTurnRow, read_multi_turn
from rest_verl.data.prompts import build_prompt, openai_tools
from rest_verl.environments.base import make_environment
from rest_verl.evaluation.bfcl.multi_turn import score_multi_turn
from rest_verl.evaluation.bfcl.single_turn import check_row, score_single_turn
from rest_verl.evaluation.calls import Calls
from rest_verl.evaluation.conversations import Dialogue, Question, Record
from rest_verl.evaluation.verdict import wrong
from rest_verl.options.names import did_you_mean
from rest_verl.prompts.styles import PromptStyle

MODES: dict[str, PromptStyle] = {
    "tools": "chat_template",
    "prompt": "toolrl",
    "compact": "compact",
}
"""Prompt style by mode."""


def select_categories(source: BfclSource, names: list[str]) -> list[str]:
    """The categories to evaluate, in BFCL's order; all single-turn ones where none is named.

    Args:
        names: of categories, or `single_turn`, `multi_turn`, `all`: those of a group that the data
            folder has.

    Raises:
        ValueError: an unknown name, or a group of which the folder has nothing.
    """
    single_turn = CATEGORIES[source.version]
    groups = {
        "single_turn": single_turn,
        MULTI_TURN: MULTI_TURN_CATEGORIES,
        "all": (*single_turn, *MULTI_TURN_CATEGORIES),
    }
    chosen = []
    for name in names or ["single_turn"]:
        if name not in groups and name not in groups["all"]:
            hint = did_you_mean(name, (*groups, *groups["all"]))
            raise ValueError(
                f"unknown category {name!r}; {hint}BFCL {source.version} has "
                f"{', '.join(groups['all'])}; and there are the groups {', '.join(groups)}"
            )
        present = [c for c in groups.get(name, [name]) if name == c or source.file(c).exists()]
        if not present:
            raise ValueError(f"{source.folder}: holds none of {', '.join(groups[name])}")
        chosen += present
    return source.select(chosen)


def bfcl_rows(
    source: BfclSource, categories: list[str], mode: str, limit: int | None
) -> tuple[list[Question | Dialogue], dict[str, int]]:
    """The rows of these categories, `limit` of each, and how many each has in the data.

    Raises:
        ValueError: missing or bad data, with file, line and id; multi-turn without bfcl-eval.
    """
    style = MODES[mode]
    rows: list[Question | Dialogue] = []
    num_rows = {}
    for category in categories:
        if category in MULTI_TURN_CATEGORIES:
            tasks = read_multi_turn(source, category)
            rows += [_dialogue(task, style) for task in tasks[:limit]]
            num_rows[category] = len(tasks)
        else:
            questions = source.read(category)
            for question in questions[:limit]:
                check_row(question)  # a bad row shows before anything is generated
            rows += [_question(question, style) for question in questions[:limit]]
            num_rows[category] = len(questions)
    return rows, num_rows


def _question(row: BfclRow, style: PromptStyle) -> Question:
    return Question(
        id=row.id,
        category=row.category,
        messages=build_prompt(row, style),
        tools=openai_tools(row) if style == "chat_template" else None,
        judge=partial(_judge_single_turn, row),
    )


def _dialogue(row: MultiTurnRow, style: PromptStyle) -> Dialogue:
    task = row.task
    judge: Callable[[list[list[Calls | None]]], Record] = partial(_judge_multi_turn, row)
    match task:
        case {"question": list(asked), "ground_truth": list(truth)} if len(asked) < len(truth):
            # multi_turn_base_154 of v3: BFCL asks its five turns, then finds the sixth missing.
            task, judge = {**task, "ground_truth": truth[: len(asked)]}, _judge_cut_off
    make_environment(ENVIRONMENT, task)  # a bad task shows before anything is generated
    return Dialogue(id=row.id, category=row.category, task=task, style=style, judge=judge)


def _judge_single_turn(row: BfclRow, text: str, calls: Calls | None, foreign: str) -> Record:
    return score_single_turn(row, calls, foreign)._asdict()


def _judge_multi_turn(row: MultiTurnRow, turns: list[list[Calls | None]]) -> Record:
    return score_multi_turn(row.task, turns)._asdict()


def _judge_cut_off(turns: list[list[Calls | None]]) -> Record:
    return wrong("cut_off")._asdict()
