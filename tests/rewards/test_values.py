"""Equality of JSON values, and BFCL's allowed values."""

from typing import Any

import pytest

from rest_verl.rewards.values import allowed_values, same_json, standardise


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("a", "a", True),
        ("a", "A", False),
        ("1", 1, False),
        (1, 1.0, True),  # as in the released code
        (1, True, False),  # true is no number
        (0.0, False, False),
        (True, True, True),
        (None, None, True),
        (None, False, False),
        ([1, 2], [1.0, 2.0], True),
        ([1, 2], [2, 1], False),
        ([1], [True], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (10**400, float("inf"), False),
        (2, float("inf"), False),  # 1e999
    ],
)
def test_same_json(left: Any, right: Any, same: bool) -> None:
    assert same_json(left, right) is same
    assert same_json(right, left) is same


def test_standardise() -> None:
    assert standardise("April 1, 2024 - it's/on_*^.") == 'april12024it"son'


@pytest.mark.parametrize(
    ("allowed", "value", "right"),
    [
        # strings
        (["New York, NY"], "new york ny", True),
        (["New York, NY"], "New York", False),
        (["it's"], 'it"s', True),
        (["a", "b"], "b", True),
        (["5"], 5, False),
        # "" where strings are, or nothing is said of the type
        (["", "metric"], "", True),
        (["", None], "", True),
        ([""], "", True),
        ([""], [], True),
        (["metric"], "", False),
        (["", 5], "", False),
        (["", 5], [], False),
        (["", True], "", False),
        # numbers, true, null
        ([5.0], 5, True),
        ([5], 5.0, True),
        ([5], 6, False),
        ([5], "5", False),
        ([1], True, False),
        ([True], True, True),
        ([True], 1, False),
        (["", None], None, True),
        ([0], None, False),
        # lists
        ([["New York", "Paris"]], ["new york", "PARIS"], True),
        ([["New York", "Paris"]], ["Paris", "New York"], False),
        ([[1, 2], [3]], [3], True),
        ([[1, 2]], [1], False),
        ([[1, 2]], 1, False),
        (["", ["a"]], [], True),  # left out in the form of an empty list
        ([["a"]], [], False),
        ([[["A"]]], [["A"]], True),
        ([[["A"]]], [["a"]], False),  # lists in lists compare as they are
        # objects
        ([{"size": ["large", "L"], "hot": ["", True]}], {"size": "l"}, True),
        ([{"size": ["large", "L"], "hot": ["", True]}], {"size": "large", "hot": True}, True),
        ([{"size": ["large", "L"], "hot": ["", True]}], {"size": "large", "hot": False}, False),
        ([{"size": ["large"]}], {}, False),
        ([{"size": ["large"]}], {"size": "large", "more": 1}, False),
        ([{"size": ["large"]}], {"size": ["large"]}, False),
        ([{"a": [1]}, {"b": [2]}], {"b": 2}, True),
        ([{"a": [1]}, {"b": [2]}], {"a": 1, "b": 2}, False),
        ([{"format": "epoch"}], {"format": "epoch"}, True),  # a bare value (simple_java_64)
        ([{"at": [{"x": 1.5}]}], {"at": {"x": 1.5}}, True),
        ([{}], {}, True),
        # lists of objects
        ([[{"k": ["a"]}, {"k": ["b"]}]], [{"k": "A"}, {"k": "b"}], True),
        ([[{"k": ["a"]}, {"k": ["b"]}]], [{"k": "b"}, {"k": "a"}], False),
        ([[{"k": ["a"]}]], [{"k": "a"}, {"k": "a"}], False),
        # mixed (simple_java_36)
        ([["id", 42, True]], ["ID", 42, True], True),
        # nothing stated (live_simple_112-68-0)
        ([], [], True),
        ([], [1], False),
    ],
)
def test_allowed_values(allowed: list[Any], value: Any, right: bool) -> None:
    assert allowed_values(allowed)(value) is right
