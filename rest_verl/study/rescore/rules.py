"""Single answers scored by rule, from the text or the ids of a dump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from rest_verl.integration.message_reader import MessageReader, generation_end_ids
from rest_verl.integration.run_syntax import RunSyntaxes, asked_syntax
from rest_verl.rewards import RewardResult, tool_call_reward
from rest_verl.rewards.ground_truth import parse_ground_truth
from rest_verl.study.recorded import Recorded
from rest_verl.study.rescore.settings import Settings
from rest_verl.syntax import Syntax, ToolCall, read_message

_OWN_FORMAT = "toolrl"
"""The one syntax that prompts ask for, whose tags are plain text to most tokenizers."""
_SAMPLE = ([ToolCall("f", {"a": "b"})], "said", "thought")


class RuleScorer:
    """Scores answers as verl's reward manager `rest` does."""

    def __init__(self, settings: Settings, tokenizer: Any) -> None:
        """`tokenizer` is that of `settings.model`; None where no model is named."""
        self._settings = settings
        self._tokenizer = tokenizer
        self._syntaxes = RunSyntaxes(
            settings.syntax,
            tokenizer,
            settings.chat_template_kwargs,
            model=settings.model,
            mend="name it with --syntax NAME",
        )
        self._readers: dict[str, MessageReader] = {}

    def check(self, row: Recorded, extra_info: Mapping[str, Any] | None) -> None:
        """Refuses a row that cannot be scored.

        Raises:
            ValueError: it has no ground truth, or a malformed one; its syntax cannot be known; or
                what the dump holds has lost what the syntax is read by. The message names the row.
        """
        try:
            parse_ground_truth(row.ground_truth)
        except ValueError as error:
            raise ValueError(f"{row.where}: {error}") from None
        syntax = self._syntax(row, extra_info)
        if row.step is None and self._settings.reward.schedule != "none":
            raise ValueError(f"{row.where}: has no step, and the reward goes by a schedule")
        if row.text is None:
            return
        if self._tokenizer is not None:
            check_tags(row, syntax, self._tokenizer)
        if syntax.typed_by_schema and not (extra_info or {}).get("tools"):
            raise ValueError(
                f"{row.where}: arguments in the syntax {syntax.name} are what the tools' schemas "
                "say, which the dump does not hold: name the run's rows with --data PARQUET"
            )

    def score(self, row: Recorded, extra_info: Mapping[str, Any] | None) -> RewardResult:
        """The reward of a row that `check` let through."""
        syntax = self._syntax(row, extra_info)
        step = None if row.is_validation or _is_validation(extra_info) else row.step
        if row.text is None:
            assert row.token_ids is not None
            assert row.prompt_ids is not None
            reader = self._reader(syntax)
            text, is_open = reader.text(row.token_ids), reader.think_is_open(row.prompt_ids)
        else:
            prompt = (row.prompt or "").encode("utf-8", "surrogatepass")
            text, is_open = row.text, syntax.leaves_think_open(prompt)
        return tool_call_reward(
            text,
            row.ground_truth,
            step=None if step is None else self._settings.schedule_step(step),
            config=self._settings.reward,
            syntax=syntax,
            think_is_open=is_open,
            tools=syntax.types_of(extra_info),
        )

    def _syntax(self, row: Recorded, extra_info: Mapping[str, Any] | None) -> Syntax:
        asked = asked_syntax(extra_info, row.ground_truth)
        if self._tokenizer is None and (asked != _OWN_FORMAT or row.text is None):
            what = "is read by its model's syntax" if row.text is not None else "is token ids"
            raise ValueError(
                f"{row.where}: {what}; name the model whose run it is with --model FOLDER, of "
                "which the tokenizer and its chat template are read"
            )
        return self._syntaxes.named(asked)

    def _reader(self, syntax: Syntax) -> MessageReader:
        if syntax.name not in self._readers:
            end_ids = generation_end_ids(self._settings.model)
            self._readers[syntax.name] = MessageReader(self._tokenizer, syntax, end_ids=end_ids)
        return self._readers[syntax.name]


def check_tags(row: Recorded, syntax: Syntax, tokenizer: Any) -> None:
    """ValueError, naming the row, where its text has lost what the syntax is read by."""
    if _loses_tags(syntax, tokenizer):
        raise ValueError(
            f"{row.where}: calls in the syntax {syntax.name} have tags that are special tokens of "
            "this tokenizer, which verl leaves out of its JSON lines: what is left cannot be read. "
            "tq_batch.pt of skip.rollout_tq holds the ids"
        )


_losing: WeakKeyDictionary[Any, dict[str, bool]] = WeakKeyDictionary()


def _loses_tags(syntax: Syntax, tokenizer: Any) -> bool:
    """Whether a thought with a call reads otherwise once special tokens are left out."""
    known = _losing.setdefault(tokenizer, {})
    if syntax.name not in known:
        calls, text, thought = _SAMPLE
        written = syntax.write(calls, text, think=thought)
        ids = tokenizer.encode(written, add_special_tokens=False)
        left = tokenizer.decode(ids, skip_special_tokens=True)
        known[syntax.name] = read_message(syntax, left) != read_message(syntax, written)
    return known[syntax.name]


def _is_validation(extra_info: Mapping[str, Any] | None) -> bool:
    """As verl's reward manager `rest` says of a row with this column."""
    if not extra_info:
        return False
    from rest_verl.integration.reward_manager import is_validation

    return is_validation({"extra_info": dict(extra_info)})
