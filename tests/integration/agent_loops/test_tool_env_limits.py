"""At every limit a rollout ends cleanly, is scored, and says which limit it was."""

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_harness import Server, call, context_text, info, make_loop, make_row, run, tool
from templates import MODELS, get_model
from verl.workers.rollout.replica import TokenOutput

from rest_verl.environments.observations import CUT_MARK, shorten
from rest_verl.environments.tally import LIMITS

WRITE = call("write", text="a")


def limit_of(output) -> list[str]:
    return [name for name in LIMITS if info(output)[f"limit/{name}"]]


@pytest.mark.parametrize(
    ("messages", "steps", "calls", "reward"),
    [
        # The last step's calls still run, and the turn is judged as it then stands, as in BFCL.
        ([WRITE, WRITE], 2, 2, 1.0),
        ([WRITE, "<tool_call>"], 2, 1, 1.0),
    ],
)
def test_steps(messages: list[str], steps: int, calls: int, reward: float) -> None:
    output, _ = run(get_model("qwen3"), messages, make_row(["u"]), {"max_steps_per_turn": 2})
    assert limit_of(output) == ["steps"]
    assert (info(output)["steps"], info(output)["calls"]) == (steps, calls)
    assert output.reward_score == reward
    assert output.response_mask[-1] == 1  # nothing after the last sampled token


def test_turns_after_the_last_step_are_not_reached() -> None:
    rows = make_row(["u", "v"])
    output, _ = run(get_model("qwen3"), [WRITE, WRITE], rows, {"max_steps_per_turn": 2})
    assert limit_of(output) == ["steps"]
    assert info(output)["turns_right"] == 1
    assert output.reward_score < 1.0


def test_steps_count_anew_in_each_turn() -> None:
    messages = [WRITE, "a", WRITE, "b"]
    output, _ = run(get_model("qwen3"), messages, make_row(["u", "v"]), {"max_steps_per_turn": 2})
    assert (limit_of(output), output.reward_score) == ([], 1.0)


def test_turns() -> None:
    messages = [WRITE, "a", WRITE, "b"]
    row = make_row(["u", "v", "w"])
    output, _ = run(get_model("qwen3"), messages, row, {"max_turns": 2})
    assert limit_of(output) == ["turns"]
    numbers = info(output)
    assert (numbers["turns"], numbers["turns_right"], numbers["official"]) == (2, 2, 0.0)


def test_a_conversation_of_as_many_turns_as_allowed_hits_no_limit() -> None:
    output, _ = run(get_model("qwen3"), [WRITE, "a"], make_row(["u"]), {"max_turns": 1})
    assert (limit_of(output), output.reward_score) == ([], 1.0)


@pytest.mark.parametrize("name", MODELS)
def test_every_response_length(name: str) -> None:
    """Whatever the length, the response is a prefix of the unlimited one, and ends sampled."""
    model, row = get_model(name), make_row(["u", "v"])
    messages = [WRITE + call("read"), "<think>x</think>ab", WRITE, "done"]
    whole, _ = run(model, messages, row)
    for length in range(1, len(whole.response_ids) + 2, 3):
        output, server = run(model, messages, row, response_length=length)
        count = len(output.response_ids)
        assert 0 < count <= length
        assert output.response_ids == whole.response_ids[:count]
        assert output.response_mask == whole.response_mask[:count]
        assert output.response_logprobs == whole.response_logprobs[:count]
        assert output.response_mask[-1] == 1
        for request in server.requests:
            used = len(request["prompt_ids"]) - len(output.prompt_ids)
            assert request["sampling_params"]["max_tokens"] == length - used > 0
        is_whole = count == len(whole.response_ids)
        assert limit_of(output) == ([] if is_whole else ["response_length"])
        assert output.reward_score == float(is_whole)


def test_calls_of_a_message_that_fills_the_response_run() -> None:
    model = get_model("qwen3")
    length = len(model.tokenizer.encode(WRITE)) + 1
    output, _ = run(model, [WRITE], make_row(["u"]), response_length=length)
    assert info(output)["calls"] == 1
    assert limit_of(output) == ["response_length"]


def test_calls_of_a_message_that_was_cut_do_not_run() -> None:
    model = get_model("qwen3")
    length = len(model.tokenizer.encode(WRITE))  # the end token has no room
    output, _ = run(model, [WRITE], make_row(["u"]), response_length=length)
    assert info(output)["calls"] == 0
    assert limit_of(output) == ["response_length"]


def test_max_tokens_of_a_message() -> None:
    """A message cut at the caller's own limit has no end token: nothing can follow it."""
    sampling_params = {"max_tokens": 5, "logprobs": True}
    output, server = run(
        get_model("qwen3"), ["long text"], make_row(["u"]), sampling_params=sampling_params
    )
    assert server.requests[0]["sampling_params"]["max_tokens"] == 5
    assert (len(output.response_ids), limit_of(output)) == (5, ["response_length"])


