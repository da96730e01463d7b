"""One rollout's conversation, token for token: what the policy was given and what it sampled.

Sampled ids are kept as they came and never tokenised again. Everything else enters through the chat
template's own delta, which verl's continuous-token builder renders.
"""

from __future__ import annotations

from typing import Any

from rest_verl.environments.template import ChatTemplate


class Conversation:
    """Messages, and the ids, mask and log-probabilities that they come to.

    Rendering takes milliseconds where many tools are offered: make and extend it in a thread. An
    extension that fails or does not fit leaves it as it was.

    Args:
        builder: verl's continuous-token builder.
        template: what `examine_template` found of it.
        messages: the prompt.
        tools: for the template, in the prompt and in every delta; None where the prompt has them.
        response_length: tokens that the response may have.
        max_length: tokens that the server takes, prompt and response together; None: no matter.
    """

    def __init__(
        self,
        builder: Any,
        template: ChatTemplate,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None,
        response_length: int,
        max_length: int | None = None,
    ) -> None:
        self.builder = builder
        self.template = template
        self.tools = tools
        self.messages = list(messages)
        self.token_ids: list[int] = builder.build_initial_tokens(self.messages, tools=tools)
        self.prompt_length = len(self.token_ids)
        self.response_length = response_length
        if max_length is not None:
            self.response_length = min(response_length, max_length - self.prompt_length)
        self.response_mask: list[int] = []
        """1 for each sampled token, 0 for each given one."""
        self.log_probs: list[float] | None = None
        """Of the sampled tokens, 0 for each given one; None if the server gives none."""

    @property
    def prompt_ids(self) -> list[int]:
        """The ids before the first sampled token."""
        return self.token_ids[: self.prompt_length]

    @property
    def response_ids(self) -> list[int]:
        """All ids after the prompt."""
        return self.token_ids[self.prompt_length :]

    @property
    def room(self) -> int:
        """Tokens that the response can still take; below 1 if there is none for an answer."""
        return self.response_length - len(self.response_mask)

    def add_sampled(self, token_ids: list[int], log_probs: list[float] | None, text: str) -> None:
        """Appends an assistant message: the ids as sampled, and `text` for the message."""
        if log_probs is not None and self.log_probs is None:
            self.log_probs = [0.0] * len(self.response_mask)
        merged = self.builder.merge_assistant_tokens(self.token_ids, token_ids)
        self._take(merged, self.response_mask, self.log_probs, log_probs)
        self.messages.append({"role": "assistant", "content": text})

    def add_context(self, messages: list[dict[str, Any]]) -> bool:
        """Appends messages that were not sampled, and the template's opening of the next answer.

        Returns:
            False, and nothing is added, unless at least one token can be sampled after them.
        """
        separator = self.template.separator_ids
        if not separator or self.token_ids[-1:] != [self.template.end_id]:
            separator = []
        updated = [*self.messages, *messages]
        merged = self.builder.merge_context_tokens(
            self.messages, updated, [*self.token_ids, *separator], tools=self.tools
        )
        if len(merged.token_ids) - self.prompt_length >= self.response_length:
            return False
        log_probs = self.log_probs
        if log_probs is not None:
            log_probs = [*log_probs, *(0.0 for _ in separator)]
        self._take(merged, [*self.response_mask, *(0 for _ in separator)], log_probs, None)
        self.messages = updated
        return True

    def _take(
        self,
        merged: Any,
        response_mask: list[int],
        log_probs: list[float] | None,
        sampled_log_probs: list[float] | None,
    ) -> None:
        # The builder's own rule: it may have dropped or inserted ids where the parts meet.
        self.response_mask, self.log_probs = self.builder.align_response_metadata(
            merged, response_mask, log_probs, assistant_logprobs=sampled_log_probs
        )
        self.token_ids = merged.token_ids
