"""A run that reads its answers by the wrong syntax says so at its first step."""

import numpy as np
import pytest
from toy_tokenizers import byte_level, one_byte_per_token

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.integration.foreign_calls import (
    FEW,
    LOOKED_AT,
    foreign_calls_warning,
    has_few_calls,
)
from rest_verl.syntax import ToolCall, get_syntax

CALL = ToolCall("f", {"x": 1})
SEED, GLM = (get_syntax(name).write([CALL]) for name in ("seed", "glm"))
HERMES = RegionLabeler(one_byte_per_token(), "hermes")
TOOLRL = RegionLabeler(one_byte_per_token(), "toolrl")


def answers(*texts: str, labeler: RegionLabeler = HERMES) -> list:
    return [(labeler, np.array(list(text.encode()))) for text in texts]


@pytest.mark.parametrize(
    ("stats", "few"),
    [
        ({"rest/token_share/name": 0.02, "rest/token_share/args": 0.2}, False),
        ({"rest/token_share/name": FEW / 4, "rest/token_share/args": FEW / 4}, True),
        ({"rest/token_share/name": 0.0, "rest/token_share/args": FEW}, False),
        ({"rest/token_share/args": FEW}, False),
        ({"rest/token_share/think": 0.9}, True),  # a region that is absent has no share
        ({}, True),
    ],
)
def test_hardly_a_token_is_a_calls(stats: dict[str, float], few: bool) -> None:
    assert has_few_calls(stats) is few


def test_the_warning_names_both_syntaxes_and_what_to_do() -> None:
    warning = foreign_calls_warning(answers(SEED, f"<think>hm</think>{SEED}", "No."))
    assert warning.startswith("[rest] WARNING: 2 of 3 answers hold calls in the syntax seed")
    assert "read as hermes" in warning
    assert "set algorithm.rest.syntax=seed" in warning
    assert "extra_info.syntax" in warning
    assert "\n" not in warning


def test_rows_of_two_syntaxes_are_each_read_by_their_own() -> None:
    mixed = answers(SEED) + answers(SEED, get_syntax("toolrl").write([CALL]), labeler=TOOLRL)
    warning = foreign_calls_warning(mixed)
    assert "2 of 3 answers hold calls in the syntax seed" in warning
    assert "read as hermes, toolrl" in warning


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["No."],
        [get_syntax("hermes").write([CALL])],  # few, but its own; toolrl would read it as well
        [f"<think>perhaps {SEED}</think>No."],  # quoted
        [SEED[:20]],  # no whole call
    ],
)
def test_no_warning_without_a_foreign_call(texts: list[str]) -> None:
    assert foreign_calls_warning(answers(*texts)) == ""


def test_the_most_frequent_is_named() -> None:
    found = answers(GLM.replace("tool_call", "x"), SEED, *[get_syntax("kimi").write([CALL])] * 2)
    assert "2 of 4 answers hold calls in the syntax kimi" in foreign_calls_warning(found)


def test_only_so_many_are_looked_at() -> None:
    texts = ["No."] * LOOKED_AT
    assert foreign_calls_warning(answers(*texts, SEED)) == ""
    assert f"1 of {LOOKED_AT} answers" in foreign_calls_warning(answers(*texts[1:], SEED, SEED))


def test_ids_outside_the_vocabulary_and_ends_of_turns_do_no_harm() -> None:
    tokenizer = byte_level()
    ids = [*tokenizer.encode(SEED), tokenizer.eos_token_id, 10**6, -1]
    labeler = RegionLabeler(tokenizer, "hermes")
    assert "1 of 1" in foreign_calls_warning([(labeler, np.array(ids))])
