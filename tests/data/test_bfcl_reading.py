"""Reading BFCL: the package's own data, other versions, and everything that is refused."""

import importlib.util
import sys
from pathlib import Path

import pytest
from bfcl_samples import ANSWER, QUESTION, numbered, write_category, write_folder

from rest_verl.data import CATEGORIES, BfclRow, BfclSource

BFCL_V3 = Path(__file__).resolve().parents[3] / "shared" / "data" / "bfcl_v3"

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("bfcl_eval") is None, reason="the package bfcl-eval is not installed"
)


@needs_package
def test_counts_of_the_package() -> None:
    loaded = set(sys.modules)
    source = BfclSource.open()
    assert {c: len(source.read(c)) for c in source.select([])} == {
        "simple_python": 400,
        "simple_java": 100,
        "simple_javascript": 50,
        "multiple": 200,
        "parallel": 200,
        "parallel_multiple": 200,
        "irrelevance": 240,
        "live_simple": 258,
        "live_multiple": 1053,
        "live_parallel": 16,
        "live_parallel_multiple": 24,
        "live_irrelevance": 884,
        "live_relevance": 16,
    }
    # Its modules make folders and load model clients: reading must not import them.
    assert not [name for name in set(sys.modules) - loaded if name.startswith("bfcl_eval")]


@needs_package
def test_first_row_of_the_package() -> None:
    row = BfclSource.open().read("simple_python")[0]
    assert (row.id, row.category, row.version, row.expect) == (
        "simple_python_0",
        "simple_python",
        "v4",
        "calls",
    )
    assert row.calls == [
        {
            "name": "calculate_triangle_area",
            "parameters": {"base": [10], "height": [5], "unit": ["units", ""]},
        }
    ]
    assert [m["role"] for m in row.messages] == ["user"]


@pytest.mark.skipif(not BFCL_V3.is_dir(), reason="shared/data/bfcl_v3 is not there")
def test_version_3_names() -> None:
    source = BfclSource.open(BFCL_V3)
    assert (source.version, source.name, source.release) == ("v3", "bfcl_v3", None)
    assert source.select([]) == ["simple"]
    assert len(source.read("simple")) == 400


def test_only_newline_ends_a_line(tmp_path: Path) -> None:
    text = '{"id": "multiple_0", "question": [[{"role": "user", "content": "a\u2028b\u0085c"}]]'
    write_category(tmp_path, [text + ', "function": []}', "", "  "], [ANSWER])
    (row,) = BfclSource.open(tmp_path).read("multiple")
    assert row.messages == [{"role": "user", "content": "a\u2028b\u0085c"}]


@pytest.mark.parametrize(
    ("category", "expect"), [("irrelevance", "no_call"), ("live_relevance", "any_call")]
)
def test_categories_without_answers(tmp_path: Path, category: str, expect: str) -> None:
    write_category(tmp_path, [QUESTION], None, f"v4_{category}")
    (row,) = BfclSource.open(tmp_path).read(category)
    assert (row.expect, row.calls) == (expect, [])


def test_selection_keeps_the_order_of_the_table(tmp_path: Path) -> None:
    source = BfclSource.open(write_folder(tmp_path))
    assert source.select(["live_simple", "multiple", "live_simple"]) == ["multiple", "live_simple"]


