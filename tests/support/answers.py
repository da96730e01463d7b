"""Random answers in every syntax, planned: what is called, said and thought, and how it is written.

    plan = some_plan(Random("0/7"), "glm")
    plan.message      # as the syntax writes it
    plan.calls        # what every reader has to find in it

Or damaged by `accidents`, or foreign: a call in another syntax.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from argument_values import ALL_TAGS, OWN_TAGS, WORDS, some_calls

from rest_verl.syntax import ToolCall, get_syntax, read_message
from rest_verl.syntax.json_values import dump_json
from rest_verl.syntax.xml_calls import write_value

BARE = ("llama3_json", "pythonic")


class Plan(NamedTuple):
    """An answer before it is written."""

    syntax: str
    calls: list[ToolCall]
    text: str = ""
    think: str | None = None
    behind: str = ""
    """Text after everything else."""
    other_form: bool = False
    """Written as models do as well, not as the template does."""
    prompt_opens: bool = False
    """The prompt has opened the thought."""

    @property
    def message(self) -> str:
        """The answer, without the token that ends it."""
        syntax = get_syntax(self.syntax)
        if self.other_form and self.calls:
            text = "" if self.syntax in (*BARE, "toolrl", "gpt-oss") else self.text
            before = syntax.write([], text, think=self.think)
            if before and self.syntax == "gpt-oss":
                before += "<|start|>assistant"
            message = f"{before}{_in_other_form(self.syntax, self.calls)}{self.behind}"
        else:
            message = f"{syntax.write(self.calls, self.text, think=self.think)}{self.behind}"
        if not self.prompt_opens:
            return message
        return message.partition(syntax.think[0].decode())[2]


def _in_other_form(name: str, calls: list[ToolCall]) -> str:
    """The calls alone."""
    if name in ("toolrl", "hermes"):  # one block, escapes, the other's key, lines
        key = "arguments" if name == "toolrl" else "parameters"
        records = [{"name": call.name, key: call.arguments} for call in calls]
        return (
            "<tool_call>"
            + ",\n".join(json.dumps(r, indent=1) for r in records).replace("},\n{", "}\n{")
            + "</tool_call>"
        )
    if name == "mistral":  # as its first generation
        records = [{"name": call.name, "arguments": call.arguments} for call in calls]
        return f"[TOOL_CALLS]{dump_json(records)}"
    if name == "gpt-oss":  # as the model writes it, not the template
        return "<|call|><|start|>assistant".join(
            f"<|channel|>commentary to=functions.{call.name} <|constrain|>json<|message|>"
            f"{dump_json(call.arguments)}"
            for call in calls
        )
    written = get_syntax(name).write(calls)
    if name in ("qwen3_coder", "seed"):  # one block
        tag = "seed:tool_call" if name == "seed" else "tool_call"
        return written.replace(f"\n</{tag}>\n<{tag}>", "")
    if name == "kimi":  # names alone
        said = (
            f"<|tool_call_begin|>{call.name}<|tool_call_argument_begin|>"
            f"{dump_json(call.arguments)}<|tool_call_end|>"
            for call in calls
        )
        return f"<|tool_calls_section_begin|>{''.join(said)}<|tool_calls_section_end|>"
    if name == "glm":  # as GLM-4.7, without newlines
        return "".join(
            f"<tool_call>{call.name}"
            + "".join(
                f"<arg_key>{key}</arg_key><arg_value>{write_value(value)}</arg_value>"
                for key, value in call.arguments.items()
            )
            + "</tool_call>"
            for call in calls
        )
    if name == "llama3_json":
        return f"<|python_tag|>{written}"
    if name == "pythonic":
        return f"<|python_start|>{written}<|python_end|>"
    return written


# Messages


def some_text(rng: Random, name: str) -> str:
    """Text for the user; tags in it are those of other syntaxes."""
    own = OWN_TAGS[name]
    foreign = [tag for tag in ALL_TAGS if not any(mine in tag for mine in own)]
    pieces = [rng.choice(foreign if rng.random() < 0.2 else WORDS) for _ in range(5)]
    return "Let me see. " + "".join(pieces[: rng.randrange(6)]).rstrip()


def some_thought(rng: Random, name: str) -> str:
    """A thought that may draft calls."""
    syntax = get_syntax(name)
    pieces = ["The user wants it. "]
    if rng.random() < 0.4:
        pieces.append(syntax.write(some_calls(rng, name)))
    pieces += rng.choices((*WORDS, *OWN_TAGS[name], *ALL_TAGS), k=rng.randrange(5))
    closing = syntax.think[1].decode()
    return "".join(piece for piece in pieces if closing not in piece) + "."


def some_plan(rng: Random, name: str) -> Plan:
    """An answer that is as it should be."""
    think = some_thought(rng, name) if rng.random() < 0.6 else None
    behind = ""
    if rng.random() < 0.2:
        behind = rng.choice(("\n", " ", "\n\n"))
        if name not in (*BARE, "gpt-oss"):
            behind += some_text(rng, name)
    plan = Plan(
        name,
        some_calls(rng, name),
        text=some_text(rng, name) if rng.random() < 0.5 else "",
        think=think,
        behind=behind,
        other_form=rng.random() < 0.2,
        prompt_opens=think is not None and rng.random() < 0.4,
    )
    # Its text may happen to make a call in another syntax.
    said = read_message(get_syntax(name), plan.message, think_is_open=plan.prompt_opens)
    return some_plan(rng, name) if said.foreign else plan


def ground_truth(calls: Sequence[ToolCall], *others: Any) -> str:
    """That asks for these calls, or for none; each argument may be one of `others` as well."""
    records = [
        {
            "name": c.name,
            "parameters": {key: [_allowed(v), *others] for key, v in c.arguments.items()},
        }
        for c in calls
    ]
    expect = "calls" if calls else "no_call"
    return json.dumps({"format": "chat_template", "expect": expect, "calls": records})


def _allowed(value: Any) -> Any:
    """`value` among BFCL's allowed ones: an object has a list at each key."""
    if isinstance(value, dict):
        return {key: [_allowed(item)] for key, item in value.items()}
    if isinstance(value, list):
        # A list in a list is compared as it stands.
        return [item if isinstance(item, list) else _allowed(item) for item in value]
    return value


def some_foreign_message(rng: Random, name: str) -> str:
    """Calls in another syntax that has none of this one's tags; at times ""."""
    other = rng.choice([other for other in OWN_TAGS if other != name])
    message = get_syntax(other).write(some_calls(rng, other))
    if name in BARE and other in BARE:  # told apart by their first characters alone
        return ""
    return "" if any(tag in message for tag in OWN_TAGS[name]) else message
