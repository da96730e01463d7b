"""What the model writes and the tools do comes back as an observation; the rollout goes on."""

import asyncio
import json
import threading
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from loop_harness import call, context_text, info, make_row, run
from templates import get_model
from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser

from rest_verl.environments.execution import run_call
from rest_verl.environments.observations import ERROR_KINDS

MALFORMED = "Error: malformed tool call, nothing was run."


def answered(*messages: str, options: dict | None = None) -> tuple[str, dict[str, float]]:
    """The observations of a conversation that ends well, and its numbers."""
    model = get_model("hermes")
    output, _ = run(model, [*messages, call("write", text="a"), "end"], make_row(["u"]), options)
    assert output.reward_score == 1.0  # it went on
    return context_text(model, output), info(output)


@pytest.mark.parametrize(
    ("message", "observation", "kind"),
    [
        ("<tool_call>\nwrite(text=1)\n</tool_call>", MALFORMED, "malformed"),
        ("<tool_call></tool_call>", MALFORMED, "malformed"),
        (call("write", text="a")[:-12], MALFORMED, "malformed"),  # unclosed
        ('<tool_call>{"name": "write", "arguments": []}</tool_call>', MALFORMED, "malformed"),
        ('<tool_call>{"name": "write", "arguments": NaN}</tool_call>', MALFORMED, "malformed"),
        ("<tool_call>" + "[" * 5000 + "</tool_call>", MALFORMED, "malformed"),
        (call("raise", text="9"), "Error: ValueError: no such page 9\n", "exception"),
        (call("raise", text="x" * 999), f"no such page {'x' * 175}…\n", "exception"),
        (call("exit"), "Error: SystemExit: 3\n", "exception"),
        (call("interrupt"), "Error: KeyboardInterrupt\n", "exception"),
        (call("stop"), "Error: StopIteration\n", "exception"),
        (call("repeat", text="a", times=[]), "Error: TypeError: ", "exception"),
        (call("repeat", text="a", times=10**30), "Error: OverflowError: ", "exception"),
        (call("__init__", task={}), "Error: no tool '__init__'\n", None),  # the environment's own
        (call("object"), '{"notes": [], "ü": null}\n', None),  # no string: shown as JSON
        (call("repeat", text="\ud800|", times=2), "?|?|\n", None),  # not encodable
        (call("\ud800"), r"no tool '\ud800'", None),
        (call("read") + "<think>", "nothing\n", None),
    ],
)
def test_one_bad_message(message: str, observation: str, kind: str | None) -> None:
    text, numbers = answered(message)
    assert f"<tool_response>\n{observation}" in text or observation in text
    assert text.count("<tool_response>") == 2
    expected = {f"errors/{name}": float(name == kind) for name in ERROR_KINDS}
    assert {key: numbers[key] for key in expected} == expected


def test_no_call_of_a_malformed_message_runs() -> None:
    message = call("write", text="kept?") + "<tool_call>{]</tool_call>"
    text, numbers = answered(message, call("read"))
    assert "wrote kept?" not in text
    assert "<tool_response>\nnothing\n" in text
    assert (numbers["calls"], numbers["errors/malformed"]) == (2, 1)


def test_calls_after_a_failing_one_run() -> None:
    text, numbers = answered(call("raise") + call("read") + call("raise"))
    assert text.index("no such page") < text.index("nothing") < text.rindex("no such page")
    assert (numbers["calls"], numbers["errors/exception"]) == (4, 2)


def test_hanging_tool() -> None:
    text, numbers = answered(call("hang") + call("read"), options={"call_timeout": 0.05})
    assert "Error: hang did not answer within 0.05 s\n" in text
    assert "nothing" in text
    assert numbers["errors/timeout"] == 1


def test_hanging_tools_do_not_stand_in_a_queue() -> None:
    """More calls hang than any thread pool has threads; the last is answered all the same."""
    release = threading.Event()

    def hang(name: str, arguments: dict[str, Any]) -> str:
        release.wait(30)
        return "late"

    async def calls() -> list[Any]:
        hanging = [run_call(hang, "hang", {}, 0.2) for _ in range(80)]
        return await asyncio.gather(*hanging, run_call(lambda n, a: "quick", "quick", {}, 20.0))

    *late, quick = asyncio.run(calls())
    release.set()
    assert {observation.error for observation in late} == {"timeout"}
    assert quick == ("quick", None)


async def _sleeps(name: str, arguments: dict[str, Any]) -> str:
    await asyncio.sleep(30)
    return "late"


async def _ignores_its_cancellation(name: str, arguments: dict[str, Any]) -> str:
    for _ in range(20):
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue
    return "late"


async def _exits(name: str, arguments: dict[str, Any]) -> str:
    raise SystemExit(1)


