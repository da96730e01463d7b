"""BFCL's own answers, emitted as tokens through the real agent loop, score 1.0 on every row."""

import asyncio
import importlib.util
import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
pytest.importorskip("bfcl_eval", reason="the package bfcl-eval is not installed")
if importlib.util.find_spec("mpmath") is None:
    pytest.skip("MathAPI needs mpmath", allow_module_level=True)

from bfcl_conversations import BFCL_V3, CATEGORIES, Conversation, read_rows, right_conversation
from bfcl_record import ADD, MKDIR, MV
from bfcl_record import record as small_record
from loop_harness import Server, call, context_text, info, make_loop, run, script
from templates import MODELS, Model, get_model

from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.conversation import Conversation as Recorded

THOUGHT = "<think>\nThat was it.\n</think>\n\n"
MAX_STEPS = 20

# How the same calls can be written: a message for all or for each, and in which syntax.
FORMS = [
    (model, syntax, at_once)
    for model in MODELS
    for syntax in ("toolrl", "hermes")
    for at_once in (True, False)
]


def messages_of(conversation: Conversation, syntax: str, at_once: bool) -> list[str]:
    """The policy's messages: the calls of each turn, then a closing word."""
    messages = []
    key = "parameters" if syntax == "toolrl" else "arguments"
    for turn in conversation:
        calls = [json.dumps({"name": name, key: arguments}) for name, arguments in turn]
        if at_once or len(calls) >= MAX_STEPS:
            groups = [calls] if calls else []
        else:
            groups = [[call] for call in calls]
        for group in groups:
            bodies = ["\n".join(group)] if syntax == "toolrl" else group
            messages.append("\n".join(f"<tool_call>\n{body}\n</tool_call>" for body in bodies))
        messages.append(f"{THOUGHT}Done.")
    return messages


def columns(record: dict[str, Any], version: str) -> dict[str, Any]:
    user = BFCLEnvironment(record).user_message(0)
    extra_info = {
        "id": record["id"],
        "environment": "bfcl",
        "task": json.dumps({**record, "version": version}),
        "prompt_style": "compact",
    }
    return {"raw_prompt": [{"role": "user", "content": user}], "extra_info": extra_info}


def check_tokens(model: Model, name: str, output: Any, server: Server, whole: list[dict]) -> None:
    """The mask is 1 on the sampled ids alone, and the ids decode to the template's text."""
    sampled = [id_ for ids in server.sampled for id_ in ids]
    pairs = list(zip(output.response_ids, output.response_mask, strict=True))
    assert [id_ for id_, mask in pairs if mask] == sampled
    log_probs = iter(server.log_probs)
    assert output.response_logprobs == [next(log_probs) if mask else 0.0 for _, mask in pairs]
    text = model.tokenizer.apply_chat_template(whole, tokenize=False)
    decoded = model.tokenizer.decode(output.prompt_ids + output.response_ids) + model.separator
    if name == "qwen3":  # whose template forgets earlier thought
        text, decoded = text.replace(THOUGHT, ""), decoded.replace(THOUGHT, "")
    assert decoded == text


@pytest.mark.parametrize(
    ("version", "category", "folder", "num_rows"),
    [
        *[("v4", category, None, 200) for category in CATEGORIES],
        ("v3", "base", BFCL_V3, 199),
    ],
)
def test_right_answers_score_one(
    version: str,
    category: str,
    folder: Path | None,
    num_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if folder and not folder.is_dir():
        pytest.skip("the data of version 3 is not there")
    records = read_rows(category, folder, version)
    assert len(records) == num_rows
    begun: list[Recorded] = []

    def begin(*args: Any, **kwargs: Any) -> Recorded:
        begun.append(Recorded(*args, **kwargs))
        return begun[-1]

    monkeypatch.setattr("rest_verl.integration.agent_loops.tool_env.Conversation", begin)

    async def play_all() -> None:
        for record, (name, syntax, at_once) in zip(records, cycle(FORMS), strict=False):
            conversation = right_conversation(record)
            model = get_model(name)
            server = Server(model, script(messages_of(conversation, syntax, at_once)))
            loop = make_loop(model, server, prompt_length=20_000, response_length=100_000)
            output = await loop.run({"logprobs": True}, **columns(record, version))
            numbers = info(output)
            assert output.reward_score == numbers["dense"] == 1.0, record["id"]
            assert numbers["turns"] == numbers["turns_right"] == len(conversation)
            assert numbers["calls"] == sum(map(len, conversation))
            faults = [key for key, value in numbers.items() if "/" in key and value]
            assert faults == ["limit/none"], record["id"]
            check_tokens(model, name, output, server, begun[-1].messages)

    asyncio.run(play_all())


TOUCH = "open('CANARY', 'w')"


@pytest.mark.parametrize(
    ("message", "observation"),
    [
        (call("__import__('os').system", command="touch CANARY"), "is not defined"),
        (call(f"__import__('os').system('touch CANARY') or {TOUCH}"), "is not defined"),
        (call("eval", source=TOUCH), "is not defined"),
        (call(TOUCH), "is not defined"),
        (call("exit"), "is not allowed"),
        (call("(exit)()"), "is not defined"),
        (call("__class__"), "is not defined"),
        (call("__init__"), "is not defined"),
        (call("_load_scenario", scenario={}), "is not defined"),
        (call("root"), "is not defined"),  # an attribute, not a method
        (call("GorillaFileSystem.ls"), "is not defined"),
        (call("ls", **{"self": 1}), "Error"),
        (call("cat", file_name="../../../etc/passwd"), "error"),
        (call("cd", folder="/etc"), "error"),
        (call("echo", content="x" * 100_001), "are longer than"),
        (f"<tool_call>{TOUCH}</tool_call>", "Error: malformed tool call"),
        (
            '<tool_call>{"name": "ls", "arguments": {"a": '
            + "[" * 9999
            + "]" * 9999
            + "}}</tool_call>",
            "Error: malformed tool call",
        ),
        (call("ls", a=json.loads("[" * 400 + "]" * 400)), "a.txt"),
    ],
)
def test_hostile_calls(
    message: str, observation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered with a text; nothing but a method ran, and the rollout goes on to its right end."""
    monkeypatch.chdir(tmp_path)
    model = get_model("hermes")
    right = messages_of([[MKDIR, MV], [], [ADD]], "hermes", at_once=True)
    settings = {"response_length": 300_000, "prompt_length": 10_000}
    row = columns(small_record(), "v4")
    output, _ = run(model, [message, *right], row, {"call_timeout": 5}, **settings)
    first = context_text(model, output).split("</tool_response>")[0]
    assert observation in first
    assert output.reward_score == 1.0
    assert list(tmp_path.iterdir()) == []
