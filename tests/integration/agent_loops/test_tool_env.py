"""Trajectories of the real agent loop: ids, mask, log-probabilities, reward, verl's fields."""

import asyncio
import json
import re
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from loop_harness import (
    SYSTEM,
    Server,
    call,
    context_text,
    info,
    make_loop,
    make_row,
    run,
    script,
    tool,
)
from templates import MODELS, Model, get_model
from verl.trainer.ppo.metric_utils import process_validation_metrics

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.integration.trainer import reward_metrics

THOUGHT = "<think>\nWell …\n</think>\n\n"


def conversation(style: str) -> tuple[list[str], list[dict[str, str]]]:
    """The policy's messages, and what the whole conversation is by then."""
    key = "parameters" if style == "toolrl" else "arguments"
    if style == "toolrl":  # both calls in one block
        lines = [{"name": "write", key: {"text": "für"}}, {"name": "read", key: {}}]
        block = "\n".join(json.dumps(line) for line in lines)
        two = f"{THOUGHT}<tool_call>\n{block}\n</tool_call>"
    else:
        two = f"{THOUGHT}{call('write', key, text='für')}\n{call('read', key)}"
    one = f"{THOUGHT}{call('write', key, text='b')}"
    done, bye = f"{THOUGHT}Done.", f"{THOUGHT}Bye, ☃."
    messages = [
        ("system", SYSTEM),
        ("user", "first"),
        ("assistant", two),
        ("tool", "wrote für"),
        ("tool", "für"),
        ("assistant", done),
        ("user", "second ☃"),
        ("assistant", one),
        ("tool", "wrote b"),
        ("assistant", bye),
    ]
    whole = [{"role": role, "content": content} for role, content in messages]
    return [two, done, one, bye], whole


def rendered(model: Model, messages: list[dict[str, str]], **settings: Any) -> str:
    return model.tokenizer.apply_chat_template(messages, tokenize=False, **settings)