@pytest.mark.parametrize("with_log_probs", [True, False])
def test_prompt_too_long(with_log_probs: bool) -> None:
    model = get_model("qwen3")
    output, server = run(
        model,
        [],
        make_row(["u"], tools=json.dumps([tool("write")])),
        prompt_length=20,
        sampling_params={"logprobs": with_log_probs},
    )
    assert server.requests == []
    assert limit_of(output) == ["prompt_too_long"]
    assert output.reward_score == 0.0
    # One token, as verl needs for the reward, that is not trained on.
    assert output.response_mask == [0]
    assert output.response_ids == [model.tokenizer.eos_token_id]
    assert output.response_logprobs == ([0.0] if with_log_probs else None)
    assert len(output.prompt_ids) == 20
    assert output.as_dict()["rm_scores"].tolist() == [0.0]
    # verl's metrics want versions of the weights: those of step 5 have the number 4.
    assert output.extra_fields["min_global_steps"] == output.extra_fields["max_global_steps"] == 4


def test_server_that_gives_nothing() -> None:
    """An aborted request has no tokens and no log-probabilities."""
    output, _ = run(get_model("qwen3"), lambda prompt_ids: [], make_row(["u"]))
    assert (output.response_mask, limit_of(output)) == ([0], ["response_length"])
    again = [[], WRITE]
    output, _ = run(get_model("qwen3"), lambda prompt_ids: again.pop(), make_row(["u"]))
    assert sum(output.response_mask) == len(get_model("qwen3").tokenizer.encode(WRITE)) + 1
    assert len(output.response_logprobs) == len(output.response_ids)


class AbortingServer(Server):
    async def generate(self, request_id: str, **request: Any) -> TokenOutput:
        output = await super().generate(request_id, **request)
        output.stop_reason = "aborted"
        return output


@pytest.mark.parametrize(("cut_by", "limits"), [(0, []), (1, ["response_length"])])
def test_aborted_request(cut_by: int, limits: list[str]) -> None:
    """What was sampled before stays; calls of half a message do not run."""
    model = get_model("qwen3")
    ids = [*model.tokenizer.encode("b"), model.tokenizer.eos_token_id]
    server = AbortingServer(model, lambda prompt_ids: ids[: len(ids) - cut_by])

    async def rollout() -> Any:
        return await make_loop(model, server).run({}, **make_row(["u"]))

    output = asyncio.run(rollout())
    assert output.response_ids == ids[: len(ids) - cut_by]
    assert limit_of(output) == limits


@pytest.mark.parametrize(
    ("spare", "response", "limit"),
    [(3, 3, "response_length"), (1, 1, "response_length"), (0, 0, "prompt_too_long")],
)
def test_length_that_the_server_takes(spare: int, response: int, limit: str) -> None:
    model, row = get_model("qwen3"), make_row(["u"])
    prompt_length = len(run(model, ["a"], row)[0].prompt_ids)
    output, _ = run(model, [WRITE], row, max_model_len=prompt_length + spare)
    assert sum(output.response_mask) == response
    assert limit_of(output) == [limit]


def test_huge_observation() -> None:
    model = get_model("hermes")
    messages = [call("repeat", text="öx", times=5_000_000), WRITE, "end"]
    options = {"max_observation_tokens": 40}
    output, _ = run(model, messages, make_row(["u"]), options)
    shown = context_text(model, output).split("<tool_response>\n")[1].split("\n</tool")[0]
    assert len(model.tokenizer.encode(shown)) <= 40
    assert CUT_MARK in shown
    assert set(shown) == set("öx" + CUT_MARK)
    assert info(output)["observations_cut"] == 1
    assert output.reward_score == 1.0


TOKENIZER = get_model("qwen3").tokenizer


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("", 1, ""),
        ("ä" * 20, 40, "ä" * 20),  # two bytes, two tokens each
        ("0123456789" * 4, 20, f"0123{CUT_MARK}789"),  # the mark is 13 bytes
        ("0123456789" * 4, 14, f"0{CUT_MARK}"),
        ("0123456789" * 4, 13, CUT_MARK),
        ("0123456789" * 4, 1, CUT_MARK),  # never less than the mark
        ("☃" * 40, 23, f"☃{CUT_MARK}☃"),  # three bytes each: of five, two are left out
    ],
)
def test_shorten(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit, TOKENIZER) == (expected, expected != text)


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.sampled_from("aexin ☃üx\n😀"), max_size=300),
    st.integers(len(CUT_MARK.encode()), 120),
)
def test_shortened_text_fits_and_keeps_whole_characters(text: str, limit: int) -> None:
    short, is_cut = shorten(text, limit, TOKENIZER)
    assert is_cut == (len(TOKENIZER.encode(text)) > limit)
    if not is_cut:
        assert short == text
        return
    assert len(TOKENIZER.encode(short)) <= limit
    head, tail = short.split(CUT_MARK)
    assert text.startswith(head)
    assert text.endswith(tail)
