"""Every row of BFCL: its reference answer is right for the reward and for the official checker."""

import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Callable

import pytest

from rest_verl.data import STYLES, BfclRow, BfclSource, ground_truth, reference_answer
from rest_verl.rewards import tool_call_reward

if importlib.util.find_spec("bfcl_eval") is None:
    pytest.skip("the package bfcl-eval is not installed", allow_module_level=True)

UNSOLVABLE = {
    "live_simple_106-63-0",  # required parameters with no allowed value
    "live_simple_112-68-0",  # the same
    "live_multiple_862-181-3",  # the answer has a parameter that the function lacks
    "live_multiple_964-207-0",  # the answer lacks a parameter that the function requires
}
"""Python rows that no answer solves by the official checker; three Java rows are such, too."""


@pytest.fixture(scope="module")
def rows() -> list[BfclRow]:
    source = BfclSource.open()
    return [row for category in source.select([]) for row in source.read(category)]


def parsed_calls(answer: str, style: str) -> list[dict]:
    blocks = [block.split("\n</tool_call>")[0] for block in answer.split("<tool_call>\n")[1:]]
    calls = [json.loads(line) for block in blocks for line in block.split("\n")]
    key = "arguments" if style == "chat_template" else "parameters"
    assert all(list(call) == ["name", key] for call in calls)
    return [{call["name"]: call[key]} for call in calls]


@pytest.mark.parametrize("style", STYLES)
def test_reference_answers_earn_the_maximum(rows: list[BfclRow], style: str) -> None:
    answered = [row for row in rows if row.expect != "any_call"]
    results = {
        row.id: tool_call_reward(reference_answer(row, style, "t"), ground_truth(row, style))
        for row in answered
    }
    assert len(answered) == 3625
    assert [i for i, result in results.items() if not result.exact_match] == []
    # Format 1 and correctness 3; where no call is wanted the preset scores the format alone.
    best = {"calls": 4.0, "no_call": 1.0}
    assert [row.id for row in answered if results[row.id].score != best[row.expect]] == []


def test_any_call_will_do_where_bfcl_gives_no_answer(rows: list[BfclRow]) -> None:
    answer = '<think> t </think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'
    truths = [ground_truth(row, "toolrl") for row in rows if row.expect == "any_call"]
    assert len(truths) == 16
    assert all(tool_call_reward(answer, truth).exact_match for truth in truths)
    refusal = "<think> t </think>\n<response> no </response>"
    assert not any(tool_call_reward(refusal, truth).exact_match for truth in truths)


@pytest.fixture
def official_checker(monkeypatch: pytest.MonkeyPatch) -> Callable[[BfclRow, list[dict]], bool]:
    """bfcl-eval's `ast_checker`; it imports every model client but for one flag of one entry."""
    config = types.ModuleType("bfcl_eval.constants.model_config")
    entry = types.SimpleNamespace(underscore_to_dot=False)
    monkeypatch.setattr(config, "MODEL_CONFIG_MAPPING", {"any": entry}, raising=False)
    monkeypatch.setitem(sys.modules, config.__name__, config)
    checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
    python = importlib.import_module("bfcl_eval.constants.enums").Language.PYTHON

    def check(row: BfclRow, calls: list[dict]) -> bool:
        truth = [{call["name"]: call["parameters"]} for call in row.calls]
        verdict = checker.ast_checker(row.functions, calls, truth, python, row.category, "any")
        return verdict["valid"]

    return check


def test_reference_answers_pass_the_official_checker(
    rows: list[BfclRow], official_checker: Callable[[BfclRow, list[dict]], bool]
) -> None:
    # Java and JavaScript rows are left out: there the checker wants values as source code.
    python_rows = [row for row in rows if row.calls and "java" not in row.category]
    assert len(python_rows) == 2351
    failed = {
        row.id
        for row in python_rows
        if not official_checker(row, parsed_calls(reference_answer(row, "toolrl", "t"), "toolrl"))
    }
    assert failed == UNSOLVABLE


@pytest.mark.parametrize("style", STYLES)
def test_answers_parse_back_to_allowed_values(rows: list[BfclRow], style: str) -> None:
    for row in rows:
        if row.expect == "any_call":
            continue
        calls = parsed_calls(reference_answer(row, style, "t"), style)
        assert [name for call in calls for name in call] == [call["name"] for call in row.calls]
        for call, truth in zip(calls, row.calls, strict=True):
            for name, value in call[truth["name"]].items():
                allowed = truth["parameters"][name]
                # Objects hold a list of choices at each key; the two checks above see to them.
                assert "{" in json.dumps(allowed) or value in allowed
