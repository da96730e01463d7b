"""What a rollout's counts come to, call by call."""

from typing import Any

import pytest

from rest_verl.environments.tally import LIMITS, Tally
from rest_verl.syntax import get_syntax, read_message

READ, WRITE, BAD = ("read", "r"), ("write", "w"), ("read", "b")
HERMES = get_syntax("hermes")
CALL = '<tool_call>\n{"name": "read", "arguments": {}}\n</tool_call>'


def tally_of(*events: Any, **fields: Any) -> Tally:
    """A call as (name, key), or as (name, key, error); or "malformed"."""
    tally = Tally([read_message(HERMES, "")] * len(events), **fields)
    for event in events:
        if event == "malformed":
            tally.note_malformed()
        else:
            tally.note_call(*event, *[None][len(event) - 2 :])
    return tally


@pytest.mark.parametrize(
    ("events", "calls", "no_call", "repeated", "streak", "run"),
    [
        pytest.param([READ, WRITE], 2, 0, 0, 0, 0, id="two calls"),
        pytest.param([READ, WRITE, READ, READ], 4, 0, 2, 0, 0, id="the first twice more"),
        pytest.param([("f", None), ("f", None)], 2, 0, 0, 0, 0, id="calls like no other"),
        pytest.param(
            [(*BAD, "exception"), "malformed", (*BAD, "timeout"), READ, "malformed"],
            3,
            0,
            1,
            3,
            1,
            id="three invalid ones, a call, one more",
        ),
        pytest.param(["malformed"], 0, 0, 0, 1, 1, id="a call that cannot be read is tried"),
    ],
)
def test_calls(
    events: list[Any], calls: int, no_call: int, repeated: int, streak: int, run: int
) -> None:
    tally = tally_of(*events)
    found = tally.reward_info()
    names = ("calls", "no_call", "calls_repeated", "invalid_streak")
    assert [found[name] for name in names] == [calls, no_call, repeated, streak]
    assert tally.invalid_run == run
    assert sum(found[f"errors/{kind}"] for kind in ("malformed", "exception", "timeout")) == sum(
        event == "malformed" or len(event) == 3 for event in events
    )


def test_no_call_is_of_rollouts_that_said_something() -> None:
    assert Tally([read_message(HERMES, "Hello")] * 2).reward_info()["no_call"] == 1.0
    assert Tally(limit="prompt_too_long").reward_info()["no_call"] == 0.0


@pytest.mark.parametrize(
    ("last", "is_ended", "faults"),
    [
        ("Done.", True, ()),
        ("Done.", False, ("cut_off",)),
        ("<think>So.</think></think>", True, ("tags_valid",)),
        ("<tool_call>\nread()\n</tool_call>", True, ("calls_parse",)),
        ("<think>On and", False, ("tags_valid", "unclosed", "cut_off")),
    ],
)
def test_terms_are_of_all_messages(last: str, is_ended: bool, faults: tuple[str, ...]) -> None:
    for messages in ([(CALL, True), (last, is_ended)], [(last, is_ended), (CALL, True)]):
        tally = Tally()
        for text, ended in messages:
            tally.note_message(read_message(HERMES, text), ended)
        assert tally.steps == 2
        assert tally.terms.faults == faults
        assert tally.reward_info().items() >= tally.terms.as_dict().items()


def test_a_rollout_without_messages_has_no_fault() -> None:
    assert Tally(limit="prompt_too_long").terms.faults == ()


def test_each_rollout_has_one_end() -> None:
    for limit in (None, *LIMITS):
        found = Tally(limit=limit).reward_info()
        ends = {name: value for name, value in found.items() if name.startswith("limit/")}
        assert ends.pop(f"limit/{limit or 'none'}") == 1.0
        assert set(ends.values()) == {0.0}


@pytest.mark.parametrize(
    ("limit", "ended", "cut"),
    [
        ("steps", 1, 2),  # in the second turn of three
        ("turns", 2, 1),  # after the second
        (None, 1, 0),  # the user had nothing more to say
    ],
)
def test_turns_cut(limit: Any, ended: int, cut: int) -> None:
    tally = Tally(limit=limit, turns_ended=ended)
    assert tally.reward_info(turns_of_task=3)["turns_cut"] == cut


def test_calls_of_tools_offered() -> None:
    tally = tally_of(READ, READ, ("made up", "x"))
    assert tally.calls_of({"write", "read"}) == {"read": 2, "write": 0}
