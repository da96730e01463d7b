"""Verdicts on multi-turn conversations: the rules by hand, and a part of the official agreement."""

import importlib.util
from typing import Any

import pytest

pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
if importlib.util.find_spec("mpmath") is None:
    pytest.skip("MathAPI needs mpmath", allow_module_level=True)

from official_agreement import compare_multi_turn

from rest_verl.data.bfcl import BfclSource
from rest_verl.evaluation.bfcl.multi_turn import score_multi_turn

TASK = {
    "id": "multi_turn_base_9000",
    "question": [[{"role": "user", "content": text}] for text in ("Post.", "Tell.", "Thanks!")],
    "initial_config": {"TwitterAPI": {"authenticated": True}},
    "involved_classes": ["TwitterAPI"],
    "ground_truth": [["post_tweet('hi')"], ["get_user_stats('ann')"], []],
}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


POST, STATS = call("post_tweet", content="hi"), call("get_user_stats", username="ann")


@pytest.mark.parametrize(
    ("turns", "error"),
    [
        ([[[POST]], [[STATS]], []], ""),
        ([[[POST], []], [[STATS], []], [[]]], ""),  # steps without calls end turns
        ([[[POST], None], [[STATS], None], [None]], ""),  # and malformed ones
        ([[[POST, STATS]], [[STATS]], []], ""),  # more than what was asked
        ([[[POST]], [[STATS]], [[POST]]], ""),  # nothing is judged where nothing is wanted
        ([[[POST]], [[STATS]]], "cut_off"),
        ([[[POST]], [[STATS]], [], []], "cut_off"),
        ([], "cut_off"),
        ([[], [[STATS]], []], "no_calls"),
        ([[[POST]], [[]], []], "no_calls"),
        ([[[POST, STATS]], [], []], "no_calls"),  # even if it was made before
        ([[[POST, POST]], [[STATS]], []], "state_differs"),
        ([[[call("post_tweet", content="ho")]], [[STATS]], []], "state_differs"),
        ([[[POST]], [[call("get_tweet", tweet_id=0)]], []], "missing_outputs"),
        ([[[POST]], [[call("__import__('os').getcwd")]], []], "missing_outputs"),
        ([[[POST]], [[call("get_user_stats", **{"a b": 1})]], []], "missing_outputs"),
    ],
)
def test_verdicts(turns: list, error: str) -> None:
    verdict = score_multi_turn(TASK, turns)
    assert verdict == (error == "", error)


def test_a_conversation_leaves_nothing_behind() -> None:
    wrong, right = [[[POST, POST]], [[STATS]], []], [[[POST]], [[STATS]], []]
    assert not score_multi_turn(TASK, wrong).valid
    assert score_multi_turn(TASK, right).valid
    assert wrong == [[[POST, POST]], [[STATS]], []]


def test_a_malformed_task_is_named() -> None:
    with pytest.raises(ValueError, match="multi_turn_base_9000"):
        score_multi_turn({**TASK, "ground_truth": []}, [])


def test_agreement_with_the_official_checker(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare_multi_turn(BfclSource.open(), every=8) == 0
    counts = capsys.readouterr().out
    assert "800 conversations on 100 rows, 0 disagreements" in counts
