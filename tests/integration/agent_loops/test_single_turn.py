"""The row's tools reach the model's own chat template."""

import asyncio
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from rest_verl.integration.agent_loops.single_turn import ToolTemplateAgentLoop

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("extra_info", "tools"),
    [
        ({"tools": json.dumps(TOOLS)}, TOOLS),
        ({"tools": ""}, None),  # prompt styles that show the tools themselves
        ({}, None),
        (None, None),
    ],
)
def test_template_gets_the_rows_tools(
    monkeypatch: pytest.MonkeyPatch, extra_info: dict | None, tools: list | None
) -> None:
    seen = []

    async def build(self, messages, tools=None, **kwargs):
        seen.append(tools)
        return [1, 2]

    async def run(self, sampling_params, **row):
        return await self.ct_build_initial_tokens(row["raw_prompt"])

    monkeypatch.setattr(SingleTurnAgentLoop, "ct_build_initial_tokens", build)
    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = ToolTemplateAgentLoop.__new__(ToolTemplateAgentLoop)
    loop.rollout_config = SimpleNamespace(prompt_length=2)
    ids = asyncio.run(loop.run({}, raw_prompt=[], extra_info=extra_info))
    assert ids == [1, 2]
    assert seen == [tools]
    loop.rollout_config.prompt_length = 1
    if tools is None:  # verl's own lookout: it cuts such prompts off
        assert asyncio.run(loop.run({}, raw_prompt=[], extra_info=extra_info)) == [1, 2]
        return
    with pytest.raises(ValueError, match=r"2 tokens with its tools, and data.max_prompt_length=1:"):
        asyncio.run(loop.run({}, raw_prompt=[], extra_info=extra_info))
