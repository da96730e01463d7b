"""Lists of a command line, by spaces or commas, and the name that a misspelt one was meant for."""

import argparse
from pathlib import Path

import pytest

from rest_verl.options.lists import Listed, split_commas, split_paths, with_commas
from rest_verl.options.names import did_you_mean, is_unknown
from rest_verl.options.values import positive_int, positive_number, training_progress


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a , b,", ["a", "b"]),
        ("x=[1,2],y=3", ["x=[1,2]", "y=3"]),
        ('x={"a": [1, 2], "b": 3},y', ['x={"a": [1, 2], "b": 3}', "y"]),
        ('x="a,[b",y', ['x="a,[b"', "y"]),
        ("a],b", ["a]", "b"]),
    ],
)
def test_commas(text: str, items: list[str]) -> None:
    assert split_commas(text) == items


def test_a_path_that_exists_is_one_item(tmp_path: Path) -> None:
    run = tmp_path / "lr=1,n=8"
    assert split_paths(f"{run}") == [f"{tmp_path}/lr=1", "n=8"]
    run.mkdir()
    assert split_paths(f"{run}") == [f"{run}"]
    assert split_paths(f"rest={run}") == [f"rest={run}"]


def parsed(words: str) -> list[float]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--at", action=Listed, type=training_progress, default=[1.0])
    parser.add_argument("--of", action=Listed, choices=["paper", "static"])
    return parser.parse_args(words.split()).at


@pytest.mark.parametrize(
    ("words", "numbers"),
    [("", [1.0]), ("--at 0 1", [0, 1]), ("--at 0,0.5 1", [0, 0.5, 1]), ("--at 0 --at 1", [1])],
)
def test_items_are_read_one_by_one(words: str, numbers: list[float]) -> None:
    assert parsed(words) == numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--at 0,2", r"--at: must lie in 0 to 1 \(step / total steps\), got 2"),
        ("--at 0,x", "--at: must lie in 0 to 1 .*, got x"),
        ("--of paper,ststic", "--of: 'ststic' is unknown; did you mean static\\? known: paper"),
    ],
)
def test_an_item_that_cannot_be_read(words: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=message):
        parsed(words)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("--of a b --to c", "--of a,b --to c"),
        ("--to c --of a", "--to c --of a"),
        ("--of a, b", "--of a,,b"),
        ("--to c d", "--to c d"),
    ],
)
def test_parsers_with_one_word_an_option(words: str, joined: str) -> None:
    assert with_commas(words.split(), "--of") == joined.split()


@pytest.mark.parametrize(
    ("word", "name"),
    [("papr", "paper"), ("simple", "simple_python"), ("grpo", ""), ("", ""), (None, "")],
)
def test_the_nearest_name(word: str | None, name: str) -> None:
    known = ["paper", "static", "simple_python", "simple_java"]
    assert did_you_mean(word, known, "x.") == (f"did you mean x.{name}? " if name else "")
    assert is_unknown(word, known).endswith("known: paper, static, simple_python, simple_java")


@pytest.mark.parametrize(("read", "text"), [(positive_int, "0"), (positive_int, "two")])
@pytest.mark.parametrize("other", ["inf", "-1", "x"])
def test_numbers_are_refused_with_what_they_must_be(read, text: str, other: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"a whole number above 0, got {text}"):
        read(text)
    with pytest.raises(argparse.ArgumentTypeError, match=f"a number above 0, got {other}"):
        positive_number(other)
