"""Single-turn verdicts against BFCL's own checkers, which run in a process of their own.

A part of `official_agreement.py`, which does the same with every row and more seeds.
"""

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
if not all(map(importlib.util.find_spec, ("mpmath", "filelock"))):
    pytest.skip("bfcl-eval needs mpmath and filelock", allow_module_level=True)

from bfcl_outputs import unchanged
from official_agreement import Case, official_single_turn, single_turn_cases

from rest_verl.data.bfcl import BfclRow, BfclSource
from rest_verl.evaluation.bfcl.single_turn import score_single_turn

BFCL_V3 = Path(__file__).resolve().parents[4] / "shared" / "data" / "bfcl_v3"


def disagreements(cases: list[Case]) -> list[tuple[str, str]]:
    official = official_single_turn(cases)
    return [
        (case.row.id, case.kind)
        for case, verdict in zip(cases, official, strict=True)
        if score_single_turn(case.row, case.calls).valid is not verdict
    ]


def test_every_change_on_rows_of_every_category() -> None:
    source = BfclSource.open()
    chosen: list[BfclRow] = []
    for category in source.select([]):
        rows = source.read(category)
        chosen += rows[:: 1 if "java" in category or len(rows) < 100 else 4]
    cases = single_turn_cases(chosen, range(1))
    assert len(cases) > 10_000
    assert disagreements(cases) == []
    verdicts = Counter((case.kind, score_single_turn(case.row, case.calls).valid) for case in cases)
    # Both verdicts occur with every change, or the agreement would say little.
    assert all(verdicts[kind, valid] for kind, _ in verdicts for valid in (True, False))


@pytest.mark.skipif(not BFCL_V3.is_dir(), reason="no folder shared/data/bfcl_v3")
def test_version_3() -> None:
    cases = single_turn_cases(BfclSource.open(BFCL_V3).read("simple")[::2], range(1))
    assert disagreements(cases) == []


def one_parameter(spec: dict, allowed: list, value: Any, category: str = "simple_python") -> Case:
    function = {"name": "f", "parameters": {"properties": {"p": spec}, "required": []}}
    row = BfclRow(
        id="r",
        category=category,
        version="v4",
        messages=[],
        functions=[function],
        expect="calls",
        calls=[{"name": "f", "parameters": {"p": allowed}}],
    )
    return Case(row, "by hand", [{"name": "f", "arguments": {"p": value}}])


def test_where_the_official_checker_raises_the_output_is_wrong() -> None:
    objects = {"type": "array", "items": {"type": "dict"}}
    digits = "9" * 5000
    cases = [
        one_parameter({"type": "float"}, [1.0], 10**400),
        one_parameter(objects, [[{"a": [1]}], ""], [5]),
        one_parameter({"type": "dict"}, [{"a": 1}], {"a": 1}),
        one_parameter({"type": "integer"}, [1], digits, "simple_java"),
        one_parameter({"type": "long"}, [1], digits + "L", "simple_java"),
        one_parameter({"type": "Bigint"}, [1], digits + "n", "simple_javascript"),
    ]
    assert official_single_turn(cases) == [
        "OverflowError",
        "AttributeError",
        "TypeError",
        *["ValueError"] * 3,
    ]
    assert not any(score_single_turn(case.row, case.calls).valid for case in cases)


UNSOLVED = {
    "live_simple_106-63-0": "no value is allowed for required parameters",
    "live_simple_112-68-0": "the same",
    "live_multiple_862-181-3": "the answer has a parameter that the function lacks",
    "live_multiple_964-207-0": "the answer lacks a parameter that the function requires",
    "simple_java_36": "strings in a list are compared with their quotes",
    "simple_java_65": "the same",
    "simple_java_64": "the value in the map is bare, so it reads as a list of its characters",
}


def test_rows_that_their_own_answers_do_not_solve() -> None:
    source = BfclSource.open()
    rows = [row for category in source.select([]) for row in source.read(category)]
    unsolved = {row.id for row in rows}
    for case in single_turn_cases(rows, range(6), changes=(unchanged,)):
        if score_single_turn(case.row, case.calls).valid:
            unsolved.discard(case.row.id)
    assert unsolved == UNSOLVED.keys()
