"""Which syntax does a model write? Asked of its chat template, by rendering calls through it.

A template shows how the model was taught to write an answer: an assistant's message with calls goes
in, text comes out, and the syntax that reads exactly those calls back is the model's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from rest_verl.syntax import Syntax, ToolCall, get_syntax, syntax_names

_MARK = "mark-7c1e"
_ASKED = {"role": "user", "content": "How is the weather?"}


def _tool(name: str) -> dict[str, Any]:
    properties = {
        "city": {"type": "string", "description": "Where."},
        "days": {"type": "integer", "description": "For how long."},
    }
    parameters = {"type": "object", "properties": properties, "required": ["city"]}
    function = {"name": name, "description": "A probe.", "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [_tool("get_weather"), _tool("get_tides")]
CALLS = [
    ToolCall("get_weather", {"city": "Oslo", "days": 3}),
    ToolCall("get_tides", {"city": "São Tomé", "days": 12}),
]
_MARKED = [ToolCall(_MARK, {"city": _MARK})]


class NoSyntax(ValueError):
    """No syntax fits a chat template, or more than one does."""


def template_syntax(
    tokenizer: Any,
    template_kwargs: Mapping[str, Any] | None = None,
    *,
    model: object = "this model",
    mend: str = "name it",
) -> Syntax:
    """The syntax that the tokenizer's chat template writes.

    Args:
        tokenizer: of Hugging Face, with its chat template.
        template_kwargs: further arguments of the template, such as `enable_thinking`.
        model: what a complaint calls it.
        mend: what a complaint advises.

    Raises:
        NoSyntax: none reads the template's calls, or two that differ do.
    """
    if type(tokenizer).__name__.startswith("MistralCommon"):
        return get_syntax("mistral")  # its template is code that renders no answer by itself
    fitting = fitting_syntaxes(tokenizer, template_kwargs or {})
    if len(fitting) == 1:
        return get_syntax(fitting[0])
    if fitting:
        raise NoSyntax(
            f"{model}: its chat template's calls can be read as {' and as '.join(fitting)}: {mend}"
        )
    if not getattr(tokenizer, "chat_template", None):
        why = "it has no chat template that would tell how it writes calls"
    elif not any(_MARK in text for text in _with_calls(tokenizer, template_kwargs or {}, _MARKED)):
        why = "its chat template writes no tool calls"
    else:
        why = "no known syntax reads the calls that its chat template writes"
    raise NoSyntax(
        f"{model}: {why}: {mend}. Known: {', '.join(syntax_names())}; "
        "docs/your-syntax.md tells how to add one"
    )


def fitting_syntaxes(tokenizer: Any, template_kwargs: Mapping[str, Any]) -> list[str]:
    """Names of the syntaxes that read one and two calls of the template back exactly.

    Templates that write no more than one call of a message, or refuse two, are judged by one.
    """
    names = [name for name in syntax_names() if get_syntax(name).in_templates]
    one = list(_messages(tokenizer, template_kwargs, CALLS[:1]))
    fitting = [name for name in names if _reads_any(name, one, CALLS[:1])]
    two = list(_messages(tokenizer, template_kwargs, CALLS))
    return [
        name
        for name in fitting
        if not two or _reads_any(name, two, CALLS) or _reads_any(name, two, CALLS[:1])
    ]


def _reads_any(name: str, messages: list[tuple[str, str]], calls: list[ToolCall]) -> bool:
    syntax = get_syntax(name)
    return any(_reads(syntax, text, before, calls) for text, before in messages)


def _reads(syntax: Syntax, text: str, before: str, calls: list[ToolCall]) -> bool:
    is_open = syntax.leaves_think_open(before.encode())
    reading = syntax.read(text, think_is_open=is_open, tools=TOOLS)
    made = [(call.name, call.arguments) for call in reading.whole_calls or ()]
    return made == [(call.name, call.arguments) for call in calls]


def _messages(
    tokenizer: Any, template_kwargs: Mapping[str, Any], calls: list[ToolCall]
) -> Iterator[tuple[str, str]]:
    """(assistant's message, what stands before it) for each way to hand over `calls`."""
    plain = _render(tokenizer, [_ASKED, _says(_MARK)], template_kwargs)
    before, found, after = (plain or "").rpartition(_MARK)
    opening = _render(tokenizer, [_ASKED], template_kwargs, add_generation_prompt=True)
    if not found or opening is None:
        return
    for rendered in _with_calls(tokenizer, template_kwargs, calls):
        # A template may write other things before text than before calls (harmony's channels).
        for prefix in (opening, before, _shared(opening, rendered)):
            if rendered.startswith(prefix):
                yield rendered[len(prefix) :].removesuffix(after), prefix
                break


def _with_calls(
    tokenizer: Any, template_kwargs: Mapping[str, Any], calls: list[ToolCall]
) -> Iterator[str]:
    """The whole conversation, in the layouts that templates want calls in."""
    for as_text in (False, True):
        for make_id in (lambda n, c: f"call0000{n}", lambda n, c: f"functions.{c.name}:{n}"):
            made = []
            for number, call in enumerate(calls):
                arguments: Any = json.dumps(call.arguments) if as_text else call.arguments
                function = {"name": call.name, "arguments": arguments}
                made.append({"type": "function", "id": make_id(number, call), "function": function})
            message = {**_says(""), "tool_calls": made}
            rendered = _render(tokenizer, [_ASKED, message], template_kwargs)
            if rendered is not None:
                yield rendered


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _shared(first: str, second: str) -> str:
    """What both begin with, up to the last tag that is whole."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return re.sub(r"<[^>]*\Z", "", "".join(character for character, _ in pairs))


def _render(
    tokenizer: Any,
    messages: list[dict[str, Any]],
    template_kwargs: Mapping[str, Any],
    **options: Any,
) -> str | None:
    """The conversation as the template writes it, tools shown; None where it refuses it."""
    try:
        return tokenizer.apply_chat_template(
            messages, tools=TOOLS, tokenize=False, **options, **template_kwargs
        )
    except Exception:  # whatever a template can raise
        return None
