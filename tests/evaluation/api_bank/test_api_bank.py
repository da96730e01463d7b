"""API-Bank verdicts: a table of answers, the data's own answers, and a second implementation."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.data.answers import write_answer
from rest_verl.data.api_bank import ApiBankRow, read_api_bank
from rest_verl.evaluation.api_bank.scoring import LevelCounts, api_bank_counts, score_api_bank
from rest_verl.syntax import ToolCall

API_BANK = Path(__file__).resolve().parents[4] / "shared" / "data" / "api_bank"
needs_api_bank = pytest.mark.skipif(not API_BANK.is_dir(), reason="shared/data/api_bank is absent")

RIGHT = '{"name": "Query", "parameters": {"user": "John"}}'
OTHER = '{"name": "Cancel", "parameters": {"user": "John"}}'


def row(parameters: dict[str, str], name: str = "Query") -> ApiBankRow:
    return ApiBankRow(
        id="level_1_0", level=1, system="s", user="u", answer=ToolCall(name, parameters)
    )


ROW = row({"user": "John"})
EMPTY = row({})


def block(*lines: str) -> str:
    return "\n".join(["<tool_call>", *lines, "</tool_call>"])


# (why, row, answer, error, as published)
CASES = [
    ("the answer", ROW, f"<think> t </think>\n{block(RIGHT)}", "", True),
    ("order of keys and spaces are JSON's", ROW,
     block('{"parameters":{"user":"John"}  ,"name":"Query"}'), "", True),
    ("any line counts", ROW, block(OTHER, RIGHT, OTHER), "", True),
    ("lines that are no JSON are skipped", ROW, block("Let me see:", "", "{", RIGHT), "", True),
    ("further keys do not matter", ROW, block(RIGHT[:-1] + ', "id": 7}'), "", True),
    ("the last block counts", ROW, block(OTHER) + block(RIGHT), "", True),
    ("only the last block counts", ROW, block(RIGHT) + block(OTHER), "wrong_name", False),
    ("an unclosed block lasts to the end", ROW, f"<tool_call>\n{RIGHT}\n", "", True),
    ("a block in think text counts too", ROW, f"<think> {block(RIGHT)} </think>", "", True),
    ("carriage returns are white space", ROW, block(RIGHT + "\r"), "", True),
    ("escapes are JSON's", ROW, block(RIGHT.replace("J", r"\u004a")), "", True),
    ("a call on two lines is on neither", ROW,
     block('{"name": "Query",', '"parameters": {"user": "John"}}'), "no_call", False),
    ("two calls on a line are no JSON", ROW, block(RIGHT + RIGHT), "no_call", False),
    ("a list of calls is no call", ROW, block(f"[{RIGHT}]"), "no_call", False),
    ("Hermes's key is another key", ROW, block(RIGHT.replace("parameters", "arguments")),
     "no_call", False),
    ("case matters", ROW, block(RIGHT.replace("John", "john")), "wrong_parameters", False),
    ("a parameter too many", ROW, block(RIGHT[:-2] + ', "x": "1"}}'), "wrong_parameters", False),
    ("a parameter too few", ROW, block('{"name": "Query", "parameters": {}}'),
     "wrong_parameters", False),
    ("another type", row({"n": "1"}), block('{"name": "Query", "parameters": {"n": 1}}'),
     "wrong_parameters", False),
    ("parameters that are no object", ROW, block('{"name": "Query", "parameters": null}'),
     "wrong_parameters", False),
    ("a name that is no text", ROW, block('{"name": ["Query"], "parameters": {}}'),
     "wrong_name", False),
    ("a wrong name", ROW, block(OTHER), "wrong_name", False),
    ("nothing", ROW, "", "no_block", False),
    ("text alone", ROW, "<response> Done. </response>", "no_block", False),
    ("an empty block", ROW, block(), "no_call", False),
    ("deep nesting", ROW, block("[" * 100_000, RIGHT), "", True),
    ("a number of many digits", ROW, block("9" * 10_000, RIGHT), "", True),
    # where the published evaluation differs
    ("no tags: the whole text is the block", ROW, RIGHT, "no_block", True),
    ("only the end tag", ROW, f"{RIGHT}\n</tool_call>\n{OTHER}", "no_block", True),
    ("bare parameters", ROW, block('{"user": "John"}'), "no_call", True),
    ("a name beside bare parameters is a parameter", ROW,
     block('{"name": "Query", "user": "John"}'), "no_call", False),
    ("an empty object for no parameters", EMPTY, block("{}"), "no_call", True),
    ("a name alone is not an empty object", EMPTY, block('{"name": "Query"}'), "no_call", False),
    ("bare parameters under one of the keys", row({"name": "John"}), block('{"name": "John"}'),
     "no_call", True),
    ("a call in quotes", ROW, block(json.dumps(RIGHT)), "no_call", True),
    ("bare parameters in quotes", ROW, block(json.dumps('{"user": "John"}')), "no_call", True),
    ("a call in two pairs of quotes", ROW, block(json.dumps(json.dumps(RIGHT))), "no_call", False),
    ("a number ends the reading", ROW, block("5", RIGHT), "", False),
    ("null ends the reading", ROW, block("null", RIGHT), "", False),
    ("text that is no JSON ends the reading", ROW, block('"hello"', RIGHT), "", False),
    ("a number in quotes ends the reading", ROW, block('"5"', RIGHT), "", False),
    ("text in two pairs of quotes with both keys ends the reading", ROW,
     block(json.dumps(json.dumps("name, parameters")), RIGHT), "", False),
    ("other text in two pairs of quotes does not", ROW,
     block(json.dumps(json.dumps("name")), RIGHT), "", True),
    ("a list does not end the reading", ROW, block("[1]", RIGHT), "", True),
    ("a list with both keys does", ROW, block('["name", "parameters"]', RIGHT), "", False),
    ("what comes after the right line does not matter", ROW, block(RIGHT, "5"), "", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "text", "error", "published"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_verdicts(asked: ApiBankRow, text: str, error: str, published: bool) -> None:
    verdict = score_api_bank(asked, text)
    assert (verdict.valid, verdict.error, verdict.as_published) == (not error, error, published)
    assert published_verdict(asked, text) == published


def published_verdict(asked: ApiBankRow, text: str) -> bool:
    """The published rule again, by other means: exceptions end the reading, as they do there."""
    after = re.split("<tool_call>", text)[-1]
    inside = re.split("</tool_call>", after)[0].strip()
    read: list[Any] = []
    for line in inside.split("\n"):
        try:
            read.append(json.loads(line))
        except Exception:
            continue
    name, parameters = asked.answer.name, dict(asked.answer.arguments)
    try:
        for item in read:
            call: Any = json.loads(item) if isinstance(item, str) else item
            complete = "name" in call and "parameters" in call
            given = (call["name"], call["parameters"]) if complete else (name, call)
            if given == (name, parameters):
                return True
    except Exception:
        return False
    return False


@needs_api_bank
def test_gold_answers_are_right() -> None:
    rows = read_api_bank(API_BANK)
    verdicts = [score_api_bank(r, write_answer([r.answer], "", "toolrl", think="t")) for r in rows]
    assert len(verdicts) == 597
    assert all(verdict.valid and verdict.as_published for verdict in verdicts)


def perturbed(asked: ApiBankRow, rows: list[ApiBankRow], rng: random.Random) -> str:
    """An answer with one to three things done to the right one."""

    def junk() -> str:
        other = rng.choice(rows).answer
        return rng.choice(
            [
                "5", "null", "true", "[]", "{}", '""', '"name"', '["name", "parameters"]',
                '{"name": "x"}', "{", "Let me call:", "[" * 5000, "1e999", "NaN", " ",
                json.dumps({"name": other.name, "parameters": other.arguments}),
                json.dumps(other.arguments),
                json.dumps('"name parameters"'),
            ]
        )  # fmt: skip

    call: dict[str, Any] = {"name": asked.answer.name, "parameters": dict(asked.answer.arguments)}
    lines, wrap = [], "<tool_call>\n{}\n</tool_call>"
    before = after = ""
    kinds = rng.sample(range(12), rng.randint(1, 3))
    for kind in kinds:
        keys = list(call.get("parameters", {}))
        if kind == 0 and keys:
            del call["parameters"][rng.choice(keys)]
        elif kind == 1 and keys:
            call["parameters"][rng.choice(keys)] = rng.choice(["", "x", 1, None, ["y"], {}])
        elif kind == 2:
            call["name"] = rng.choice(rows).answer.name
        elif kind == 3:
            call.pop(rng.choice(["name", "parameters"]), None)
        elif kind == 4:
            wrap = rng.choice(["{}", "{}\n</tool_call>", "<tool_call>{}", "<tool_call>\r\n{}"])
        elif kind == 5:
            before = rng.choice(["<think> <tool_call> </think>", block(junk()), "Sure.\n"])
        elif kind == 6:
            after = rng.choice(["<response> r </response>", block(junk()), "</tool_call>{}"])
        elif kind == 7:
            call["extra"] = rng.random()
    text = json.dumps(call)
    if 8 in kinds and "parameters" in call:
        text = json.dumps(call["parameters"])
    if 9 in kinds:
        text = json.dumps(text)
    lines = [text]
    if 10 in kinds:
        lines.insert(0, junk())
    if 11 in kinds:
        lines.append(junk())
    return before + wrap.replace("{}", "\n".join(lines)) + after


@needs_api_bank
def test_as_published_is_the_second_implementation_on_perturbed_answers() -> None:
    rows = read_api_bank(API_BANK)
    rng = random.Random(0)
    seen: Counter[tuple[bool, bool]] = Counter()
    for number in range(3000):
        asked = rows[number % len(rows)]
        text = perturbed(asked, rows, rng)
        verdict = score_api_bank(asked, text)
        assert verdict.as_published == published_verdict(asked, text), text
        seen[verdict.valid, verdict.as_published] += 1
    # All four outcomes are put to the test, the oddities in both directions among them.
    assert min(seen.values()) > 50
    assert len(seen) == 4


fragments = st.sampled_from(
    [
        "<tool_call>", "</tool_call>", "\n", RIGHT, OTHER, '{"user": "John"}', json.dumps(RIGHT),
        "5", '"a"', "[]", "<think>", "</think>", " ", "\x0b", "\ufeff", '"name, parameters"',
    ]
)  # fmt: skip


@given(st.lists(fragments | st.text(max_size=5), max_size=12).map("".join))
def test_any_text_gets_a_verdict(text: str) -> None:
    verdict = score_api_bank(ROW, text)
    assert verdict.as_published == published_verdict(ROW, text)
    assert verdict.valid == (not verdict.error)
    if verdict.valid:
        assert "<tool_call>" in text


def test_counts_by_level() -> None:
    def record(id: str, category: str, sample: int, valid: bool, published: bool) -> dict:
        return {"id": id, "category": category, "sample": sample, "valid": valid,
                "as_published": published}  # fmt: skip

    records = [
        record("level_2_0", "level_2", 0, False, True),
        record("level_1_0", "level_1", 0, True, True),
        record("level_1_1", "level_1", 0, False, False),
    ]
    counts = api_bank_counts(records)
    assert list(counts) == ["level_1", "level_2", "overall"]
    assert counts["level_1"] == LevelCounts(total=2, correct=1, published_correct=1)
    assert counts["level_2"] == LevelCounts(total=1, correct=0, published_correct=1)
    assert counts["overall"] == LevelCounts(total=3, correct=1, published_correct=2)
    # Retried until right: one right sample of three makes the row right as published.
    tries = [record("level_1_0", "level_1", n, n == 2, n == 2) for n in range(3)]
    overall = api_bank_counts(tries)["overall"]
    assert overall == LevelCounts(total=1, correct=1 / 3, published_correct=1)
    assert api_bank_counts([]) == {"overall": LevelCounts(total=0, correct=0, published_correct=0)}
