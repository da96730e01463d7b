"""Scores one output on a single-turn BFCL row, with the verdict of BFCL's own checker.

The rules are those of bfcl-eval (Apache-2.0): `ast_file_runner` and `relevance_file_runner` in
`eval_checker/eval_runner.py`, and the `ast_checker` that they call. They are stricter than the
reward of training (`rest_verl.rewards.values`), which has no types to go by: a function's doc
decides how a value is compared, and only one level of a value is standardised.

An output whose calls could not be read, or are none, is right where no call is wanted and wrong
elsewhere; any call at all is right where any call will do. A call in another syntax than the
model's cannot be run, but is one where none is wanted.

Seven rows of v4 are not solved by their own answers, here as there: nothing is allowed for a
parameter that is required (live_simple_106-63-0, live_simple_112-68-0); the answer has a parameter
that the function lacks (live_multiple_862-181-3) or lacks one that it requires
(live_multiple_964-207-0); strings in a list are compared with their quotes (simple_java_36, _65);
the value in a map is not in a list, so that only an empty map is right (simple_java_64).

Where the official checker raises, which ends its whole run, the output is wrong here:

- an integer too large for a float where a float is wanted;
- in a list of objects that may be left out, an element that is no object;
- in Java and JavaScript a number of more digits than Python reads.
"""

from typing import Any

from rest_verl.data.bfcl import BfclRow
from rest_verl.evaluation.bfcl.foreign_values import java_value, javascript_value
from rest_verl.evaluation.bfcl.values import (
    JAVA_TYPES,
    JAVASCRIPT_TYPES,
    PYTHON_TYPES,
    ValueType,
    value_error,
)
from rest_verl.evaluation.calls import Calls
from rest_verl.evaluation.verdict import RIGHT, Verdict, wrong

_WITH_ITEMS = {
    "python": ("array", "tuple"),
    "java": ("Array", "ArrayList"),
    "javascript": ("array",),
}
_TYPES = {"python": PYTHON_TYPES, "java": JAVA_TYPES, "javascript": JAVASCRIPT_TYPES}
_READERS = {"java": java_value, "javascript": javascript_value}


def score_single_turn(row: BfclRow, calls: Calls | None, foreign: str = "") -> Verdict:
    """The official verdict on these calls.

    Args:
        row: of version 3 or 4, with the function docs in BFCL's notation.
        calls: None if the text was malformed.
        foreign: a syntax, other than the model's, in which it makes a call; "" for none.

    Raises:
        ValueError: the row, not the output, is malformed: a call of a function that it lacks, or a
            type that BFCL does not know; names the id.
    """
    if row.expect == "no_call":
        return wrong("unwanted_call") if calls or foreign else RIGHT
    if calls is None:
        return wrong("malformed")
    if not calls:
        return wrong("no_call")
    if row.expect == "any_call":
        return RIGHT
    if len(calls) != len(row.calls):
        return wrong("wrong_count")
    try:
        error = _parallel_error(row, calls) if "parallel" in row.category else _error(row, calls)
    except _BadRow as problem:
        raise ValueError(f"{row.id}: {problem}") from None
    return wrong(error) if error else RIGHT


def check_row(row: BfclRow) -> None:
    """Looks at all of a row that a verdict may need, for `score_single_turn` to raise on none.

    Raises:
        ValueError: the row is malformed; names the id.
    """
    language = _language(row.category)
    try:
        for expected in row.calls:
            by_name = "multiple" in row.category or "parallel" in row.category
            doc = _doc(row, expected["name"]) if by_name else _only(row)
            for name, spec in doc["parameters"]["properties"].items():
                if name in expected["parameters"]:
                    _declared(spec, language)
    except _BadRow as problem:
        raise ValueError(f"{row.id}: {problem}") from None


class _BadRow(Exception):
    """What is wrong with the row."""


def _error(row: BfclRow, calls: Calls) -> str:
    expected = row.calls[0]
    # With one function on offer its own name is the right one. In v3's "simple" some answers give
    # another.
    is_multiple = "multiple" in row.category
    doc = _doc(row, expected["name"]) if is_multiple else _only(row)
    return _call_error(doc, calls[0], expected, _language(row.category))


def _parallel_error(row: BfclRow, calls: Calls) -> str:
    """In any order; each expected call takes the first output that fits and is still free."""
    language = _language(row.category)
    free = list(calls)
    for expected in row.calls:
        doc = _doc(row, expected["name"])
        error = ""
        for index, call in enumerate(free):
            error = _call_error(doc, call, expected, language)
            if not error:
                del free[index]
                break
        if error:
            return error if len(calls) == 1 else "no_match"
    return ""


def _only(row: BfclRow) -> dict[str, Any]:
    if not row.functions:
        raise _BadRow("has an answer but no function")
    return row.functions[0]


def _language(category: str) -> str:
    for language in ("javascript", "java"):
        if language in category:
            return language
    return "python"


def _doc(row: BfclRow, name: str) -> dict[str, Any]:
    for doc in row.functions:
        if doc["name"] == name:
            return doc
    raise _BadRow(f"the answer calls {name}, which is not among the functions")


def _call_error(
    doc: dict[str, Any], call: dict[str, Any], expected: dict[str, Any], language: str
) -> str:
    """What is wrong with a call, a short kind; "" if it is right."""
    if call["name"] != doc["name"]:
        return "wrong_name"
    arguments, allowed = call["arguments"], expected["parameters"]
    properties = doc["parameters"]["properties"]
    for name in doc["parameters"].get("required", ()):
        if name not in arguments:
            return "missing_parameter"
    for name, value in arguments.items():
        if name not in properties or name not in allowed:
            return "unexpected_parameter"
        kind, items = _declared(properties[name], language)
        if language != "python":
            if type(value) is not str:
                return "wrong_type"
            value = _READERS[language](value, kind, items)
        elif kind == "float" and type(value) is int:
            try:
                value = float(value)
            except OverflowError:
                return "wrong_value"
        types = _TYPES[language]
        declared = ValueType(types[kind], types[items] if items else None)
        if error := value_error(value, allowed[name], declared):
            return error
    for name, values in allowed.items():
        if name not in arguments and "" not in values:
            return "missing_parameter"
    return ""


def _declared(spec: dict[str, Any], language: str) -> tuple[str, str | None]:
    """(type, type of the elements where it is a list)."""
    types = _TYPES[language]
    kind, items = spec.get("type"), None
    if kind in _WITH_ITEMS[language]:
        items = (spec.get("items") or {}).get("type")
    if kind not in types or (kind in _WITH_ITEMS[language] and items not in types):
        raise _BadRow(f"BFCL knows no {language} type {kind!r} with items {items!r}")
    return kind, items
