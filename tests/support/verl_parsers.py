"""What verl's own parsers read in texts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser
from verl.tools.schemas import OpenAIFunctionToolSchema


class TextTokenizer:
    """Ids are the text itself."""

    pad_token = "<|pad|>"  # gpt-oss's parser wants one
    eos_token = None

    def decode(self, text: str, skip_special_tokens: bool = True) -> str:
        return text

    def convert_tokens_to_ids(self, token: str) -> int:
        return 7


def verl_calls(
    name: str, texts: Iterable[str], tools: list[dict[str, Any]]
) -> list[list[tuple[str, dict[str, Any]]]]:
    """(name, arguments) of each call that verl's parser of that name finds, for each text.

    Arguments that are no JSON are given as text.
    """
    parser = ToolParser.get_tool_parser(name, TextTokenizer())
    schemas = [OpenAIFunctionToolSchema.model_validate(tool) for tool in tools]

    async def extract() -> list[list[FunctionCall]]:
        return [(await parser.extract_tool_calls(text, schemas))[1] for text in texts]

    return [
        [(call.name, _json_or_text(call.arguments)) for call in calls]
        for calls in asyncio.run(extract())
    ]


def _json_or_text(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
