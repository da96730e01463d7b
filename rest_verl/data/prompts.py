"""Turns a BFCL row into what the model sees and what its answer is compared with.

The styles are those of `rest_verl.prompts.styles`. Function names stay as they are, dots included.
System messages of the row come after the tools in the same system message (`chat_template`: stay
where they are). Earlier user and assistant turns stay messages of their own, except in `toolrl`,
whose format holds the dialogue in one user message.
"""

import json
from typing import Any, Literal

from rest_verl.data.answers import NO_CALL_RESPONSE, write_answer
from rest_verl.data.bfcl import BfclRow
from rest_verl.prompts.styles import PromptStyle, asked_syntax, check_style
from rest_verl.prompts.system import system_message
from rest_verl.prompts.tools import tools_as_given, tools_from_docs
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import Syntax, ToolCall

RECORDS_HEAD = "**Dialogue Records History**"
"""Stands before the dialogue in ToolRL's form."""

TEMPLATE_AGENT = "rest_single_turn"
"""The agent loop of `rest_verl.integration.agent_loops.single_turn`."""


def build_prompt(row: BfclRow, style: PromptStyle) -> list[dict[str, str]]:
    """The chat messages for `row`, `{"role", "content"}` each."""
    if check_style(style) == "chat_template":
        return [dict(message) for message in row.messages]
    system = system_message(tools_as_given(row.functions), style)
    own = [message["content"] for message in row.messages if message["role"] == "system"]
    dialogue = [dict(message) for message in row.messages if message["role"] != "system"]
    if style == "toolrl":
        dialogue = [{"role": "user", "content": _toolrl_dialogue(dialogue)}]
    return [{"role": "system", "content": "\n\n".join([system, *own])}, *dialogue]


def ground_truth(row: BfclRow, style: PromptStyle) -> str:
    """The JSON object that the reward reads: format, expectation, and calls with allowed values."""
    return dump_ground_truth(row.expect, row.calls, style)


def dump_ground_truth(
    expect: str,
    calls: list[dict[str, Any]],
    style: PromptStyle,
    *,
    values: Literal["allowed", "equal"] = "allowed",
) -> str:
    """The ground truth of :mod:`rest_verl.rewards.ground_truth` for an answer in this style."""
    answer_format = asked_syntax(style) or "chat_template"
    record = {"format": answer_format, "expect": expect, "calls": calls}
    return _dump(record if values == "allowed" else {**record, "values": values})


def reference_answer(
    row: BfclRow, style: PromptStyle, think: str, *, syntax: Syntax | str = "hermes"
) -> str:
    """A right answer with `think` as its reasoning: the first allowed value of every parameter.

    A parameter whose first allowed value is "" is left out, unless its function requires it. With
    `chat_template` an empty `think` leaves out the think block, as non-reasoning models do.

    Args:
        syntax: the model's own, in which answers to `chat_template` are written.

    Raises:
        ValueError: the row wants any call at all; BFCL gives no answer for such rows.
    """
    if row.expect == "any_call":
        raise ValueError(f"{row.id}: BFCL gives no answer for category {row.category}")
    calls = [
        ToolCall(call["name"], _reference_parameters(call, row.functions)) for call in row.calls
    ]
    text = "" if calls else NO_CALL_RESPONSE
    return write_answer(calls, text, style, think=think, syntax=syntax)


def can_be_right(row: BfclRow, syntax: Syntax | str) -> bool:
    """Whether the reward takes the row's own answer, in a model's own syntax, as right.

    Not so for a few rows in syntaxes whose arguments are read by the schema's types: their
    functions declare texts, their answers are of another type.
    """
    if row.expect != "calls":
        return True
    result = tool_call_reward(
        reference_answer(row, "chat_template", "", syntax=syntax),
        ground_truth(row, "chat_template"),
        syntax=syntax,
        think_is_open=False,
        tools=openai_tools(row),
    )
    return result.exact_match


def openai_tools(row: BfclRow) -> list[dict[str, Any]]:
    """The row's functions as a chat template's `tools`, with JSON-schema types."""
    return tools_from_docs(row.functions)


def verl_row(row: BfclRow, style: PromptStyle, *, index: int, split: str) -> dict[str, Any]:
    """The row as verl reads it; one `data_source` a category, so validation reports each.

    `extra_info.tools` is the JSON of `openai_tools` with `chat_template`, whose rows also name the
    agent loop that hands them to the template; with the other styles, whose prompts show the tools,
    it is empty. `extra_info.syntax` is how the prompt asks answers to be written, "" where that is
    left to the model. `extra_info.prompt_style` is how the tools are shown, which an evaluation of
    a run trained on these rows repeats.
    """
    agent = {"agent_name": TEMPLATE_AGENT} if style == "chat_template" else {}
    return {
        **agent,
        "data_source": f"bfcl_{row.version}/{row.category}",
        "prompt": build_prompt(row, style),
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ground_truth(row, style)},
        "extra_info": {
            "index": index,
            "id": row.id,
            "category": row.category,
            "split": split,
            "version": row.version,
            "tools": _dump(openai_tools(row)) if style == "chat_template" else "",
            "syntax": asked_syntax(style),
            "prompt_style": style,
        },
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _toolrl_dialogue(messages: list[dict[str, str]]) -> str:
    tags = {"user": "user", "assistant": "response"}
    parts = [
        f"<{tags[message['role']]}> {message['content']} </{tags[message['role']]}>"
        for message in messages
    ]
    return f"{RECORDS_HEAD}\n" + "\n\n".join(parts)


def _reference_parameters(call: dict[str, Any], functions: list[dict[str, Any]]) -> dict[str, Any]:
    docs: list[dict[str, Any]] = [f["parameters"] for f in functions if f["name"] == call["name"]]
    known = {name for doc in docs for name in doc["properties"]}
    required = {name for doc in docs for name in doc.get("required", [])}
    parameters = {}
    for name, allowed in call["parameters"].items():
        # parallel_multiple_26 allows an optional parameter that its function does not have.
        optional = "" in allowed and name not in required
        if optional and (allowed[0] == "" or name not in known):
            continue
        # Two rows of live_simple have empty lists: no value is right, so none is given.
        if allowed:
            parameters[name] = _first(allowed)
    return parameters


def _first(allowed: list[Any]) -> Any:
    value = next((value for value in allowed if value != ""), "")
    return [_settled(item) for item in value] if isinstance(value, list) else _settled(value)


def _settled(value: Any) -> Any:
    """An allowed value with one choice made: an object has a list of allowed values at each key."""
    if not isinstance(value, dict):
        return value
    # simple_java_64 has a bare value where a list belongs.
    lists = {key: item if isinstance(item, list) else [item] for key, item in value.items()}
    return {key: allowed[0] for key, allowed in lists.items() if allowed and allowed[0] != ""}
