"""Splits a dialogue into its steps: the whole history in, one assistant message out.

An assistant message with calls becomes a step that wants these calls; one without becomes a step
that wants no call. How the history is shown:

| style | history |
|---|---|
| `toolrl` | one user message in ToolRL's form: `<user>`, `<tool_call>`, `<response>`, `<obs>` |
| `chat_template` | a message each; calls in the model's syntax, observations of role "tool" |
| `compact` | a message each; calls and responses in ToolRL tags, observations of role "tool" |
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rest_verl.data.answers import answer_syntax
from rest_verl.data.dialogues import Dialogue, Message
from rest_verl.data.prompts import RECORDS_HEAD, TEMPLATE_AGENT, dump_ground_truth
from rest_verl.data.refusals import Refused, shortened
from rest_verl.prompts.styles import PromptStyle, asked_syntax
from rest_verl.prompts.system import system_message
from rest_verl.prompts.tools import describe_tools
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import Syntax
from rest_verl.syntax.json_values import dump_json


@dataclass(frozen=True, kw_only=True)
class Step:
    """One assistant message of a dialogue as a task of its own."""

    number: int
    """Position among the dialogue's steps, from 0."""
    wants_calls: bool
    messages: list[dict[str, str]]
    """The prompt, `{"role", "content"}` each."""
    later_tools: list[dict[str, Any]]
    """Offered by the history, beside the dialogue's own."""
    answer: str
    """The right answer."""
    ground_truth: str
    """What the reward compares with; `answer` earns the maximum."""


def split_steps(
    dialogue: Dialogue,
    style: PromptStyle,
    *,
    thought: Callable[[Message], str] | None = None,
    syntax: Syntax | str = "hermes",
) -> Iterator[Step]:
    """The steps in order.

    `thought` gives each assistant message its reasoning, in its answer and in later histories;
    without it the dialogue's own thoughts stand, and an empty one is left out of the history. With
    it, in the styles `compact` and `chat_template`, a step is what a rollout with an environment
    would show and should sample: a supervised warm start trains on `messages` and `answer`.
    `syntax` is the model's own, for `chat_template`.

    Raises:
        Refused: a call of a tool that is not offered, or a message that the reward would not take
            as its own right answer; names its origin.
        ValueError: no such style or syntax.
    """
    if unknown := dialogue.calls_not_offered():
        raise Refused(
            "unknown tool",
            f"{dialogue.origin or dialogue.id}: calls {', '.join(unknown)}, not offered at that "
            "point; add it to the tools or drop the dialogue",
        )
    written_in = answer_syntax(style, syntax)
    history: list[Message] = []
    number = 0
    for message in dialogue.messages:
        if message.role == "assistant":
            if thought:
                message = replace(message, thought=thought(message))
            yield _step(dialogue, history, message, style, written_in, number)
            number += 1
        history.append(message)


def step_row(
    dialogue: Dialogue, step: Step, style: PromptStyle, *, index: int, split: str
) -> dict[str, Any]:
    """The step as verl reads it, in the layout of `rest_verl.data.prompts.verl_row`.

    `extra_info.later_tools` are those that the prompt shows in its course, for the reward, which
    reads arguments by their types.
    """
    agent = {"agent_name": TEMPLATE_AGENT} if style == "chat_template" else {}
    typed = style == "chat_template"
    return {
        **agent,
        "data_source": dialogue.data_source,
        "prompt": step.messages,
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": step.ground_truth},
        "extra_info": {
            "index": index,
            "id": f"{dialogue.id}/{step.number}",
            "category": dialogue.category,
            "split": split,
            "version": dialogue.version,
            "tools": dump_json(dialogue.tools) if typed else "",
            "later_tools": dump_json(step.later_tools) if typed and step.later_tools else "",
            "syntax": asked_syntax(style),
            "prompt_style": style,
        },
    }


def _step(
    dialogue: Dialogue,
    history: list[Message],
    message: Message,
    style: PromptStyle,
    syntax: Syntax,
    number: int,
) -> Step:
    text = "" if message.calls else message.content
    answer = syntax.write(message.calls, text, think=message.thought)
    calls = [{"name": call.name, "parameters": call.arguments} for call in message.calls]
    ground_truth = (
        dump_ground_truth("calls", calls, style, values="equal")
        if calls
        else dump_ground_truth("no_call", [], style)
    )
    later_tools = [tool for message in history for tool in message.new_tools]
    result = tool_call_reward(
        answer,
        ground_truth,
        syntax=syntax,
        think_is_open=False,
        tools=[*dialogue.tools, *later_tools],
    )
    if not (result.format_ok and result.exact_match):
        raise Refused(
            "no right answer to the reward",
            f"{dialogue.origin or dialogue.id}, {message.place or f'step {number}'}: the reward "
            f"would not take it as right, {shortened(answer)}; are there tags or calls in its "
            "text, or names that cannot be written so? Mend or drop it",
        )
    return Step(
        number=number,
        wants_calls=bool(calls),
        messages=_prompt(dialogue.tools, history, style, syntax),
        later_tools=later_tools,
        answer=answer,
        ground_truth=ground_truth,
    )


def _prompt(
    tools: list[dict[str, Any]], history: list[Message], style: PromptStyle, syntax: Syntax
) -> list[dict[str, str]]:
    if style == "chat_template":
        return [{"role": m.role, "content": _content(m, style, syntax)} for m in history]
    own = [message.content for message in history if message.role == "system"]
    system = {"role": "system", "content": "\n\n".join([system_message(tools, style), *own])}
    dialogue = [message for message in history if message.role != "system"]
    if style == "compact":
        shown = [{"role": m.role, "content": _content(m, style, syntax)} for m in dialogue]
        return [system, *shown]
    return [system, {"role": "user", "content": _records(dialogue, syntax)}]


def _content(message: Message, style: PromptStyle, syntax: Syntax) -> str:
    if message.role == "assistant":
        return syntax.write(message.calls, message.content, think=message.thought or None)
    if message.new_tools:
        return f"{describe_tools(list(message.new_tools), style)}\n{message.content}"
    return message.content


def _records(dialogue: list[Message], syntax: Syntax) -> str:
    text = RECORDS_HEAD
    for message in dialogue:
        content = _content(message, "toolrl", syntax)
        if message.role == "tool":
            text += f"\n<obs> {content} </obs>"
            continue
        text += "\n" if text == RECORDS_HEAD else "\n\n"
        text += f"<user> {content} </user>" if message.role == "user" else content
    return text
