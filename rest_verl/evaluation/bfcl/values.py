"""When an argument's value is right by BFCL's checker: of a right type, and among those allowed.

Source: `type_checker` and the checkers of strings, lists, dicts and lists of dicts in bfcl-eval
(Apache-2.0), `eval_checker/ast_eval/ast_checker.py`. The allowed values are a list; "" in it says
that the argument may be left out, and takes part in comparisons all the same: given "", a string
argument is right, and given [], a list. Values compare as in Python, so that 1 equals 1.0, but the
types are compared first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
JAVA_TYPES: dict[str, type] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    **dict.fromkeys(("String", "char", "any"), str),
    **dict.fromkeys(("Array", "ArrayList"), list),
    "boolean": bool,
    "HashMap": dict,
}
JAVASCRIPT_TYPES: dict[str, type] = {
    "String": str,
    "integer": int,
    "float": float,
    "Bigint": int,
    "Boolean": bool,
    "dict": dict,
    "array": list,
    "any": str,
}

_REMOVED = str.maketrans("", "", " ,./-_*^")


class ValueType(NamedTuple):
    """A declared type as Python sees it."""

    kind: type[Any]
    items: type | None
    """Of a list's elements."""


def value_error(value: Any, allowed: list[Any], declared: ValueType) -> str:
    """What is wrong with a value, "wrong_type" or "wrong_value"; "" if nothing is."""
    kind, items = declared
    first = _first_type(allowed)
    if type(value) is kind:
        if items is not None and not any(_items_fit(value, choice, items) for choice in allowed):
            return "wrong_type"
    elif first is None or type(value) is not first:
        return "wrong_type"
    # An answer of another type than the declared one stands for a variable: compared as it is.
    if type(value) is not kind or first not in (None, kind):
        right = value in allowed
    elif kind is dict:
        right = _object_fits(value, allowed)
    elif kind is list and items is dict:
        right = any(_objects_fit(value, choice) for choice in allowed)
    elif kind is str:
        plain = _standardise(value)
        right = any(type(choice) is str and _standardise(choice) == plain for choice in allowed)
    elif kind is list:
        plain_list = _standardised(value)
        right = any(
            isinstance(choice, (list, str)) and _standardised(choice) == plain_list
            for choice in allowed
        )
    else:
        right = value in allowed
    return "" if right else "wrong_value"


def _first_type(allowed: list[Any]) -> type | None:
    """The type of the answer; None if it only says that there need be none."""
    for choice in allowed:
        if choice != "":
            return type(choice)
    return None


def _items_fit(value: list[Any], choice: Any, items: type) -> bool:
    """Whether all elements are of the declared type, or else of the type of the answer's first.

    Against anything but a list, such as "", every element will do.
    """
    if type(choice) is not list:
        return True
    first = _first_type(choice)
    return all(type(item) is items or type(item) is first for item in value)


def _standardise(text: str) -> str:
    return text.translate(_REMOVED).lower().replace("'", '"')


def _standardised(values: list[Any] | str) -> list[Any]:
    """Strings in it in standard form, one level deep; of a string, its characters."""
    return [_standardise(item) if type(item) is str else item for item in values]


def _object_fits(value: dict[str, Any], choices: list[Any]) -> bool:
    return any(type(choice) is dict and _members_fit(value, choice) for choice in choices)


def _members_fit(value: dict[str, Any], choice: dict[str, Any]) -> bool:
    """Key by key, each with a list of allowed values of its own."""
    for key, item in value.items():
        # One Java row gives a key's value bare; the checker then reads its characters as the list.
        if key not in choice or not isinstance(choice[key], (list, str)):
            return False
        plain = _standardise(item) if type(item) is str else item
        if plain not in _standardised(choice[key]):
            return False
    return all(
        key in value or (isinstance(items, (list, str)) and "" in items)
        for key, items in choice.items()
    )


def _objects_fit(values: list[Any], choice: Any) -> bool:
    """Object by object, in order."""
    if not isinstance(choice, (list, str)) or len(values) != len(choice):
        return False
    return all(
        type(value) is dict and _object_fits(value, [wanted])
        for value, wanted in zip(values, choice, strict=True)
    )
