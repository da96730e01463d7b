"""One conversation of an evaluation, held by the agent loop that training has.

So limits, errors, users and scores are those of training; what differs is who samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rest_verl.environments.tally import LIMITS
from rest_verl.evaluation.conversations import Chat, Record
from rest_verl.evaluation.generation import request_seed
from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions
from rest_verl.integration.agent_loops.rollout import Rollout
from rest_verl.integration.agent_loops.rows import EnvironmentFailed
from rest_verl.integration.agent_loops.standalone import standalone_loop
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop

PARTS = ("score", "official", "dense", "turns", "turns_right", "steps", "calls")
"""What a record holds of the rollout's numbers."""


class Player:
    """Holds conversations for rows of environments.

    Args:
        model: a Hugging Face folder.
        options: of the agent loop.
    """

    def __init__(self, model: Path, options: ToolEnvironmentOptions) -> None:
        self.model = model
        self.options = options

    async def play(self, columns: Mapping[str, Any], chat: Chat, row: str, sample: int) -> Record:
        """The record of one sample of a row.

        Args:
            columns: of the row's parquet file.
            chat: with the model.
            row: its name.
            sample: its number.

        Raises:
            ValueError: the environment's own code failed, other than in `call`; names the row.
        """
        length = chat.engine.max_length
        loop = standalone_loop(
            _NotedLoop,
            server=_Server(chat, row, sample),
            tokenizer=chat.builder.tokenizer,
            model_type=self._model_type,
            model=str(self.model),
            options=self.options,
            syntax=chat.reader.syntax.name,
            chat_template_kwargs=chat.options.chat_template_kwargs,
            prompt_length=length,
            response_length=length,
            max_model_len=length,
        )
        prompt = [dict(message) for message in columns["prompt"]]
        given = {**columns, "raw_prompt": prompt}
        try:
            output = await loop.run({"max_tokens": chat.options.max_tokens}, **given)
        except EnvironmentFailed as error:
            raise ValueError(str(error)) from error
        numbers = output.extra_fields["reward_extra_info"]
        is_right = numbers["official"] >= 1
        limit = next((name for name in LIMITS if numbers[f"limit/{name}"]), "")
        return {
            "text": loop.said(len(prompt)),
            "terms": loop.terms(),
            "valid": is_right,
            "error": "" if is_right else loop.reason() or limit or "score below 1",
            **{part: numbers[part] for part in PARTS},
            "output_tokens": sum(output.response_mask),
            "limit": limit,
        }

    @cached_property
    def _model_type(self) -> str:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.model).model_type


class _NotedLoop(ToolEnvironmentLoop):
    """Keeps what a record tells of the rollout; None of one whose prompt was too long."""

    rollout: Rollout | None = None

    def _score(self, rollout: Rollout) -> dict[str, float]:
        self.rollout = rollout
        return super()._score(rollout)

    def said(self, num_prompt_messages: int) -> list[dict[str, Any]]:
        """The messages after the prompt."""
        return self.rollout.conversation.messages[num_prompt_messages:] if self.rollout else []

    def reason(self) -> str:
        """Of the first turn that is wrong."""
        outcome = self.rollout.environment.outcome() if self.rollout else []
        return next((verdict.reason for verdict in outcome if not verdict.right), "")

    def terms(self) -> dict[str, bool | None] | None:
        """How the messages are written (`rest_verl.syntax.terms`)."""
        return self.rollout.tally.terms._asdict() if self.rollout else None


class _Server:
    """The evaluation's engine in the place of verl's servers, for one conversation."""

    def __init__(self, chat: Chat, row: str, sample: int) -> None:
        self._chat, self._row, self._sample = chat, row, sample
        self._num_messages = 0

    async def generate(
        self, prompt_ids: list[int], sampling_params: Mapping[str, Any], **_: Any
    ) -> Any:
        """As verl's client: the next message, as a TokenOutput has it."""
        place = (self._row, self._sample, self._num_messages)
        sampled = await self._chat.engine.sample(
            prompt_ids,
            max_tokens=sampling_params["max_tokens"],
            seed=request_seed(self._chat.options.seed, *place),
        )
        self._num_messages += 1
        return SimpleNamespace(
            token_ids=sampled.token_ids,
            log_probs=None,
            num_preempted=None,
            routed_experts=None,
            extra_fields={},
            stop_reason="completed",
        )
