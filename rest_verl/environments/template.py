"""What a chat template does with tool observations and message ends, found out by rendering.

verl's continuous-token builders leave three things open, and none is written down in a tokenizer:

- Templates that know one call a message (Llama 3.x: "only supports single tool-calls at once")
  refuse several tool messages after one assistant message. Its observations are then joined, a
  newline between them, into one tool message.
- Templates without a role `tool` refuse or drop such messages. Observations are then user messages.
- Templates of the ChatML kind put a newline after the token that ends a message, which the model
  does not sample. verl's builders for named model families (Qwen, …) add it; the generic one, which
  serves Hermes on Llama or Mistral weights, does not.

Each tokenizer and template is examined once in a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

_MARK = "mark-7c1e"
_ASKED = [{"role": "user", "content": "ask"}]
_ANSWERED = [*_ASKED, {"role": "assistant", "content": _MARK}]


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """What was found out of one tokenizer's template."""

    observation_role: str
    """`tool`, or `user` for templates without that role."""
    joins_observations: bool
    """Whether one message takes all observations of an assistant message."""
    end_id: int | None
    """The token that ends an assistant message; None if it is no token of its own."""
    separator_ids: list[int]
    """What follows that token and verl's builder does not add."""

    def observations(self, answers: list[dict[str, str]]) -> list[dict[str, Any]]:
        """The messages for the observations of one assistant message.

        Args:
            answers: in the calls' order, each with `content` and what else the role `tool` has.
        """
        if self.observation_role == "tool" and not self.joins_observations:
            return [{"role": "tool", **answer} for answer in answers]
        content = "\n".join(answer["content"] for answer in answers)
        if self.observation_role == "tool":
            return [{"role": "tool", **answers[0], "content": content}]
        return [{"role": "user", "content": content}]


_known: WeakKeyDictionary[Any, dict[tuple[Any, ...], ChatTemplate]] = WeakKeyDictionary()


def examine_template(builder: Any) -> ChatTemplate:
    """What the template of verl's continuous-token `builder` does.

    Raises:
        ValueError: the template can append neither tool nor user messages.
    """
    tokenizer = builder.tokenizer
    found = _known.setdefault(tokenizer, {})
    key = (type(builder), repr(tokenizer.chat_template), repr(builder.chat_template_kwargs))
    if key not in found:
        found[key] = _examine(builder)
    return found[key]


def _examine(builder: Any) -> ChatTemplate:
    role, joins = _observation_style(builder)
    end_id, separator_ids = _message_end(builder)
    return ChatTemplate(
        observation_role=role,
        joins_observations=joins,
        end_id=end_id,
        separator_ids=separator_ids,
    )


def _observation_style(builder: Any) -> tuple[str, bool]:
    failure: Exception | None = None
    for role, count in (("tool", 2), ("tool", 1), ("user", 1)):
        marks = [f"{_MARK}-{number}" for number in range(count)]
        name = {"name": "probe"} if role == "tool" else {}
        messages = [{"role": role, "content": mark, **name} for mark in marks]
        try:
            appended = builder.merge_context_tokens(_ANSWERED, [*_ANSWERED, *messages], [])
        except Exception as error:  # whatever a template can raise
            failure = error
            continue
        # A template may also pass over a role it does not know.
        text = _decode(builder, appended.token_ids)
        if all(mark in text for mark in marks):
            return role, count == 1
    raise ValueError(
        "the tokenizer's chat template can append neither a tool nor a user message to a "
        f"conversation ({failure}); use a template for conversations of several turns "
        "(actor_rollout_ref.model.custom_chat_template)"
    )


def _message_end(builder: Any) -> tuple[int | None, list[int]]:
    tokenizer, conversation = builder.tokenizer, [*_ANSWERED, *_ASKED]
    text = tokenizer.apply_chat_template(
        conversation, tokenize=False, add_generation_prompt=True, **builder.chat_template_kwargs
    )
    _, found, needed = text.rpartition(_MARK)
    needed_ids = tokenizer.encode(needed, add_special_tokens=False)
    if not found or not needed_ids:
        return None, []
    if tokenizer.convert_ids_to_tokens(needed_ids[0]) not in tokenizer.get_added_vocab():
        return None, []
    end_id = needed_ids[0]
    appended = builder.merge_context_tokens(_ANSWERED, conversation, [end_id]).token_ids[1:]
    given, needed = _decode(builder, appended), _decode(builder, needed_ids[1:])
    missing = needed.removesuffix(given) if needed.endswith(given) else ""
    return end_id, tokenizer.encode(missing, add_special_tokens=False)


def _decode(builder: Any, token_ids: list[int]) -> str:
    return builder.tokenizer.decode(token_ids, clean_up_tokenization_spaces=False)
