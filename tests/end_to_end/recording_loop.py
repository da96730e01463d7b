"""`rest_tool_env` that also writes down every trajectory, loaded into verl's own processes."""

import json
import os
from pathlib import Path

from verl.experimental.agent_loop.agent_loop import register

import rest_verl.plugin  # noqa: F401 (registers its own loop; the one below comes after it)
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop


@register("rest_tool_env")
class RecordingLoop(ToolEnvironmentLoop):
    def _output(self, rollout, reward_info):
        output = super()._output(rollout, reward_info)
        record = {
            "prompt_ids": output.prompt_ids,
            "response_ids": output.response_ids,
            "response_mask": output.response_mask,
            "messages": rollout.conversation.messages,
            "tools": rollout.conversation.tools,
            "reward_info": reward_info,
        }
        with Path(os.environ["TRAJECTORIES"]).open("a") as file:
            file.write(json.dumps(record) + "\n")
        return output
