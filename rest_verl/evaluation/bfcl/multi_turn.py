"""Scores the calls of one multi-turn conversation, by replaying them in the environment."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.evaluation.verdict import RIGHT, Verdict, wrong

Turns = Sequence[Sequence[Sequence[Mapping[str, Any]] | None]]
"""Per turn the steps, each a list of `{"name", "arguments"}`; None for a malformed text."""


def score_multi_turn(task: Mapping[str, Any], turns: Turns) -> Verdict:
    """The official verdict on a conversation (`multi_turn_runner` of bfcl-eval, Apache-2.0).

    Every turn in `turns` counts as ended. A conversation with fewer turns than the task was cut off
    and is wrong; one whose last turn was cut off is judged by what it has, as in BFCL.

    Args:
        task: as `rest_verl.environments.bfcl_task.BfclTask.from_record` reads it, or
            `rest_verl.data.bfcl_multi_turn.MultiTurnRow.task`.

    Raises:
        ValueError: a malformed task, naming its id, or bfcl-eval is not installed.
    """
    environment = BFCLEnvironment(task)
    num_turns = len(environment.outcome())
    if len(turns) != num_turns:
        return wrong("cut_off")
    for steps in turns:
        for step in steps:
            for call in step or ():
                environment.call(call["name"], dict(call["arguments"]))
        environment.end_turn()
    for verdict in environment.outcome():
        if not verdict.right:
            return wrong(_kind(verdict.reason))
    return RIGHT


def _kind(reason: str) -> str:
    # "state of MathAPI differs" names the class: one kind for all of them.
    return "state_differs" if reason.startswith("state of ") else reason.replace(" ", "_")
