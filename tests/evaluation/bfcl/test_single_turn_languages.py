"""Java and JavaScript values as text: what BFCL reads of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.evaluation.bfcl.foreign_values import MAX_LENGTH, java_value, javascript_value

LARGE = "9" * 5000


@pytest.mark.parametrize(
    ("kind", "items", "text", "expected"),
    [
        ("integer", None, "-12", -12),
        ("integer", None, "12\n", 12),
        ("integer", None, " 12", " 12"),  # what does not fit stays text
        ("integer", None, LARGE, LARGE),
        ("byte", None, "300", 300),  # ranges are not checked
        ("long", None, "12L", 12),
        ("long", None, "12", "12"),
        ("float", None, "1.5f", 1.5),
        ("float", None, "1.5", "1.5"),
        ("double", None, "1e3", 1000.0),
        ("double", None, ".5", ".5"),
        ("boolean", None, "true", True),
        ("boolean", None, "TRUE", "TRUE"),
        ("char", None, "'a'", "'a'"),
        ("String", None, '"a"', '"a"'),  # quotes are kept
        ("Array", "integer", "new int[]{1, 2}", [1, 2]),
        ("Array", "integer", "new int[]{1, x}", [1, "x"]),
        ("Array", "String", 'new String[]{"a, b"}', ['"a', 'b"']),  # parted inside quotes
        ("Array", "String", "new String[]{}", []),
        ("Array", "String", "{1}", "{1}"),
        ("ArrayList", "String", 'new ArrayList<String>(Arrays.asList("a", "b"))', ["a", "b"]),
        ("ArrayList", "long", "new ArrayList<>() {{ add(1L); add(2L); }}", [1, 2]),
        ("ArrayList", "String", 'new ArrayList<>(){{add("a");}}', ["a"]),
        ("ArrayList", "String", "new ArrayList<>()", []),
        ("ArrayList", "String", "new ArrayList<>() {{ }}", []),
        ("ArrayList", "String", "new ArrayList<>() {{ add(", []),  # unclosed: reads as empty
        # Nothing between the braces: they reach to the next pair.
        ("ArrayList", "integer", "new ArrayList<>() {{}} add(1) }}", [1]),
        ("ArrayList", "any", "Arrays.asList(1)", "Arrays.asList(1)"),
        ("HashMap", None, 'new HashMap<>() {{ put("a", 1); put("b", "x"); }}', {"a": 1, "b": "x"}),
        ("HashMap", None, 'new HashMap<>() { { put("a", true); } }', {"a": True}),
        (
            "HashMap",
            None,
            'new HashMap<>() {{ put("a", 2L); put("b", 1.5f); }}',
            {"a": 2, "b": 1.5},
        ),
        ("HashMap", None, 'new HashMap<>() {{ put("a",\n  1); }}', {"a": 1}),
        ("HashMap", None, 'new HashMap<>() {{ put("a", f(1)); }}', {"a": "f(1"}),
        ("HashMap", None, "new HashMap<String, Integer>()", {}),
        ("HashMap", None, "Map.of()", "Map.of()"),
    ],
)
def test_java(kind: str, items: str | None, text: str, expected: Any) -> None:
    read = java_value(text, kind, items)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("kind", "items", "text", "expected"),
    [
        ("String", None, "'a'", "a"),
        ("String", None, '"a', '"a'),
        ("String", None, '"', ""),
        ("integer", None, "12", 12),
        ("integer", None, "1.0", "1.0"),
        ("float", None, "12", 12.0),
        ("float", None, "1e3", "1e3"),
        ("Bigint", None, "12n", 12),
        ("Boolean", None, "false", False),
        ("any", None, "12", "12"),
        ("array", "integer", " [1, 2] ", [1, 2]),
        ("array", "String", "['a', \"b\"]", ["a", "b"]),
        ("array", "String", "[]", []),
        ("array", "integer", "new Array(1, 2)", [1, 2]),
        ("array", "any", "[1, true]", ["1", "true"]),
        ("array", "integer", "[[1, 2], [3]]", [[1, 2], [3]]),
        ("array", "integer", "[ [1],\n [2] ]", [[1], [2]]),
        ("array", "integer", "new Array([1], [2])", [[1], [2]]),
        ("array", "integer", "[[1], 2]", ["[1"]),  # neither rows nor a plain list
        ("array", "integer", "1, 2", "1, 2"),
        ("dict", None, "{}", {}),
        ("dict", None, "{'a': 1, b: \"x\"}", {"a": 1, "b": "x"}),
        ("dict", None, "{a: x, y, b: [1, 'z']}", {"a": "x, y", "b": [1, "z"]}),
        ("dict", None, "{a: {b: 1}}", {"a": "{b: 1"}),  # only the first bracket is seen
        ("dict", None, "{a: '12'}", {"a": 12}),
        ("dict", None, "a: 1", "a: 1"),
    ],
)
def test_javascript(kind: str, items: str | None, text: str, expected: Any) -> None:
    read = javascript_value(text, kind, items)
    assert read == expected
    assert type(read) is type(expected)


def test_types_without_a_rule_are_refused() -> None:
    with pytest.raises(ValueError, match="Java type 'Set'"):
        java_value("x", "Set")
    with pytest.raises(ValueError, match="JavaScript type 'Map'"):
        javascript_value("x", "Map")


def test_a_long_collection_stays_text() -> None:
    for length, is_read in ((MAX_LENGTH, True), (MAX_LENGTH + 1, False)):
        text = "[" + " " * (length - 2) + "]"
        assert (javascript_value(text, "array", "integer") == []) is is_read


@pytest.mark.parametrize(
    ("kind", "text"),
    [  # a model that repeats itself; the official patterns never come to an end on the first
        ("array", "[" + "[1], " * 300 + "x"),
        ("array", "new Array(" + "[1], [" * 200),
        ("dict", "{" + "a: [1], " * 200),
        ("ArrayList", "new ArrayList<>() {{" + " " * 1900),
        ("ArrayList", "new ArrayList<>() {{ " * 90),
        ("HashMap", 'new HashMap<>() {{ put("a",' + " " * 1800),
        ("HashMap", 'new HashMap<>() {{ put("a", ' * 60 + "}"),
    ],
)
def test_degenerate_text_is_read_in_the_end(kind: str, text: str) -> None:
    assert len(text) <= MAX_LENGTH
    read = javascript_value if kind in ("array", "dict") else java_value
    read(text, kind, None if kind in ("dict", "HashMap") else "integer")


PIECES = (
    *("new ", "ArrayList<>", "HashMap<>", "()", "{", "}", "add(", "put(", '"a"', ")", ",", " "),
    *("[", "]", ":", "1", "\n", "'", "new Array(", "int[]", "Arrays.asList(", "٣", "true"),
)
pieces = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(pieces, st.sampled_from(("Array", "ArrayList", "HashMap")))
def test_no_java_text_raises(text: str, kind: str) -> None:
    assert isinstance(java_value(text, kind, "integer"), (list, dict, str))


@given(pieces, st.sampled_from(("array", "dict")))
def test_no_javascript_text_raises(text: str, kind: str) -> None:
    assert isinstance(javascript_value(text, kind, "float"), (list, dict, str))


@given(st.lists(st.lists(st.integers(), min_size=1), min_size=1))
def test_rows_of_numbers_come_back(rows: list[list[int]]) -> None:
    text = f"[{', '.join(map(str, rows))}]"
    if len(text) <= MAX_LENGTH:
        assert javascript_value(text, "array", "integer") == rows
