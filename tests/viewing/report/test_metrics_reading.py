"""Metrics files are read whatever is wrong with them, and what was left out is said."""

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.viewing.report.metrics import (
    NoStepYet,
    gap_remarks,
    load_metrics,
    parse_array,
    parse_metrics,
    ranges,
    read_metrics,
    series,
)


@pytest.mark.parametrize(
    ("content", "records", "remark"),
    [
        pytest.param(
            b'{"step": 2, "a": 1}\n{"step": 1, "a": 2}\n',
            [{"step": 1, "a": 2.0}, {"step": 2, "a": 1.0}],
            None,
            id="steps come in order",
        ),
        pytest.param(
            b'{"step": 1, "data": {"a": 1, "step": 9}}\n',
            [{"step": 1, "a": 1.0}],
            None,
            id="verl's file logger",
        ),
        pytest.param(
            b'{"step": 1, "a": 1, "b": 1}\n{"step": 1, "a": 2}\n',
            [{"step": 1, "a": 2.0, "b": 1.0}],
            "Written more than once, the later values count: step 1.",
            id="lines of one step are merged, the later wins",
        ),
        pytest.param(
            b'{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 3, "a": 3}\n{"step": 2, "a": 9}\n',
            [{"step": 1, "a": 1.0}, {"step": 2, "a": 9.0}, {"step": 3, "a": 3.0}],
            "Written more than once, the later values count: step 2 "
            "(a resumed run? step 3 may be of before).",
            id="resumed from step 1: step 3 is still that of the first attempt",
        ),
        pytest.param(
            b'{"step": 1, "a": 1}\n{"step": 1, "b": 2}\n',
            [{"step": 1, "a": 1.0, "b": 2.0}],
            None,
            id="other metrics of the same step are no repetition",
        ),
        pytest.param(
            b'{"step": 1, "a": 1}\n{"step": 2, "a"',
            [{"step": 1, "a": 1.0}],
            "The last line is cut off and was skipped.",
            id="cut last line",
        ),
        pytest.param(
            b'{"step": 1, "a": 1}',
            [{"step": 1, "a": 1.0}],
            None,
            id="last line complete but for its newline",
        ),
        pytest.param(
            b'{"step": 1, "a": NaN, "b": null, "c": -1e999, "d": 1}\n',
            [{"step": 1, "d": 1.0}],
            "Left out, not finite numbers: a (1×), b (1×), c (1×).",
            id="NaN, the null that orjson writes for it, infinity",
        ),
        pytest.param(
            b'{"step": 1, "a": "x", "b": true, "c": [1]}\n',
            [{"step": 1}],
            None,
            id="what is no number is no metric",
        ),
        pytest.param(
            b'{"a": 1}\n[1]\n{"step": -1}\n{"step": 1.5}\n\n\xff\n' + b"[" * 100_000 + b"\n",
            [],
            "Skipped without a readable step: lines 1–4, 6–7.",
            id="no step, no object, no JSON, nesting without end; an empty line is nothing",
        ),
        pytest.param(
            b'{"step": 1, "a": 1' + b"0" * 400 + b"}\n",
            [{"step": 1}],
            "Left out, not finite numbers: a (1×).",
            id="an integer beyond the range of a float",
        ),
        pytest.param(
            b'{"_step": 0, "_runtime": 9, "_timestamp": 1.7e9, "_wandb": {"runtime": 9}, "a": 1}\n'
            b'{"_step": 1, "_runtime": 12, "_timestamp": 1.7e9, "a": null, "b": 2}\n',
            [{"step": 0, "a": 1.0}, {"step": 1, "b": 2.0}],
            None,
            id="a wandb history: null is what was not logged, and its own columns are no metrics",
        ),
        pytest.param(
            b'{"_step": 7, "step": 3, "a": 1}\n{"_step": 8, "step": null, "a": 2}\n',
            [{"step": 3, "a": 1.0}, {"step": 8, "a": 2.0}],
            None,
            id="step wins over wandb's _step, where it is there",
        ),
        pytest.param(
            b'{"_step": 1, "a": "NaN", "b": "Infinity", "c": "-Infinity", "d": "x", "e": 1}\n',
            [{"step": 1, "e": 1.0}],
            "Left out, not finite numbers: a (1\u00d7), b (1\u00d7), c (1\u00d7).",
            id="wandb writes what is not finite as text",
        ),
        pytest.param(
            b'{"_step": 1.0, "a": 1}\n{"_step": -1, "a": 1}\n{"_step": "2", "a": 1}\n',
            [{"step": 1, "a": 1.0}],
            "Skipped without a readable step: lines 2–3.",
            id="a _step that is no step",
        ),
    ],
)
def test_lines_are_read(content: bytes, records: list[dict], remark: str | None) -> None:
    found, remarks = parse_metrics(content.splitlines(keepends=True))
    assert found == records
    assert remarks == ([] if remark is None else [remark])


