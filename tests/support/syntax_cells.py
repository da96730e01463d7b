"""What each part makes of a sample answer in every syntax: docs/syntaxes.md, and the test of it.

python tests/support/syntax_cells.py        # writes docs/syntaxes.md anew
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from docs_pages import ROOT
from toy_tokenizers import one_byte_per_token

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.data.answers import write_answer
from rest_verl.data.prompts import dump_ground_truth
from rest_verl.evaluation.calls import record_calls
from rest_verl.integration.agent_loops.readers import SyntaxReader
from rest_verl.integration.message_reader import MessageReader
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

PAGE = ROOT / "docs" / "syntaxes.md"
TEMPLATE = Path(__file__).with_name("syntaxes.md.template")

MODELS = {
    "toolrl": "any, where the prompt asks for it (`toolrl`, `compact`)",
    "hermes": "Qwen2.5, Qwen3, Hermes",
    "qwen3_coder": "Qwen3-Coder, Qwen3.5, Qwen3.6",
    "glm": "GLM-4.5 to 4.7",
    "gpt-oss": "gpt-oss (harmony)",
    "seed": "Seed-OSS",
    "minimax": "MiniMax-M2",
    "kimi": "Kimi K2",
    "deepseek_v4": "DeepSeek-V4",
    "gemma4": "Gemma 4",
    "llama3_json": "Llama 3.1 to 3.3, 4; with `python_tag` or without",
    "mistral": "Mistral, Devstral, Magistral; old and new form",
    "pythonic": "Llama 3.2 and 4, xLAM, ToolACE and others",
}
"""Who writes the syntax."""

THOUGHT = "Oslo, for two days."
CALLS = [ToolCall("get_weather", {"city": "Oslo", "days": 2}), ToolCall("get_time", {})]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    },
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}},
]


def sample(name: str) -> str:
    """The sample answer: a thought and two calls."""
    return get_syntax(name).write(CALLS, think=THOUGHT)


def _ids(name: str) -> list[int]:
    return list(sample(name).encode())


def labels(name: str) -> bool:
    """Names, arguments and the thought are where they are."""
    regions = RegionLabeler(one_byte_per_token(), name).label(_ids(name), prompt=[])
    said = {
        region: bytes(
            byte for byte, its in zip(_ids(name), regions.tolist(), strict=True) if its == region
        ).decode()
        for region in Region
    }
    return (
        said[Region.NAME] == "get_weatherget_time"
        and all(part in said[Region.ARGS] for part in ("city", "Oslo", "days", "2"))
        and THOUGHT in said[Region.THINK]
        and not said[Region.TEXT].strip()
    )


def reward(name: str) -> bool:
    """The answer earns the maximum of its own ground truth."""
    style = "toolrl" if name == "toolrl" else "chat_template"
    calls = [
        {"name": call.name, "parameters": {key: [value] for key, value in call.arguments.items()}}
        for call in CALLS
    ]
    truth = dump_ground_truth("calls", calls, style)
    return tool_call_reward(sample(name), truth, syntax=name, tools=TOOLS).score == 4.0


def _reader(name: str) -> MessageReader:
    return MessageReader(one_byte_per_token(), get_syntax(name))


def loop(name: str) -> bool:
    """The agent loop runs these calls."""
    asked = asyncio.run(SyntaxReader(_reader(name)).read(_ids(name), [], lambda: TOOLS))
    return [(c.name, c.arguments) for c in asked.calls] == [(c.name, c.arguments) for c in CALLS]


def evaluation(name: str) -> bool:
    """An evaluation records these calls."""
    calls = record_calls(_reader(name).read(_ids(name), [], TOOLS))
    return calls == [{"name": call.name, "arguments": call.arguments} for call in CALLS]


def data(name: str) -> bool:
    """The data scripts write the answer as it is."""
    style = "toolrl" if name == "toolrl" else "chat_template"
    return write_answer(CALLS, "", style, think=THOUGHT, syntax=name) == sample(name)


PARTS: dict[str, Callable[[str], bool]] = {
    "labels": labels,
    "reward": reward,
    "loop": loop,
    "evaluation": evaluation,
    "data": data,
}


def page() -> str:
    """docs/syntaxes.md."""
    head = f"| syntax | models | {' | '.join(PARTS)} |\n|---|---|{'---|' * len(PARTS)}"
    rows = [
        f"| [`{name}`](#{name}) | {MODELS[name]} | "
        + " | ".join("yes" if part(name) else "**no**" for part in PARTS.values())
        + " |"
        for name in MODELS
    ]
    samples = [f"### {name}\n\n```text\n{sample(name)}\n```\n" for name in MODELS]
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.replace("TABLE\n", "\n".join([head, *rows]) + "\n").replace(
        "SAMPLES\n", "\n".join(samples)
    )


if __name__ == "__main__":
    assert set(MODELS) == set(syntax_names())
    PAGE.write_text(page(), encoding="utf-8")
