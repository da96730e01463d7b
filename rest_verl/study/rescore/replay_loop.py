"""The agent loop of a replay: the record says what a user who reacts had said."""

from __future__ import annotations

from typing import cast

from rest_verl.environments.base import talk_of
from rest_verl.integration.agent_loops.rollout import Rollout
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop
from rest_verl.study.rescore.playback import Playback


class ReplayLoop(ToolEnvironmentLoop):
    """The loop `rest_tool_env`, whose server is a `Playback`."""

    async def user_message(self, rollout: Rollout) -> str | None:
        """The recorded message where the environment's user reacts: nobody is asked again."""
        if talk_of(rollout.environment) is None:
            return await super().user_message(rollout)
        playback = cast(Playback, self.server_manager)
        recorded = playback.script.user_message()
        shown = self.new_tools(rollout, rollout.environment.tools)
        return recorded and recorded.removeprefix(shown).strip()
