"""The agent loop `rest_single_turn`: verl's single turn, with each row's tools in the template.

verl's own single-turn loop gives the chat template no tools. Rows of the prompt style
`chat_template` carry theirs as JSON in `extra_info.tools` and name this loop in `agent_name`.
"""

import json
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop


@register("rest_single_turn")
class ToolTemplateAgentLoop(SingleTurnAgentLoop):
    """One is made for each rollout, so a row's tools can live on the object."""

    tools: list[dict[str, Any]] | None = None

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """One answer to the row's prompt; a row without tools is prompted as verl would."""
        tools = (row.get("extra_info") or {}).get("tools")
        self.tools = json.loads(tools) if tools else None
        return await super().run(sampling_params, **row)

    async def ct_build_initial_tokens(self, messages: list[dict], **kwargs: Any) -> list[int]:  # type: ignore[override]
        """The prompt's ids, from the model's own template with the row's tools.

        Raises:
            ValueError: it is too long; verl would cut off its start, and with it the tools.
        """
        ids = await super().ct_build_initial_tokens(messages, **{"tools": self.tools, **kwargs})
        longest = self.rollout_config.prompt_length
        if self.tools and len(ids) > longest:
            raise ValueError(
                f"a prompt has {len(ids)} tokens with its tools, and data.max_prompt_length="
                f"{longest}: raise that, or train with a rest_* trainer, which finds such rows "
                "when it loads them"
            )
        return ids
