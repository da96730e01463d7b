"""Where verl's own parser reads an answer otherwise, and the named reason for each difference.

Each reason has a mend, which takes its cause out of the answer. A difference is explained if verl
agrees on the answer with all mends, and its reasons are those without whose mends it does not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from answers import Plan
from argument_values import NAMES, OWN_TAGS, SCHEMAS, TOOLS, XML_LIKE
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl_parsers import verl_calls

from rest_verl.integration.agent_loops.readers import plain_tool
from rest_verl.syntax import Outline, Reading, Region, ToolCall, get_syntax, syntax_names
from rest_verl.syntax.json_values import NOT_JSON, dump_json, read_json
from rest_verl.syntax.xml_calls import XmlCalls

Calls = list[tuple[str, Any]]
VERLS = tuple(name for name in syntax_names() if name in ToolParser._registry)
"""The syntaxes for which verl has a parser."""
UNTYPED = ("seed", "minimax", "glm")
_PLAIN_TOOLS = [plain_tool(tool) for tool in TOOLS]


def verl_reads(name: str, texts: Sequence[str], *, ended: bool = True) -> list[Calls]:
    """The calls that verl finds in each message. Harmony's beginning, which the prompt has, is
    given to it, and so is the token that ends a message, unless that was cut off."""
    if name == "gpt-oss":
        texts = [f"<|start|>assistant{text}{'<|call|>' if ended else ''}" for text in texts]
    tools = [] if name == "kimi" else _PLAIN_TOOLS  # its parser would guess names from them
    return verl_calls(name, texts, tools)


# Whole answers


class Mend(NamedTuple):
    """A reason, and what takes its cause out of an answer."""

    reason: str
    names: tuple[str, ...]
    apply: Callable[[Plan], Plan]


def _mends(
    reason: str, *names: str
) -> Callable[[Callable[[str, Any], Any]], Callable[[str, Any], Any]]:
    """Of an argument: the function gives a value that verl reads, or `_DROP`."""

    def add(mend_value: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
        def apply(plan: Plan) -> Plan:
            calls = []
            for call in plan.calls:
                mended = {key: mend_value(key, value) for key, value in call.arguments.items()}
                kept = {key: value for key, value in mended.items() if value is not _DROP}
                calls.append(call._replace(arguments=kept))
            return plan._replace(calls=calls)

        MENDS.append(Mend(reason, names, apply))
        return mend_value

    return add


_DROP = object()


def _without_tags(plan: Plan) -> Plan:
    tags = re.compile("|".join(map(re.escape, OWN_TAGS[plan.syntax])))

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return tags.sub("§", value)
        if isinstance(value, dict):
            return {cleaned(key): cleaned(item) for key, item in value.items()}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    calls = [ToolCall(cleaned(call.name), cleaned(call.arguments)) for call in plan.calls]
    return plan._replace(calls=calls)


def _plain_names(plan: Plan) -> Plan:
    calls = [call._replace(name=re.sub(r"\W", "_", call.name)) for call in plan.calls]
    return plan._replace(calls=calls)


def _known_tools(plan: Plan) -> Plan:
    calls = []
    for call in plan.calls:
        texts = {key: value for key, value in call.arguments.items() if isinstance(value, str)}
        calls.append(call if call.name in NAMES else call._replace(arguments=texts))
    return plan._replace(calls=calls)


_QUOTED = "ends a value at a quoted tag"
_HEADER = "asks for a header as the model writes it, not the template, and for what ends a call"
MENDS = [
    Mend("reads calls in a thought", VERLS, lambda p: p._replace(think=None, prompt_opens=False)),
    Mend(_QUOTED, VERLS, _without_tags),
    Mend(
        "reads one call a block, under `arguments`",
        ("hermes",),
        lambda plan: plan._replace(other_form=False),
    ),
    Mend("reads one call a block", ("seed",), lambda plan: plan._replace(other_form=False)),
    Mend(_HEADER, ("gpt-oss",), lambda plan: plan._replace(other_form=True)),
    Mend("leaves values of unknown tools as text", ("qwen3_coder",), _known_tools),
    Mend("reads names of letters only", ("gemma4",), _plain_names),
]


@_mends("strips strings and reads them as JSON, whatever the schema says", *UNTYPED)
def _no_json(key: str, value: Any) -> Any:
    is_plain = not isinstance(value, str) or (
        value == value.strip() and read_json(value) is NOT_JSON
    )
    return value if is_plain else "so"


@_mends("reads the text null as no value", "qwen3_coder")
def _no_null(key: str, value: Any) -> Any:
    return "so" if isinstance(value, str) and value.lower() == "null" else value


@_mends("takes what has no type, or several, for text or the first", "qwen3_coder")
def _one_type(key: str, value: Any) -> Any:
    return value if "type" in SCHEMAS.get(key, {}) or isinstance(value, str) else _DROP


@_mends("takes what is no boolean for false", "qwen3_coder")
def _boolean(key: str, value: Any) -> Any:
    return _DROP if key == "metric" and type(value) is not bool else value


@_mends("reads lists as Python has them", "qwen3_coder")
def _python_list(key: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        ast.literal_eval(dump_json(value))
    except ValueError:
        return _DROP
    return value


@_mends("does not look into lists and objects", "gemma4")
def _flat(key: str, value: Any) -> Any:
    return _DROP if isinstance(value, list | dict) else value


@_mends("reads keys of letters only", "gemma4")
def _plain_key(key: str, value: Any) -> Any:
    return value if re.fullmatch(r"\w+", key) else _DROP


@_mends("reads strings of one line only", "gemma4")
def _one_line(key: str, value: Any) -> Any:
    return value.replace("\n", " ") if isinstance(value, str) else value


@_mends("takes the template's None for text", "gemma4")
def _some(key: str, value: Any) -> Any:
    return _DROP if value is None else value


_ID = "takes the id for the name"


def reasons_of_whole(plan: Plan) -> list[str]:
    """Why verl reads the answer otherwise; empty if it does not.

    Raises:
        AssertionError: nothing explains it.
    """
    name, wanted = plan.syntax, _pairs(plan.calls)
    verls = verl_reads(name, [plan.message])[0]
    if verls == wanted:
        return []
    ids = [_ID] if _named(name, verls) != verls else []
    if _named(name, verls) == wanted:
        return ids
    mends = [mend for mend in MENDS if name in mend.names]
    mended, kept = plan, []
    for mend in mends:
        if mend.apply(mended) != mended:
            mended = mend.apply(mended)
            kept.append(mend)
    assert _agrees(mended), f"verl reads {verls!r}"
    needed = [mend for mend in kept if not _agrees(_mended(plan, mends, but=mend))]
    return ids + [mend.reason for mend in needed or kept]


def _mended(plan: Plan, mends: Sequence[Mend], but: Mend) -> Plan:
    for mend in mends:
        plan = plan if mend is but else mend.apply(plan)
    return plan


def _agrees(plan: Plan) -> bool:
    verls = verl_reads(plan.syntax, [plan.message])[0]
    return _named(plan.syntax, verls) == _pairs(plan.calls)


def _pairs(calls: Sequence[ToolCall]) -> Calls:
    return [(call.name, call.arguments) for call in calls]


def _named(name: str, calls: Calls) -> Calls:
    """With names for kimi's ids."""
    if name != "kimi":
        return calls
    return [
        (re.sub(r":[0-9]+\Z", "", id_.removeprefix("functions.")), arguments)
        for id_, arguments in calls
    ]