def join_observations(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Tool messages in a row as one, for templates that take one a message."""
    joined: list[dict[str, str]] = []
    for message in messages:
        if message["role"] == "tool" and joined and joined[-1]["role"] == "tool":
            content = f"{joined[-1]['content']}\n{message['content']}"
            joined[-1] = {"role": "tool", "content": content}
        else:
            joined.append(message)
    return joined


@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("style", ["toolrl", "hermes"])
@pytest.mark.parametrize("name", MODELS)
def test_trajectory_is_what_the_template_gives(
    name: str, style: str, bytewise: bool, with_tools: bool
) -> None:
    model = get_model(name)
    tools = [tool("write"), tool("read")] if with_tools else None
    sampled, whole = conversation(style)
    if name == "llama3":
        whole = join_observations(whole)
    row = make_row(["first", "second ☃"], tools=json.dumps(tools) if tools else "")
    output, server = run(model, sampled, row, bytewise=bytewise)

    decoded = model.tokenizer.decode(output.prompt_ids + output.response_ids)
    if name == "qwen3":
        # The documented difference: Qwen3's template forgets what was thought before the last
        # user message; the policy was given, and is trained on, what it thought.
        start = decoded.index("second ☃")
        decoded = decoded[:start].replace(THOUGHT, "") + decoded[start:]
    assert decoded + model.separator == rendered(model, whole, tools=tools)

    # Mask 1 exactly on the sampled ids, each run as it was sampled, its log-probabilities with it.
    runs, run_log_probs = [[]], []
    for id_, mask, log_prob in zip(
        output.response_ids, output.response_mask, output.response_logprobs, strict=True
    ):
        if mask:
            runs[-1].append(id_)
            run_log_probs.append(log_prob)
        else:
            assert log_prob == 0.0
            if runs[-1]:
                runs.append([])
    assert runs == server.sampled
    assert run_log_probs == server.log_probs
    # What the server was given is what is trained on.
    for request, count in zip(server.requests, (0, 1, 2, 3), strict=True):
        prefix = request["prompt_ids"]
        assert prefix == (output.prompt_ids + output.response_ids)[: len(prefix)]
        assert sum(output.response_mask[: len(prefix) - len(output.prompt_ids)]) == sum(
            map(len, server.sampled[:count])
        )


def test_ids_that_no_tokenizer_gives_are_kept() -> None:
    model = get_model("qwen3")
    message = call("write", text="xxxx")
    canonical = model.tokenizer.encode(message)
    _, server = run(model, [message, "end"], make_row(["u"]), bytewise=True)
    assert server.sampled[0][:-1] != canonical
    assert model.tokenizer.decode(server.sampled[0][:-1]) == message


@pytest.mark.parametrize("name", MODELS)
def test_what_verl_gets(name: str) -> None:
    model = get_model(name)
    sampled, _ = conversation("hermes")
    output, server = run(model, sampled, make_row(["first", "second ☃"]))
    assert info(output) == {
        "score": 1.0,
        "official": 1.0,
        "dense": 1.0,
        "turns": 2.0,
        "turns_right": 2.0,
        "turns_cut": 0.0,
        "steps": 4.0,
        "calls": 3.0,
        "no_call": 0.0,
        "calls_repeated": 0.0,
        "invalid_streak": 0.0,
        "observations_cut": 0.0,
        "tags_valid": 1.0,
        "calls_parse": 1.0,
        "unclosed": 0.0,
        "cut_off": 0.0,
        "errors/malformed": 0.0,
        "errors/arguments": 0.0,
        "errors/exception": 0.0,
        "errors/timeout": 0.0,
        "limit/steps": 0.0,
        "limit/turns": 0.0,
        "limit/invalid_calls": 0.0,
        "limit/response_length": 0.0,
        "limit/prompt_too_long": 0.0,
        "limit/none": 1.0,
    }
    assert output.num_turns == 8  # prompt, 4 answers, 2 rounds of observations, 1 user message
    assert output.metrics.num_preempted == 4
    assert output.extra_fields["min_global_steps"] == 1  # the first request's
    assert output.extra_fields["max_global_steps"] == 4  # the last one's
    assert len({request["request_id"] for request in server.requests}) == 1
    row = output.as_dict()
    assert row["rm_scores"].tolist() == [0.0] * (len(output.response_ids) - 1) + [1.0]
    assert row["num_turns"] == 8
    assert row["rollout_log_probs"].shape == row["responses"].shape == row["response_mask"].shape
    assert row["extra_fields"]["reward_extra_info"]["score"] == 1.0


def test_verl_and_the_trainer_take_the_numbers() -> None:
    """Slashes in the names trouble neither verl's validation nor the trainer's metrics."""
    numbers = [
        info(run(get_model("qwen3"), messages, make_row(["u"]))[0])
        for messages in ([call("write", text="a"), "x"], [call("raise"), "x"])
    ]
    columns = {key: [row[key] for row in numbers] for key in numbers[0]}
    validation = process_validation_metrics(["notebook", "notebook"], ["1", "2"], columns)
    assert validation["notebook"]["errors/exception"]["mean@1"] == 0.5
    training = reward_metrics(
        [1.0, 0.0], [{"reward_extra_info": row} for row in numbers], [False] * 2
    )
    assert training["reward/total/mean"] == training["reward/official/mean"] == 0.5
    assert training["reward/errors/exception/mean"] == 0.5
    assert training["reward/limit/steps/mean"] == 0.0


def test_server_without_log_probs() -> None:
    output, _ = run(get_model("qwen3"), ["bye"], make_row(["u"]), with_log_probs=False)
    assert output.response_logprobs is None
    assert "rollout_log_probs" not in output.as_dict()


@pytest.mark.parametrize(
    ("messages", "official", "dense"),
    [
        ([call("write", text="a"), "x", call("write", text="b"), "y"], 1.0, 1.0),
        (["x", call("write", text="b"), "y"], 0.0, 0.5),  # the first of two turns is wrong
        (["x", "y"], 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("reward", ["score", "dense"])
def test_reward(messages: list[str], official: float, dense: float, reward: str) -> None:
    output, _ = run(get_model("qwen3"), messages, make_row(["u", "v"]), {"reward": reward})
    numbers = info(output)
    assert (numbers["official"], numbers["dense"]) == (official, dense)
    assert output.reward_score == numbers["score"] == (official if reward == "score" else dense)


@pytest.mark.parametrize(
    ("share", "dense"),
    # The first turn is wrong, the second is not reached and has half of its calls.
    [(0.5, 0.125), (1.0, 0.25), (0.0, 0.0)],
)
def test_call_share(share: float, dense: float) -> None:
    options = {"reward": "dense", "call_share": share, "max_steps_per_turn": 1}
    output, _ = run(get_model("qwen3"), [call("read")], make_row(["u", "v"]), options)
    assert output.reward_score == dense


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("compact", "find(text?: str)\nnow"),
        ("chat_template", json.dumps(tool("find")) + "\nnow"),
    ],
)
def test_tools_that_appear_later(style: str, shown: str) -> None:
    model = get_model("hermes")
    row = make_row(["first", "now", "then"], late={"1": "find"}, prompt_style=style)
    output, _ = run(model, ["a", "b", "c"], row)
    text = context_text(model, output)
    assert f"<|im_start|>user\n{shown}<|im_end|>" in text
    assert "<|im_start|>user\nthen<|im_end|>" in text  # shown once


def test_tools_in_the_prompt_are_not_shown_again() -> None:
    model = get_model("hermes")
    output, _ = run(model, ["a", "b"], make_row(["u", "v"], late={"0": "find"}))
    assert "find" not in context_text(model, output)


@pytest.mark.parametrize("name", ["llama3", "hermes"])
def test_a_row_that_asks_for_no_syntax_is_read_by_the_models_own(name: str) -> None:
    bare = json.dumps({"name": "write", "parameters": {"text": "a"}})
    tagged = call("write", text="a")
    own, other = (bare, tagged) if name == "llama3" else (tagged, bare)
    row = make_row(["u"], prompt_style="chat_template")
    output, _ = run(get_model(name), [own, other, "end"], row)
    # the other is a call all the same, of which the model is told that it cannot be read
    assert (info(output)["calls"], info(output)["errors/malformed"]) == (1, 1)


def test_a_row_is_read_by_the_syntax_that_it_names() -> None:
    row = make_row(["u"], prompt_style="chat_template")
    row["extra_info"]["syntax"] = "seed"
    text = (
        "<seed:tool_call><function=write><parameter=text>1</parameter></function></seed:tool_call>"
    )
    output, _ = run(get_model("qwen3"), [text, "end"], row)
    assert "wrote 1" in context_text(get_model("qwen3"), output)  # text, says the tool's schema


def test_options_change_every_task() -> None:
    output, _ = run(get_model("qwen3"), ["a"], make_row(["u", "v"]), {"task": {"users": ["only"]}})
    assert info(output)["turns"] == 1


def test_many_rollouts_on_one_loop() -> None:
    """Each conversation writes its own number and reads it back, all of them at once."""
    model = get_model("hermes")

    def answer(prompt_ids: list[int]) -> str:
        context = model.tokenizer.decode(prompt_ids)
        number = re.findall(r"number (\d+)", context)[0]
        steps = context.count("<|im_start|>assistant") - 1
        return [call("write", text=number), call("read"), "done"][steps]

    server = Server(model, answer)

    async def rollouts() -> list[Any]:
        loop = make_loop(model, server)
        rows = [make_row([f"number {number}"]) for number in range(100)]
        return await asyncio.gather(*(loop.run({}, **row) for row in rows))

    for number, output in enumerate(asyncio.run(rollouts())):
        assert output.reward_score == 1.0
        text = context_text(model, output)
        assert re.findall(r"<tool_response>\n(.*)\n", text) == [f"wrote {number}", str(number)]


def test_regions_of_a_conversation() -> None:
    """Each assistant message is labelled on its own; observations are masked."""
    model = get_model("qwen3")
    messages = [f"<think>a</think>{call('write', text='<think>')}", "so <think>b"]
    output, server = run(model, messages, make_row(["u"]))
    labels = RegionLabeler(model.tokenizer).label(output.response_ids, output.response_mask)
    alone = RegionLabeler(model.tokenizer)
    expected = [alone.label(ids).tolist() for ids in server.sampled]
    assert [label for label in labels.tolist() if label >= 0] == [*expected[0], *expected[1]]
    assert [label >= 0 for label in labels] == [mask == 1 for mask in output.response_mask]
    assert expected[0][:3] == [Region.FORMAT, Region.THINK, Region.FORMAT]
    # The open think of the argument does not reach into the next message.
    assert expected[1][0] == Region.TEXT
    assert expected[1][-2:] == [Region.THINK, Region.FORMAT]


def test_open_think_block() -> None:
    """A template that opens the think block: what is thought is no call, and no fault."""
    model, template = get_model("qwen3"), {"open_think": True}
    quoted = "I would write <tool_call> nonsense\n</think>\n\n" + call("write", text="a")
    row = make_row(["u", "v"])
    messages = [quoted, "</think>\n\ndone", f"still thinking of {call('write', text='b')}"]
    output, _ = run(model, messages, row, template=template)
    assert info(output)["calls"] == 1
    assert info(output)["errors/malformed"] == 0
    assert info(output)["turns_right"] == 1
    closed, _ = run(model, [quoted, "done"], make_row(["u"]))
    assert info(closed)["errors/malformed"] == 1  # the same text where nothing opened the block


def test_stop_tokens_and_sampling_parameters_reach_the_server() -> None:
    given = {"temperature": 0.7, "logprobs": True}
    _, server = run(get_model("qwen3"), ["a"], make_row(["u"]), sampling_params=given)
    assert server.requests[0]["sampling_params"] == {**given, "max_tokens": 8192}
    assert given == {"temperature": 0.7, "logprobs": True}


@pytest.mark.parametrize(
    ("extra_info", "message"),
    [
        (None, "row with index None: .* needs a string extra_info.environment"),
        ({"id": "a_1", "task": "{}"}, "row a_1: .* extra_info.environment"),
        ({"id": "a_1", "environment": "notebook"}, "row a_1: .* extra_info.task, got None"),
        ({"index": 3, "environment": "notebook", "task": {}}, "row with index 3: .*task, got {}"),
        ({"id": "a", "environment": "notebook", "task": "{"}, "row a: extra_info.task is not JSON"),
        ({"id": "a", "environment": "notebook", "task": "[]"}, "row a: .*must be a JSON dict"),
        ({"id": "a", "environment": "?", "task": "{}"}, "row a: unknown environment '\\?'"),
        (
            {"id": "a", "environment": "notebook", "task": "{}", "tools": "{}"},
            "row a: extra_info.tools must be a JSON list",
        ),
        (
            {"id": "a", "environment": "notebook", "task": "{}", "prompt_style": "prose"},
            "row a: unknown prompt style 'prose'",
        ),
    ],
)
def test_rows_that_cannot_be_run(extra_info: dict | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(get_model("qwen3"), [], {**make_row(["u"]), "extra_info": extra_info})


@pytest.mark.parametrize("place", ["user_message", "end_turn", "outcome"])
def test_faults_of_the_environment_name_the_row(place: str) -> None:
    with pytest.raises(
        RuntimeError, match=rf"row page-7: {place}\(\d?\) in environment 'notebook'"
    ):
        run(get_model("qwen3"), ["a"], make_row(["u"], broken=place))


def test_task_that_the_environment_cannot_take() -> None:
    row = make_row(["u"])
    row["extra_info"]["task"] = "{}"
    with pytest.raises(RuntimeError, match=r"row page-7: making in .*KeyError: 'users'"):
        run(get_model("qwen3"), ["a"], row)


def test_conversation_without_a_user() -> None:
    row = make_row(["u"])
    row["extra_info"]["task"] = '{"users": []}'
    with pytest.raises(RuntimeError, match="no first user message"):
        run(get_model("qwen3"), ["a"], row)


def test_verls_hermes_parser() -> None:
    model = get_model("hermes")
    messages = [call("write", text="a") + call("read"), "<tool_call>{</tool_call>", "end"]
    output, _ = run(model, messages, make_row(["u"]), {"parser": "hermes"})
    assert "<tool_response>\nwrote a\n</tool_response>\n<tool_response>\na\n" in context_text(
        model, output
    )
    # verl's parser passes over a block it cannot read; the turn does not end with it.
    assert (info(output)["calls"], info(output)["errors/malformed"]) == (2, 1)
    assert output.reward_score == 1.0


def test_unknown_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(parser: str) -> None:
        run(get_model("qwen3"), [], make_row(["u"]), {"parser": parser})

    monkeypatch.delenv("VERL_USE_EXTERNAL_MODULES", raising=False)
    with pytest.raises(ValueError, match=r"parser=hermse: no such .*did you mean hermes\?"):
        play("hermse")
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "a_module_that_may_register_one")
    with pytest.raises(ValueError, match="Unknown tool parser: latin"):
        play("latin")


def test_script_is_played_to_its_end() -> None:
    """The harness itself: a policy is asked no more often than the conversation needs."""
    answer = script(["a", "never"])
    run(get_model("qwen3"), answer, make_row(["u"]))
    assert answer([]) == "never"
