"""The reward on real rows: BFCL's single-turn answers and ToolRL's rows."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rest_verl.rewards import tool_call_reward

SHARED = Path(__file__).parents[3] / "shared" / "data"
CATEGORIES = [
    *("simple_python", "simple_java", "simple_javascript", "multiple", "parallel"),
    *("parallel_multiple", "live_simple", "live_multiple", "live_parallel"),
    "live_parallel_multiple",
]

Call = tuple[str, dict[str, Any]]


def bfcl_answers(category: str) -> Path:
    if category == "v3_simple":
        return SHARED / "bfcl_v3" / "possible_answer" / "BFCL_v3_simple.json"
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or spec.origin is None:
        pytest.skip("bfcl-eval is not installed")
    folder = Path(spec.origin).parent / "data" / "possible_answer"
    return folder / f"BFCL_v4_{category}.json"


def rows(path: Path) -> Iterator[tuple[str, list[Call]]]:
    if not path.exists():
        pytest.skip(f"{path} is absent")
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            yield row["id"], [item for call in row["ground_truth"] for item in call.items()]


def stated(allowed: list[Any]) -> list[Any]:
    return [value for value in allowed if value != ""]


def literal(value: Any, pick: int, optional: bool) -> Any:
    """A value as a model would write it, from one allowed value."""
    if isinstance(value, dict):
        lists = {k: v if isinstance(v, list) else [v] for k, v in value.items()}
        return {
            k: literal(stated(v)[pick], pick, optional) if stated(v) else ""
            for k, v in lists.items()
            if optional or "" not in v
        }
    if isinstance(value, list):
        return [literal(item, pick, optional) for item in value]
    return value


def answer_calls(calls: list[Call], pick: int, optional: bool) -> list[Call]:
    return [
        (
            name,
            {
                key: literal(stated(allowed)[pick], pick, optional)
                for key, allowed in parameters.items()
                if stated(allowed) and (optional or "" not in allowed)
            },
        )
        for name, parameters in calls
    ]


def text(calls: list[Call], format: str) -> str:
    if format == "chat_template":
        return "\n".join(
            f"<tool_call>\n{json.dumps({'name': n, 'arguments': a})}\n</tool_call>"
            for n, a in calls
        )
    lines = "\n".join(json.dumps({"name": n, "parameters": a}) for n, a in calls)
    return f"<think>t</think>\n<tool_call>\n{lines}\n</tool_call>"


def altered(value: Any) -> Any:
    """A value that no list of allowed values holds."""
    if isinstance(value, bool) or value is None:
        return "altered"
    if isinstance(value, (int, float)):
        return value + 987_654_321
    if isinstance(value, str):
        return value + " altered"
    if isinstance(value, list):
        return [*value, "altered"]
    return {**value, "altered": 1}


@pytest.mark.parametrize("category", [*CATEGORIES, "v3_simple"])
def test_bfcl_answers(category: str) -> None:
    num_rows = num_wrong = 0
    for row_id, calls in rows(bfcl_answers(category)):
        for format in ("toolrl", "chat_template"):
            truth = json.dumps(
                {
                    "format": format,
                    "expect": "calls",
                    "calls": [{"name": name, "parameters": allowed} for name, allowed in calls],
                }
            )
            first = answer_calls(calls, 0, True)
            for right in (
                first,
                answer_calls(calls, -1, True),
                answer_calls(calls, 0, False),
                first[::-1],
            ):
                result = tool_call_reward(text(right, format), truth)
                assert (result.score, result.exact_match) == (4.0, True), (row_id, right)
            for wrong in wrong_answers(calls, first):
                result = tool_call_reward(text(wrong, format), truth)
                assert result.correctness < 3.0, (row_id, wrong)
                assert not result.exact_match
                num_wrong += 1
        num_rows += 1
    assert num_rows >= 16
    assert num_wrong >= 4 * num_rows


def wrong_answers(expected: list[Call], right: list[Call]) -> Iterator[list[Call]]:
    """Answers that differ from a right one in one thing."""
    for i, (name, arguments) in enumerate(right):
        before, after = right[:i], right[i + 1 :]
        yield [*before, (name + "_", arguments), *after]
        yield [*before, *after]
        yield [*before, (name, {**arguments, "no_such_parameter": 1}), *after]
        for key, value in arguments.items():
            yield [*before, (name, {**arguments, key: altered(value)}), *after]
            if "" not in expected[i][1][key]:
                rest = {k: v for k, v in arguments.items() if k != key}
                yield [*before, (name, rest), *after]


def test_toolrl_rows_earn_the_maximum_with_their_own_answer() -> None:
    path = SHARED / "rlla" / "rlla_sft.json"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    outputs = [row["output"] for row in json.loads(path.read_text(encoding="utf-8"))]
    assert len(outputs) == 400
    scores = [tool_call_reward(output, output) for output in outputs]
    assert all(result.format_ok and result.exact_match for result in scores)
    # Rows without a call score 0 for correctness.
    assert {result.score for result in scores if result.num_calls} == {4.0}
    assert {result.score for result in scores if not result.num_calls} == {1.0}
