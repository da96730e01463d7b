"""The rules of BFCL's single-turn checker, one by one, on small rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.data.bfcl import BfclRow
from rest_verl.evaluation.bfcl.single_turn import score_single_turn

SCALARS = ("string", "integer", "float", "boolean", "dict", "any")


def row(
    specs: dict[str, Any],
    allowed: dict[str, list[Any]],
    category: str = "simple_python",
    required: tuple[str, ...] = (),
) -> BfclRow:
    """One function `f`; a spec is a type, or (type, type of its items)."""
    properties = {
        name: {"type": spec}
        if isinstance(spec, str)
        else {"type": spec[0], "items": {"type": spec[1]}}
        for name, spec in specs.items()
    }
    function = {"name": "f", "parameters": {"properties": properties, "required": list(required)}}
    return BfclRow(
        id="r",
        category=category,
        version="v4",
        messages=[],
        functions=[function],
        expect="calls",
        calls=[{"name": "f", "parameters": allowed}],
    )


def error(row: BfclRow, *arguments: dict[str, Any], name: str = "f") -> str:
    verdict = score_single_turn(row, [{"name": name, "arguments": given} for given in arguments])
    assert verdict.valid == (verdict.error == "")
    return verdict.error


LIST_OF_OBJECTS = [{"a": [1], "b": ["", "x"]}, {"a": [2], "b": [""]}]


@pytest.mark.parametrize(
    ("spec", "allowed", "value", "expected"),
    [
        ("string", ["New York"], "New York", ""),
        ("string", ["New York, NY"], "new-york ny.", ""),  # standard form
        ("string", ["it's"], 'it"s', ""),  # single quotes become double ones
        ("string", ["New York"], "New\nYork", "wrong_value"),  # a line break is not removed
        ("string", ["a"], "b", "wrong_value"),
        ("string", ["1"], 1, "wrong_type"),
        ("string", ["a", ""], "", ""),  # "" takes part
        ("string", ["a", ""], "-", ""),  # and so does what becomes it
        ("string", [True], True, ""),  # the answer's type counts too
        ("string", [True, ""], "", ""),
        ("string", [True], "True", "wrong_value"),
        ("string", [None], None, ""),
        ("any", ["a"], "A", ""),
        ("any", ["a"], 1, "wrong_type"),
        ("integer", [5], 5, ""),
        ("integer", [5], 5.0, "wrong_type"),
        ("integer", [5], "5", "wrong_type"),
        ("integer", [1], True, "wrong_type"),
        ("integer", [5, ""], "", "wrong_type"),
        ("integer", ["n"], "n", ""),  # a variable: compared as it is
        ("integer", ["n"], "N", "wrong_value"),
        ("float", [5.0], 5, ""),  # a whole number will do for a decimal one
        ("float", [5.5], 5, "wrong_value"),
        ("float", [5.0], 10**400, "wrong_value"),  # the official checker raises
        (
            "float",
            [5],
            5.0,
            "",
        ),
        ("boolean", [True], True, ""),
        ("boolean", [True], 1, "wrong_type"),
        ("boolean", [True], "true", "wrong_type"),
        (("array", "string"), [["A b"]], ["ab"], ""),
        (("array", "string"), [["a", "b"]], ["b", "a"], "wrong_value"),
        (("array", "string"), [["a"]], [1], "wrong_type"),
        (("array", "string"), [["a"]], "a", "wrong_type"),
        (("array", "string"), [["a"], ""], [], ""),
        (("array", "string"), [["a"]], [], "wrong_value"),
        (("array", "string"), [["a"], ""], [1], "wrong_value"),  # "" lets any element type pass
        (("array", "integer"), [[1, 2]], [1, 2], ""),
        (("array", "integer"), [[1, 2]], [1, 2.0], "wrong_type"),
        (("array", "float"), [[1.0]], [1], "wrong_type"),  # not in lists
        (("array", "float"), [[1, 2.5]], [1, 2], "wrong_value"),
        (("array", "float"), [[1]], [1], ""),  # the type of the answer's first element
        (("array", "array"), [[["A"]]], [["A"]], ""),
        (("array", "array"), [[["A"]]], [["a"]], "wrong_value"),  # one level deep only
        (("tuple", "float"), [[1.5, 2.5]], [1.5, 2.5], ""),
        ("dict", [{"a": ["X y"], "b": ["", 1]}], {"a": "xy"}, ""),
        ("dict", [{"a": ["x"], "b": ["", 1]}], {"a": "x", "b": 1}, ""),
        ("dict", [{"a": ["x"], "b": [1]}], {"a": "x"}, "wrong_value"),
        ("dict", [{"a": ["x"]}], {"a": "x", "c": 1}, "wrong_value"),
        ("dict", [{"a": [1]}, {"a": [2]}], {"a": 2}, ""),
        ("dict", [{"a": [["X"]]}], {"a": ["x"]}, "wrong_value"),  # a list in it as it is
        ("dict", [{"a": ["x"]}], [], "wrong_type"),
        ("dict", [""], {}, "wrong_value"),
        ("dict", [{"a": "xy"}], {}, ""),  # a bare value reads as its characters
        ("dict", [{"a": "xy"}], {"a": "y"}, ""),
        ("dict", [{"a": "xy"}], {"a": "xy"}, "wrong_value"),
        ("dict", [{"a": 1}], {"a": 1}, "wrong_value"),  # the official checker raises
        (("array", "dict"), [LIST_OF_OBJECTS], [{"a": 1, "b": "X"}, {"a": 2}], ""),
        (("array", "dict"), [LIST_OF_OBJECTS], [{"a": 2}, {"a": 1}], "wrong_value"),
        (("array", "dict"), [LIST_OF_OBJECTS], [{"a": 1}], "wrong_value"),
        (("array", "dict"), [LIST_OF_OBJECTS], [{"a": 1}, 2], "wrong_type"),
        (("array", "dict"), [LIST_OF_OBJECTS, ""], [], ""),
        (("array", "dict"), [LIST_OF_OBJECTS, ""], [1, 2], "wrong_value"),  # it raises
    ],
)
def test_a_value(spec: Any, allowed: list[Any], value: Any, expected: str) -> None:
    assert error(row({"p": spec}, {"p": allowed}), {"p": value}) == expected


@pytest.mark.parametrize(
    ("category", "spec", "allowed", "value", "expected"),
    [
        ("java", "integer", [5], "5", ""),  # v3's name
        ("simple_java", "integer", [5], 5, "wrong_type"),  # values are texts
        ("simple_java", "integer", [5], "five", "wrong_type"),
        ("simple_java", "long", [5], "5L", ""),
        ("simple_java", "long", [5], "5", "wrong_type"),
        ("simple_java", "String", ["a b"], "A-b", ""),
        ("simple_java", "boolean", [True], "true", ""),
        ("simple_java", "any", ["x"], "x", ""),
        ("simple_java", ("ArrayList", "integer"), [[1]], "new ArrayList<>() {{ add(1); }}", ""),
        ("simple_java", ("Array", "String"), [['"a"']], 'new String[]{"a"}', ""),
        ("simple_java", "HashMap", [{"k": [1]}], 'new HashMap<>() {{ put("k", 1); }}', ""),
        ("simple_javascript", "String", ["a"], "'a'", ""),
        ("simple_javascript", "float", [5.0], "5", ""),
        ("simple_javascript", "Bigint", [5], "5n", ""),
        ("simple_javascript", "Boolean", [True], "True", "wrong_type"),
        ("simple_javascript", ("array", "String"), [["a", "b"]], "[\"a\", 'b']", ""),
        ("simple_javascript", "dict", [{"k": ["v"], "l": [1]}], "{'k': 'v', l: 1}", ""),
        ("simple_javascript", "dict", [{"k": ["v"]}], {"k": "v"}, "wrong_type"),
    ],
)
def test_a_value_in_another_language(
    category: str, spec: Any, allowed: list[Any], value: Any, expected: str
) -> None:
    assert error(row({"p": spec}, {"p": allowed}, category), {"p": value}) == expected


CALL = row(
    {"a": "integer", "b": "integer", "c": "integer"}, {"a": [1], "b": ["", 2]}, required=("a",)
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"a": 1}, ""),
        ({"b": 2, "a": 1}, ""),
        ({"b": 2}, "missing_parameter"),
        ({"a": 1, "c": 3}, "unexpected_parameter"),  # the function has it, the answer does not
        ({"a": 1, "d": 3}, "unexpected_parameter"),
        ({}, "missing_parameter"),
    ],
)
def test_parameters(arguments: dict[str, Any], expected: str) -> None:
    assert error(CALL, arguments) == expected


def test_a_parameter_that_is_not_required_but_must_be_given() -> None:
    assert error(row({"a": "integer"}, {"a": [1]}), {}) == "missing_parameter"


def test_names_and_numbers_of_calls() -> None:
    assert error(CALL, {"a": 1}, name="F") == "wrong_name"
    assert error(CALL, {"a": 1}, {"a": 1}) == "wrong_count"
    assert score_single_turn(CALL, []).error == "no_call"
    assert score_single_turn(CALL, None).error == "malformed"


def test_the_one_function_on_offer_is_right_whatever_the_answer_calls_it() -> None:
    given = row({"a": "integer"}, {"a": [1]}, "simple")
    given.calls[0]["name"] = "g"
    assert error(given, {"a": 1}, name="f") == ""
    assert error(given, {"a": 1}, name="g") == "wrong_name"


def several(category: str, *names_and_allowed: tuple[str, list[Any]]) -> BfclRow:
    parameters = {"properties": {"x": {"type": "integer"}}, "required": ["x"]}
    return BfclRow(
        id="r",
        category=category,
        version="v4",
        messages=[],
        functions=[{"name": name, "parameters": parameters} for name in ("f", "g")],
        expect="calls",
        calls=[{"name": name, "parameters": {"x": x}} for name, x in names_and_allowed],
    )


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("f", 1), ("f", 2), ("g", 3)], ""),
        ([("g", 3), ("f", 2), ("f", 1)], ""),  # in any order
        ([("f", 2), ("f", 2), ("g", 3)], "no_match"),
        ([("f", 1), ("f", 2)], "wrong_count"),
        ([("f", 1), ("f", 2), ("g", 3), ("g", 3)], "wrong_count"),
    ],
)
def test_parallel_calls(calls: list[tuple[str, int]], expected: str) -> None:
    given = several("parallel_multiple", ("f", [1]), ("f", [1, 2]), ("g", [3]))
    output = [{"name": name, "arguments": {"x": x}} for name, x in calls]
    assert score_single_turn(given, output).error == expected


def test_a_parallel_answer_takes_the_first_output_that_fits() -> None:
    # As officially: the first answer takes 1, which the second would have needed.
    given = several("parallel", ("f", [1, 2]), ("f", [1]))
    output = [{"name": "f", "arguments": {"x": x}} for x in (1, 2)]
    assert score_single_turn(given, output).error == "no_match"
    assert score_single_turn(given, output[::-1]).valid


def test_one_of_several_functions() -> None:
    given = several("multiple", ("g", [3]))
    assert score_single_turn(given, [{"name": "g", "arguments": {"x": 3}}]).valid
    assert score_single_turn(given, [{"name": "f", "arguments": {"x": 3}}]).error == "wrong_name"


@pytest.mark.parametrize(
    ("expect", "calls", "expected"),
    [
        ("no_call", None, ""),  # nothing could be read
        ("no_call", [], ""),
        ("no_call", [{"name": "f", "arguments": {}}], "unwanted_call"),
        ("any_call", None, "malformed"),
        ("any_call", [], "no_call"),
        ("any_call", [{"name": "unheard of", "arguments": {}}], ""),
    ],
)
def test_rows_without_an_answer(expect: Any, calls: list | None, expected: str) -> None:
    given = BfclRow(id="r", category="c", version="v4", messages=[], functions=[], expect=expect)
    assert score_single_turn(given, calls).error == expected


@pytest.mark.parametrize("calls", [None, []])
def test_a_call_in_another_syntax_is_one_where_none_is_wanted(calls: list | None) -> None:
    def error(expect: Any) -> str:
        given = BfclRow(
            id="r", category="c", version="v4", messages=[], functions=[], expect=expect
        )
        return score_single_turn(given, calls, "glm").error

    assert error("no_call") == "unwanted_call"
    assert error("any_call") == ("malformed" if calls is None else "no_call")  # it cannot be run


def test_a_malformed_row_is_named() -> None:
    unknown_type = row({"p": "number"}, {"p": [1]})
    with pytest.raises(ValueError, match=r"^r: BFCL knows no python type 'number'"):
        score_single_turn(unknown_type, [{"name": "f", "arguments": {"p": 1}}])
    unknown_function = several("multiple", ("h", [3]))
    with pytest.raises(ValueError, match=r"^r: the answer calls h"):
        score_single_turn(unknown_function, [{"name": "f", "arguments": {}}])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(SCALARS) | st.tuples(st.just("array"), st.sampled_from((*SCALARS, "array"))),
    st.lists(json_values, max_size=3),
    json_values,
)
def test_no_output_raises(spec: Any, allowed: list[Any], value: Any) -> None:
    verdict = score_single_turn(
        row({"p": spec}, {"p": allowed}), [{"name": "f", "arguments": {"p": value}}]
    )
    assert verdict.error in ("", "wrong_type", "wrong_value")


@given(st.text(max_size=20), st.lists(st.sampled_from(" ,./-_*^"), max_size=5))
def test_punctuation_and_case_are_free(text: str, inserted: list[str]) -> None:
    spelt = "".join(inserted) + text
    assert error(row({"p": "string"}, {"p": [text]}), {"p": spelt}) == ""
