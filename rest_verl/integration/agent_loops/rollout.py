"""What belongs to one conversation while the agent loop `rest_tool_env` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rest_verl.environments.base import ToolEnvironment
from rest_verl.environments.conversation import Conversation
from rest_verl.environments.tally import Tally
from rest_verl.integration.agent_loops.readers import CallReader
from rest_verl.integration.agent_loops.rows import Row
from rest_verl.integration.agent_loops.server_record import ServerRecord
from rest_verl.integration.message_reader import MessageReader


@dataclass
class Rollout:
    """One conversation's row, environment, ids, counts and limits."""

    row: Row
    environment: ToolEnvironment
    conversation: Conversation
    messages: MessageReader
    reader: CallReader
    end_ids: set[int]
    """What ends a message."""
    sampling_params: dict[str, Any]
    request: dict[str, Any]
    """Arguments that every request to the server has."""
    offered: set[str] = field(default_factory=set)
    """Names of the tools that the model was shown."""
    tally: Tally = field(default_factory=Tally)
    turn_starts: list[int] = field(default_factory=list)
    """Tokens of the response before the first one sampled in each turn."""
    turn_scores: list[float] = field(default_factory=list)
    """What each of them earned, where the environment says so."""
    said: str = ""
    """The model's last message in words; kept for a user who reacts to it."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent on `generate_sequences` and on `tool_calls`."""
    server: ServerRecord = field(default_factory=ServerRecord)
