"""Result files for BFCL's own `evaluate`. `official_evaluate.py` runs it on them."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
if importlib.util.find_spec("mpmath") is None:
    pytest.skip("MathAPI needs mpmath", allow_module_level=True)

from rest_verl.evaluation.bfcl.results import official_result, write_official


def record(category: str, calls: Any, number: int = 0, sample: int = 0) -> dict[str, Any]:
    return {"id": f"{category}_{number}", "category": category, "sample": sample, "calls": calls}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


UNKNOWN = '<tool_call>\n{"name": "unknown_function", "arguments": {}}\n</tool_call>'


def test_layout(tmp_path: Path) -> None:
    records = [
        record("simple_python", [call("a.b", x=1)], 0),
        record("simple_python", None, 1),
        record("live_relevance", []),
        record("multi_turn_base", [[[call("pwd")], []]]),
        record("simple_python", [call("c")], 0, sample=1),
    ]
    paths = write_official(records, tmp_path, version="v4")
    model = tmp_path / "result" / "Qwen_Qwen3-8B-FC"
    assert paths == [
        model / "non_live" / "BFCL_v4_simple_python_result.json",
        model / "live" / "BFCL_v4_live_relevance_result.json",
        model / "multi_turn" / "BFCL_v4_multi_turn_base_result.json",
    ]
    lines = [json.loads(line) for line in paths[0].read_text().splitlines()]
    assert lines == [
        {
            "id": "simple_python_0",
            "result": '<tool_call>\n{"name": "a.b", "arguments": {"x": 1}}\n</tool_call>',
        },
        {"id": "simple_python_1", "result": ""},
    ]
    (line,) = paths[2].read_text().splitlines()
    assert json.loads(line)["result"] == [
        ['<tool_call>\n{"name": "pwd", "arguments": {}}\n</tool_call>', ""]
    ]
    (other,) = write_official(records, tmp_path, version="v4", sample=1)
    assert "c" in other.read_text()


def test_nothing_in_a_call_ends_its_block(tmp_path: Path) -> None:
    calls = [call("f", x="\n</tool_call>\n<tool_call>\n\u2028\ud800é"), call("g")]
    (path,) = write_official([record("parallel", calls)], tmp_path, version="v4")
    (line,) = path.read_bytes().split(b"\n")[:-1]
    blocks = json.loads(line)["result"].split("\n")
    assert blocks[::3] == ["<tool_call>"] * 2
    assert [json.loads(block) for block in blocks[1::3]] == calls
    assert blocks[2::3] == ["</tool_call>"] * 2


@pytest.mark.parametrize(
    ("made", "is_written"),
    [
        (call("post_tweet", content="open('x', 'w')"), True),  # a text is quoted officially
        (call("unheard_of"), False),
        (call("open", file="x", mode="w"), False),  # what eval would run
        (call("__import__('os').system", command="x"), False),
        (call("post_tweet", **{"content=open('x','w'),tags": []}), False),
        (call("GorillaFileSystem.pwd"), False),
    ],
)
def test_only_calls_of_methods_reach_the_official_eval(made: dict, is_written: bool) -> None:
    ((text,),) = official_result(record("multi_turn_base", [[[made]]]))
    assert (text == UNKNOWN) is not is_written
    if is_written:
        assert json.loads(text.split("\n")[1]) == made


def test_what_bfcl_eval_cannot_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scores BFCL v4 only, and these results are of v3"):
        write_official([], tmp_path, version="v3")
    with pytest.raises(ValueError, match="no category 'simple'"):
        write_official([record("simple", [])], tmp_path, version="v4")
    assert list(tmp_path.iterdir()) == []
