"""`KEY=VALUE` on a command line."""

import pytest

from rest_verl.options.assignments import read_assignments


def test_values_are_json_or_text() -> None:
    words = ["a=1", "b.c=x", "b.d.e=[1, 2]", 'f={"g": null}', "h=a=b"]
    assert read_assignments(words, "--rest") == {
        "a": 1,
        "b": {"c": "x", "d": {"e": [1, 2]}},
        "f": {"g": None},
        "h": "a=b",
    }


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["a"], "a: write KEY=VALUE"),
        (["a="], "a=: write KEY=VALUE"),
        (["=1"], "=1: write KEY=VALUE"),
        (["a..b=1"], "a..b=1: write KEY=VALUE"),
        (["a=1", "a=2"], "a=2: a is given twice"),
        (["a.b=1", "a=2"], "a=2: a is given twice"),
        (["a=1", "a.b=2"], "a.b=2: a is given as a value, too"),
        (["a=1", "a.b.c=2"], "a.b.c=2: a is given as a value, too"),
    ],
)
def test_refused(words: list[str], why: str) -> None:
    with pytest.raises(ValueError, match="--rest") as refused:
        read_assignments(words, "--rest")
    assert str(refused.value) == f"--rest {why}"