# Answers that are broken off, or damaged


def reasons_of_any(
    name: str, text: str, think_is_open: bool, reading: Reading, verls: Calls
) -> list[str]:
    """The same of a text that nobody meant; `verls` is what verl reads in it."""
    wanted = _pairs(reading.whole_calls or [])
    if _named(name, verls) == wanted:
        return [_ID] if verls != wanted else []
    said = _without_thoughts(name, text, think_is_open)
    verls_said = verls if said == text else verl_reads(name, [said])[0]
    reasons = [] if verls_said == verls else ["reads calls in a thought"]
    if _named(name, verls_said) == wanted:
        return reasons
    if reading.whole_calls is None:
        if len(verls_said) > len(reading.calls):
            return [*reasons, "takes what is broken for a call"]
        return [*reasons, "runs the whole calls of a message that is broken elsewhere"]
    # The same calls, as they are written: then verl trips over the same, if not in the same way.
    causes = reasons_of_whole(Plan(name, reading.calls))
    if not causes and name in ("hermes", "seed"):
        causes = reasons_of_whole(Plan(name, reading.calls, other_form=True))
    if causes not in ([], [_ID]):
        return reasons + causes
    if name == "kimi" and (
        _is_within(wanted, _named(name, verls_said))
        # Such a call may swallow the one in the section.
        or said.find("<|tool_call_begin|>") < said.find("<|tool_calls_section_begin|>")
    ):
        return [*reasons, "reads calls outside a section"]
    if name in ("seed", "minimax", "glm") and _is_text_for_a_list(verls_said, wanted):
        return [*reasons, "knows lists and objects as JSON only"]
    if name == "gpt-oss" and _is_within(verls_said, wanted):
        return [*reasons, _HEADER]
    if name in XML_LIKE and _quotes_a_close(name, said):
        return [*reasons, _QUOTED]  # in a value that a later one of the same name replaces
    raise AssertionError(f"verl reads {verls!r}")


def _is_text_for_a_list(verls: Calls, wanted: Calls) -> bool:
    """Whether verl has the same calls, but text where a Python literal stands for a list."""
    if [(name, [*values]) for name, values in verls] != [(n, [*values]) for n, values in wanted]:
        return False
    pairs = [
        (values[key], right[key])
        for (_, values), (_, right) in zip(verls, wanted, strict=True)
        for key in right
        if values[key] != right[key]
    ]
    return all(isinstance(v, str) and isinstance(right, list | dict) for v, right in pairs)


def _is_within(few: Calls, many: Calls) -> bool:
    """Whether these calls are among the others, in their order."""
    rest = iter(many)
    return all(call in rest for call in few)


def _quotes_a_close(name: str, text: str) -> bool:
    """Whether a closing tag of the syntax stands in a value."""
    syntax = get_syntax(name)
    assert isinstance(syntax, XmlCalls)
    closes = (syntax.parameter_close, syntax.call_close, *filter(None, syntax.blocks.values()))
    data, outline = text.encode(), Outline()
    syntax.scan(data, 0, len(data), outline, False)
    ends = [*outline.starts[1:], len(data)]
    parts = zip(outline.starts, ends, outline.regions, strict=True)
    values = [data[start:end] for start, end, region in parts if region == Region.ARGS]
    return any(close in value for value in values for close in closes)


def _without_thoughts(name: str, text: str, think_is_open: bool) -> str:
    data, outline = text.encode(), Outline()
    get_syntax(name).scan(data, 0, len(data), outline, think_is_open)
    ends = [*outline.starts[1:], len(data)]
    parts = zip(outline.starts, ends, outline.regions, strict=True)
    said = b"".join(data[start:end] for start, end, region in parts if region != Region.THINK)
    return said.decode()