@given(st.lists(st.binary(max_size=60)))
def test_reading_never_raises(lines: list[bytes]) -> None:
    records, remarks = parse_metrics(lines)
    assert bool(records) or bool(remarks) or not any(line.strip() for line in lines)


def test_unicode_line_separators_do_not_cut_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a\u2028b": 1}\n', encoding="utf-8")
    assert read_metrics(path) == [{"step": 1, "a\u2028b": 1.0}]


RECORDS = [{"step": 1, "a": 1.0}, {"step": 3, "a": 2.0}]


@pytest.mark.parametrize(
    ("content", "remarks"),
    [
        pytest.param(b'%s{"step": 1, "a": 1}\r\n{"step": 3, "a": 2}\r\n', [], id="CRLF"),
        pytest.param(b'%s{"_step": 1, "a": 1}\n{"_step": 3, "a": 2}', [], id="no last end"),
        pytest.param(
            b'%s{"step": 1, "a": 1}\r\n\r\n{"a": 1}\r\n{"step": 3, "a": 2}\r\n',
            ["Skipped without a readable step: line 3."],
            id="a line that is wrong keeps its number",
        ),
        pytest.param(
            b'%s{"step": 1, "a": 1}\r\n{"step": 3, "a": 2}\r\n{"st',
            ["The last line is cut off and was skipped."],
            id="a cut line",
        ),
        pytest.param(b'%s [{"step": 1, "a": 1}, {"_step": 3, "a": 2}]\n', [], id="array"),
        pytest.param(
            b'%s[\r\n {"step": 1, "a": 1},\r\n 5, {"a": 1},\r\n {"step": 3, "a": 2}\r\n]\r\n',
            ["Skipped without a readable step: objects 2–3."],
            id="array over several lines",
        ),
        pytest.param(
            b'%s[1]\n{"step": 1, "a": 1}\n{"step": 3, "a": 2}\n',
            ["Skipped without a readable step: line 1."],
            id="lines, of which the first is an array",
        ),
    ],
)
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "mark"])
def test_files_as_people_have_them(
    tmp_path: Path, content: bytes, remarks: list[str], mark: bytes
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content % mark)
    assert load_metrics(path) == (RECORDS, remarks)


@pytest.mark.parametrize("content", [b"[]", b'[{"a": 1}]', b"[1]\n", b"[", b"[" * 100_000])
def test_an_array_without_steps_is_no_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(NoStepYet, match=r"metrics\.jsonl holds no step yet"):
        load_metrics(tmp_path / "metrics.jsonl")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "a": 1}\n', encoding="utf-16")
    with pytest.raises(ValueError, match=r"metrics\.jsonl: is UTF-16, .*iconv -f UTF-16"):
        load_metrics(tmp_path / "metrics.jsonl")


VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.just({"x": 1})


@given(st.lists(st.dictionaries(st.sampled_from(["_step", "step", "data", "_a", "a"]), VALUES)))
def test_lines_and_an_array_of_them_are_read_alike(objects: list[dict[str, Any]]) -> None:
    as_lines = parse_metrics([json.dumps(item).encode() + b"\n" for item in objects])
    as_array = parse_array(json.dumps(objects).encode())
    assert as_array is not None
    assert as_array[0] == as_lines[0]
    assert not {name for record in as_lines[0] for name in record} & {"_step", "_a", "data"}


def test_gaps_are_remarked() -> None:
    records = [
        {"step": 0, "val-core/x/reward/mean@1": 0.0},  # validation only: no training step
        {"step": 1, "a": 1.0, "b": 1.0},
        {"step": 2, "a": 1.0},
        {"step": 5, "a": 1.0, "b": 1.0},
    ]
    assert gap_remarks(records, ["a", "b"]) == [
        "No values for steps 3–4.",
        "Without a value: b at step 2.",
    ]
    assert gap_remarks(records[:1], []) == ["No training step yet: validation only."]


def test_ranges() -> None:
    assert ranges([3, 4, 5, 9], "step") == "steps 3–5, 9"
    assert ranges([7], "line") == "line 7"
    assert ranges([1, 3, 5, 7, 9, 11, 13], "step") == "steps 1, 3, 5, 7, 9 and 2 more"


def test_series_takes_the_first_name_that_the_run_has() -> None:
    records = [{"step": 1, "old": 1.0}, {"step": 2}, {"step": 3, "old": 3.0}]
    assert series(records, ("new", "old")) == ([1, 3], [1.0, 3.0])
    assert series(records, ("new",)) == ([], [])


def test_file_logger_and_flat_lines_mix(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {"a": 1}}\n{"step": 1, "b": 2}\n')
    assert load_metrics(path) == ([{"step": 1, "a": 1.0, "b": 2.0}], [])