async def _raises_timeout(name: str, arguments: dict[str, Any]) -> str:
    raise TimeoutError("the page's own")


async def _cancels_itself(name: str, arguments: dict[str, Any]) -> str:
    raise asyncio.CancelledError


async def _answers(name: str, arguments: dict[str, Any]) -> Any:
    return [name, arguments]


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def _raises_unprintable(name: str, arguments: dict[str, Any]) -> str:
    raise _Unprintable


def _cyclic(name: str, arguments: dict[str, Any]) -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("tool", "text", "error"),
    [
        (_answers, '["f", {"x": 1}]', None),
        (_sleeps, "Error: f did not answer within 0.1 s", "timeout"),
        (_ignores_its_cancellation, "Error: f did not answer within 0.1 s", "timeout"),
        (_exits, "Error: SystemExit: 1", "exception"),
        (_raises_timeout, "Error: TimeoutError: the page's own", "exception"),
        (_cancels_itself, "Error: CancelledError", "exception"),
        (_raises_unprintable, "Error: _Unprintable", "exception"),
        (_cyclic, "[[...]]", None),
        (lambda name, arguments: None, "null", None),
        (lambda name, arguments: {1}, "{1}", None),
    ],
)
def test_run_call(tool: Any, text: str, error: str | None) -> None:
    assert asyncio.run(run_call(tool, "f", {"x": 1}, 0.1)) == (text, error)

    def plain(name: str, arguments: dict[str, Any]) -> Any:  # as a decorator makes of it
        return tool(name, arguments)

    assert asyncio.run(run_call(plain, "f", {"x": 1}, 0.1)) == (text, error)


@pytest.mark.parametrize("tool", [_sleeps, lambda name, arguments: threading.Event().wait(30)])
def test_the_rollouts_own_cancellation_gets_through(tool: Any) -> None:
    async def cancelled() -> str:
        task = asyncio.ensure_future(run_call(tool, "f", {}, 30.0))
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "went on"

    assert asyncio.run(cancelled()) == "cancelled"


@ToolParser.register("lines")
class LineParser(ToolParser):
    """A call a line, as name, id and arguments, with a stop token of its own."""

    @property
    def stop_token_ids(self) -> list[int]:
        return [self.tokenizer.convert_tokens_to_ids("</think>")]

    async def extract_tool_calls(self, responses_ids, tools=None):
        assert [schema.function.name for schema in tools] == ["write", "read"]
        text = self.tokenizer.decode(responses_ids).removesuffix("<|im_end|>")
        lines = [line.split(" ", 2) for line in text.splitlines() if " " in line]
        return text, [FunctionCall(name=n, tool_call_id=i, arguments=a) for n, i, a in lines]


@pytest.fixture
def own_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user's run would name the module that registers it."""
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", __name__)


@pytest.mark.usefixtures("own_parser")
@pytest.mark.parametrize(
    ("arguments", "observation"),
    [
        ('{"text": "a"}', "wrote a"),
        (' {"text": "a"} ', "wrote a"),
        ("", "Error: the arguments of write are not a JSON object"),
        ("[]", "Error: the arguments of write are not a JSON object"),
        ("{} {}", "Error: the arguments of write are not a JSON object"),
        ('{"text": NaN}', "Error: the arguments of write are not a JSON object"),
        ("[" * 5000, "Error: the arguments of write are not a JSON object"),
    ],
)
def test_arguments_of_a_verl_parser(arguments: str, observation: str) -> None:
    model = get_model("hermes")
    messages = [f"write 1 {arguments}\nread 2 {{}}", "end"]
    output, server = run(model, messages, make_row(["u"]), {"parser": "lines"})
    text = context_text(model, output)
    assert f"<tool_response>\n{observation}\n</tool_response>" in text
    assert text.count("<tool_response>") == 2  # the other call of the message ran
    assert info(output)["errors/arguments"] == float(observation.startswith("Error"))
    stops = server.requests[0]["sampling_params"]["stop_token_ids"]
    assert stops == [model.tokenizer.convert_tokens_to_ids("</think>")]


@pytest.mark.usefixtures("own_parser")
def test_parser_that_trips_over_model_text() -> None:
    text, numbers = None, None
    model = get_model("hermes")
    messages = ["write 1", "end"]  # the line has no arguments: the parser's own error
    output, _ = run(model, messages, make_row(["u"]), {"parser": "lines"})
    text, numbers = context_text(model, output), info(output)
    assert MALFORMED in text
    assert numbers["errors/malformed"] == 1


@pytest.mark.parametrize("text", ["</tool_call>", "plain", "{}", json.dumps({"name": "write"})])
def test_text_without_a_block_ends_the_turn(text: str) -> None:
    output, server = run(get_model("hermes"), [text], make_row(["u"]))
    assert info(output)["steps"] == len(server.requests) == 1
