"""When an argument's value is right: equal as JSON, or among BFCL's allowed values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Any

ValueTest = Callable[[Any], bool]
"""Says of a predicted value whether it is right."""

_STANDARDISE = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


def same_json(left: Any, right: Any) -> bool:
    """True if two parsed JSON values are equal.

    Numbers compare by value (``1`` equals ``1.0``, as in the released code); true and false are
    not numbers, so ``true`` does not equal ``1`` although Python says so.
    """
    if isinstance(left, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list):
        return (
            isinstance(right, list) and len(left) == len(right) and all(map(same_json, left, right))
        )
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same_json(value, right[key]) for key, value in left.items())
        )
    return left == right


def equal_to(expected: Any) -> ValueTest:
    """The test of one value that has to be equal (:func:`same_json`)."""
    return partial(eq if isinstance(expected, str) else same_json, expected)


def standardise(text: str) -> str:
    """BFCL's form for comparing strings: no spaces or ``,./-_*^``, lower case, double quotes."""
    return text.translate(_STANDARDISE).lower()


def may_be_left_out(allowed: list[Any]) -> bool:
    """True if the argument (or key) with these allowed values may be absent.

    BFCL says so by ``""``. Two of its rows have lists without any value, which its own checker
    can never satisfy; the natural reading is that there is nothing to give.
    """
    return not allowed or "" in allowed


def allowed_values(allowed: list[Any]) -> ValueTest:
    """The test of one BFCL argument, from its list of allowed values.

    It accepts what BFCL's ``ast_checker`` accepts, as far as the list tells the declared type:
    strings in standardised form; whole and decimal numbers by value; lists item by item, strings
    in them standardised; an object key by key, each key with an allowed list of its own; lists of
    objects object by object. ``""`` in a list says that the argument (or key) may be left out.
    Given all the same, ``""`` is right where the others are strings or null, and ``[]`` where
    they are lists.
    """
    stated = [value for value in allowed if value != ""]
    # A string as it stands is right too: looking it up first saves standardising most answers.
    as_given = [value for value in stated if isinstance(value, str)]
    texts = {*as_given, *map(standardise, as_given)}
    others = [_alternative(value) for value in stated if not isinstance(value, str)]
    if may_be_left_out(allowed):
        if all(value is None or isinstance(value, str) for value in stated):
            texts.add("")
        if not stated or any(isinstance(value, list) for value in stated):
            others.append(_alternative([]))
    return partial(_is_allowed, frozenset(texts), tuple(others))


def _is_allowed(texts: frozenset[str], others: tuple[ValueTest, ...], value: Any) -> bool:
    if isinstance(value, str):
        return value in texts or standardise(value) in texts
    for test in others:  # noqa: SIM110 (any() takes twice as long)
        if test(value):
            return True
    return False


def _alternative(allowed: Any) -> ValueTest:
    """The test of one allowed value."""
    if isinstance(allowed, str):
        return partial(_is_allowed, frozenset([standardise(allowed)]), ())
    if isinstance(allowed, list):
        # BFCL standardises strings one level deep; lists in lists compare as they are.
        return partial(
            _is_list,
            tuple(
                equal_to(item) if isinstance(item, list) else _alternative(item) for item in allowed
            ),
        )
    if isinstance(allowed, dict):
        # Two rows give a key's value bare instead of in a list.
        lists = {key: item if isinstance(item, list) else [item] for key, item in allowed.items()}
        tests = {key: allowed_values(items) for key, items in lists.items()}
        optional = frozenset(key for key, items in lists.items() if may_be_left_out(items))
        return partial(_is_object, tests, optional)
    return equal_to(allowed)


def _is_list(tests: tuple[ValueTest, ...], value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(tests)
        and all(test(item) for test, item in zip(tests, value, strict=True))
    )


def _is_object(tests: dict[str, ValueTest], optional: frozenset[str], value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= tests.keys()
        and all(test(value[k]) if k in value else k in optional for k, test in tests.items())
    )
