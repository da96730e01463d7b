"""Dialogues written in each layout of recorded chats, and what of them a layout can say."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rest_verl.data import Dialogue, Message
from rest_verl.syntax import ToolCall

Json = dict[str, Any]


def as_openai(dialogue: Dialogue, *, in_columns: bool = False) -> Json:
    """All is said; observations stand in the reverse order of their calls.

    Args:
        in_columns: arguments are objects and not JSON in a text.
    """
    messages: list[Json] = []
    for number, (message, observations) in enumerate(_rounds(dialogue)):
        said: Json = {"role": message.role, "content": message.content}
        if message.thought:
            said["reasoning_content"] = message.thought
        ids = [f"call_{number}_{k}" for k in range(len(message.calls))]
        if message.calls:
            said["tool_calls"] = [
                {"id": id_, "type": "function", "function": _function(call, as_text=not in_columns)}
                for id_, call in zip(ids, message.calls, strict=True)
            ]
        answers = [
            {"role": "tool", "tool_call_id": id_, "content": observation}
            for id_, observation in zip(ids, observations, strict=False)
        ]
        messages += [said, *reversed(answers)]
    return {"id": dialogue.id, "messages": messages, "tools": json.dumps(dialogue.tools)}


def as_sharegpt(dialogue: Dialogue) -> Json:
    """Neither text nor thought can stand beside calls."""
    turns, system = [], ""
    for message, observations in _rounds(dialogue):
        if message.role == "system":
            system = message.content
        elif message.role == "user":
            turns.append(("human", message.content))
        elif not message.calls:
            turns.append(("gpt", _thinking(message) + message.content))
        else:
            calls = [_function(call) for call in message.calls]
            turns.append(("function_call", json.dumps(calls if len(calls) > 1 else calls[0])))
            if observations:
                several = json.dumps(observations, ensure_ascii=False)
                turns.append(("observation", several if len(calls) > 1 else observations[0]))
    return _record(dialogue, turns, system=system, tools=json.dumps(dialogue.tools))


def as_xlam(dialogue: Dialogue, *, in_columns: bool = False) -> Json:
    """One question and its calls, and nothing else; optional arguments by their types' names.

    Args:
        in_columns: answers are objects and not JSON in a text.
    """
    question, answer = says_xlam(dialogue).messages
    calls = [_function(call) for call in answer.calls]
    return {
        "id": dialogue.id,
        "query": question.content,
        "tools": json.dumps([_by_name(tool["function"]) for tool in dialogue.tools]),
        "answers": calls if in_columns else json.dumps(calls),
    }


def as_toolace(dialogue: Dialogue) -> Json:
    """The system text is the tools', and no text can stand beside calls."""
    turns = []
    for message, observations in _rounds(dialogue):
        if message.role == "user":
            turns.append(("user", message.content))
        elif message.role == "assistant":
            calls = ", ".join(map(_python_call, message.calls))
            text = f"[{calls}]" if calls else message.content
            turns.append(("assistant", _thinking(message) + text))
        if observations:
            several = json.dumps(observations, ensure_ascii=False)
            turns.append(("tool", several if len(observations) > 1 else observations[0]))
    functions = json.dumps([tool["function"] for tool in dialogue.tools])
    return _record(dialogue, turns, system=f"Here is a list of functions:\n{functions}.\n")


def as_hermes(dialogue: Dialogue) -> Json:
    """The system text is the tools'."""
    turns = [("system", f"Within <tools></tools>:\n<tools>\n{dialogue.tools}\n</tools>")]
    for message, observations in _rounds(dialogue):
        if message.role == "user":
            turns.append(("human", message.content))
        elif message.role == "assistant":
            blocks = [f"<tool_call>\n{_function(call)}\n</tool_call>" for call in message.calls]
            said = [message.content, *blocks] if message.content else blocks
            turns.append(("gpt", _thinking(message) + "\n".join(said)))
        if observations:
            blocks = [f"<tool_response>\n{text}\n</tool_response>\n" for text in observations]
            turns.append(("tool", "".join(blocks)))
    return _record(dialogue, turns)


def says_openai(dialogue: Dialogue) -> Dialogue:
    """The dialogue that `as_openai` says: all of it; so with those below."""
    return dialogue


def says_sharegpt(dialogue: Dialogue) -> Dialogue:
    """See `as_sharegpt`."""
    messages = [replace(m, content="", thought="") if m.calls else m for m in dialogue.messages]
    return replace(dialogue, messages=messages)


def says_xlam(dialogue: Dialogue) -> Dialogue:
    """See `as_xlam`."""
    question = next(m for m in dialogue.messages if m.role == "user")
    answer = next(m for m in dialogue.messages if m.calls)
    return replace(dialogue, messages=[question, replace(answer, content="", thought="")])


def says_toolace(dialogue: Dialogue) -> Dialogue:
    """See `as_toolace`."""
    messages = [replace(m, content="") if m.calls else m for m in says_hermes(dialogue).messages]
    return replace(dialogue, messages=messages)


def says_hermes(dialogue: Dialogue) -> Dialogue:
    """See `as_hermes`."""
    return replace(dialogue, messages=[m for m in dialogue.messages if m.role != "system"])


WRITERS: dict[str, tuple[Callable[..., Json], Callable[[Dialogue], Dialogue]]] = {
    "openai": (as_openai, says_openai),
    "sharegpt": (as_sharegpt, says_sharegpt),
    "xlam": (as_xlam, says_xlam),
    "toolace": (as_toolace, says_toolace),
    "hermes": (as_hermes, says_hermes),
}
"""Layout -> how a dialogue is written in it, and the dialogue that this says."""


def _rounds(dialogue: Dialogue) -> Iterator[tuple[Message, list[str]]]:
    """Each message that is no observation, and the observations after it."""
    rounds: list[tuple[Message, list[str]]] = []
    for message in dialogue.messages:
        if message.role == "tool":
            rounds[-1][1].append(message.content)
        else:
            rounds.append((message, []))
    return iter(rounds)


def _record(dialogue: Dialogue, turns: list[tuple[str, str]], **rest: Any) -> Json:
    said = [{"from": speaker, "value": text} for speaker, text in turns]
    return {"id": dialogue.id, "conversations": said, **rest}


def _function(call: ToolCall, *, as_text: bool = False) -> Json:
    arguments = json.dumps(call.arguments) if as_text else call.arguments
    return {"name": call.name, "arguments": arguments}


def _thinking(message: Message) -> str:
    return f"<think>\n{message.thought}\n</think>\n" if message.thought else ""


def _python_call(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"


def _by_name(function: Json) -> Json:
    required = function["parameters"].get("required", [])
    specs = {}
    for name, spec in function["parameters"]["properties"].items():
        kinds = spec["type"] if isinstance(spec["type"], list) else [spec["type"]]
        optional = kinds if name in required else [f"{kinds[0]}, optional", *kinds[1:]]
        specs[name] = {**spec, "type": optional if len(optional) > 1 else optional[0]}
    return {**function, "parameters": specs}