def test_checksums_cover_questions_and_answers(tmp_path: Path) -> None:
    source = BfclSource.open(write_folder(tmp_path))
    before = source.checksums(["multiple"])
    assert list(before) == ["BFCL_v4_multiple.json", "possible_answer/BFCL_v4_multiple.json"]
    write_category(tmp_path, None, [ANSWER])
    after = source.checksums(["multiple"])
    assert [before[name] == after[name] for name in before] == [True, False]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "found none"),
        (["BFCL_v3_simple.json", "BFCL_v4_simple_python.json"], "found v3, v4"),
        (["BFCL_v2_live_simple.json"], "found v2"),
        (["BFCL_v4_simple_python.jsonl", "notes.json"], "found none"),
    ],
    ids=["empty", "two versions", "unknown version", "other names"],
)
def test_folder_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"{tmp_path}: need BFCL_.* of v3, v4.*{message}"):
        BfclSource.open(tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        BfclSource.open(tmp_path / "absent")


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("simple", r"unknown category 'simple'; did you mean simple_python\? BFCL v4 has simple"),
        ("", "unknown category ''"),
        ("memory", "unknown category 'memory'"),
        ("multi_turn_composite", "unknown category 'multi_turn_composite'.*multi_turn_base"),
    ],
    ids=["v3's name", "empty", "agentic", "dropped in v4"],
)
def test_category_refused(tmp_path: Path, category: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BfclSource.open(write_folder(tmp_path)).select(["multiple", category])


def test_folder_with_multi_turn_data_only(tmp_path: Path) -> None:
    write_category(tmp_path, [QUESTION], [ANSWER], "v4_multi_turn_base")
    source = BfclSource.open(tmp_path)
    with pytest.raises(ValueError, match="holds none of simple_python"):
        source.select([])
    assert source.select(["multi_turn"]) == ["multi_turn_base"]


def test_multi_turn_stands_for_what_is_there(tmp_path: Path) -> None:
    source = BfclSource.open(write_folder(tmp_path))
    with pytest.raises(ValueError, match="holds none of multi_turn_base, multi_turn_miss_func"):
        source.select(["multi_turn"])
    for kind in ("long_context", "base"):
        write_category(tmp_path, [QUESTION], None, f"v4_multi_turn_{kind}")
    assert source.select(["multi_turn", "multiple"]) == [
        "multiple",
        "multi_turn_base",
        "multi_turn_long_context",
    ]
    # Named outright, it is asked for although it is not there.
    assert source.select(["multi_turn_miss_func"]) == ["multi_turn_miss_func"]


def test_answers_alone_are_not_passed_by(tmp_path: Path) -> None:
    source = BfclSource.open(write_folder(tmp_path))
    write_category(tmp_path, None, [ANSWER], "v4_parallel")
    assert source.select([]) == ["multiple", "parallel"]
    with pytest.raises(ValueError, match=r"BFCL_v4_parallel\.json: no such file"):
        source.read("parallel")


def _question(**changes: object) -> dict:
    return {**QUESTION, **changes}


def _answer(truth: object) -> dict:
    return {**ANSWER, "ground_truth": truth}


BAD_CONTENT = [
    # reason, questions, answers, expected file and line, expected rest of the message
    ("broken line", [QUESTION, '{"id": '], [ANSWER], "multiple.json:2", "not a line of JSON"),
    ("not UTF-8 JSON", ['{"id": "\\ud800"}'], [ANSWER], "multiple.json:1", "not a line of JSON"),
    ("infinite number", ['{"id": 1e999}'], [ANSWER], "multiple.json:1", "not a line of JSON"),
    ("deep nesting", ["[" * 100_000], [ANSWER], "multiple.json:1", "not a line of JSON"),
    ("not an object", ["[1]"], [ANSWER], "multiple.json:1", "not a JSON object"),
    ("no id", [{"question": []}], [ANSWER], "multiple.json:1", 'no "id"'),
    ("id not a text", [_question(id=3)], [ANSWER], "multiple.json:1", 'no "id"'),
    (
        "duplicate id",
        [QUESTION, numbered(QUESTION, 1), QUESTION],
        [ANSWER],
        "multiple.json:3 (multiple_0)",
        "duplicate id, first at",
    ),
    (
        "duplicate answer",
        [QUESTION],
        [ANSWER, ANSWER],
        "possible_answer/BFCL_v4_multiple.json:2 (multiple_0)",
        "duplicate id, first at",
    ),
    (
        "answer without question",
        [QUESTION],
        [ANSWER, numbered(ANSWER, 1)],
        "possible_answer/BFCL_v4_multiple.json:2 (multiple_1)",
        "answer without a question",
    ),
    (
        "question without answer",
        [QUESTION, numbered(QUESTION, 1)],
        [ANSWER],
        "multiple.json:2 (multiple_1)",
        "question without an answer",
    ),
    ("no question", [{"id": "multiple_0"}], [ANSWER], "(multiple_0)", '"question" is not a list'),
    (
        "two turns",
        [_question(question=QUESTION["question"] * 2)],
        [ANSWER],
        "(multiple_0)",
        "one turn",
    ),
    ("empty turn", [_question(question=[[]])], [ANSWER], "(multiple_0)", "at least one"),
    (
        "unknown role",
        [_question(question=[[{"role": "tool", "content": ""}]])],
        [ANSWER],
        "(multiple_0)",
        "a message needs",
    ),
    (
        "content not a text",
        [_question(question=[[{"role": "user", "content": None}]])],
        [ANSWER],
        "(multiple_0)",
        "a message needs",
    ),
    ("function not a list", [_question(function={})], [ANSWER], "(multiple_0)", '"function"'),
    (
        "function without parameters",
        [_question(function=[{"name": "f"}])],
        [ANSWER],
        "(multiple_0)",
        "a function needs",
    ),
    ("no ground truth", [QUESTION], [_answer([])], "(multiple_0)", "not a list of calls"),
    ("call of two names", [QUESTION], [_answer([{"f": {}, "g": {}}])], "(multiple_0)", "a call"),
    (
        "bare value",
        [QUESTION],
        [_answer([{"f": {"x": 1}}])],
        "possible_answer/BFCL_v4_multiple.json:1 (multiple_0)",
        "each parameter of f needs a list",
    ),
]


@pytest.mark.parametrize(
    ("questions", "answers", "where", "message"),
    [case[1:] for case in BAD_CONTENT],
    ids=[case[0] for case in BAD_CONTENT],
)
def test_content_refused(
    tmp_path: Path, questions: list, answers: list, where: str, message: str
) -> None:
    write_category(tmp_path, questions, answers)
    with pytest.raises(ValueError, match="BFCL_v4_multiple") as caught:
        BfclSource.open(tmp_path).read("multiple")
    assert str(caught.value).startswith(str(tmp_path))
    assert where in str(caught.value)
    assert message in str(caught.value)


def test_missing_answer_file(tmp_path: Path) -> None:
    write_category(tmp_path, [QUESTION], None)
    with pytest.raises(ValueError, match=r"possible_answer.BFCL_v4_multiple\.json: no such file"):
        BfclSource.open(tmp_path).read("multiple")


@pytest.mark.parametrize(("expect", "calls"), [("calls", []), ("no_call", [{"name": "f"}])])
def test_row_checks_itself(expect: str, calls: list) -> None:
    with pytest.raises(ValueError, match="r1: expects"):
        BfclRow(
            id="r1", category="multiple", version="v4", messages=[], functions=[],
            expect=expect, calls=calls,
        )  # fmt: skip


def test_versions_share_the_names_of_most_categories() -> None:
    assert set(CATEGORIES["v3"]) ^ set(CATEGORIES["v4"]) == {
        *("simple", "java", "javascript"),
        *("simple_python", "simple_java", "simple_javascript"),
    }
