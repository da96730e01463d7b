"""Recorded conversations played through their environments once more, by verl's own agent loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rest_verl.integration.agent_loops.rows import EnvironmentFailed, Row
from rest_verl.study.recorded import Recorded
from rest_verl.study.rescore.playback import (
    Frames,
    IdScript,
    Playback,
    Script,
    TextScript,
    WrongEnd,
    frames_of,
)
from rest_verl.study.rescore.rules import check_tags
from rest_verl.study.rescore.settings import Settings

_ANY_LENGTH = 1 << 40
_TRIES = 16
"""Of a conversation's text; each leaves out one more place where a message might end."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What became of one conversation."""

    parts: Mapping[str, float]
    """As verl's `reward_extra_info`; `score` among them."""
    task: str
    """The row of the data set."""
    num_compared: int
    """Times that observations or a user message were appended, then and now."""
    differences: Sequence[Mapping[str, str]]
    """Those of them that are not the same."""
    has_left_over: bool
    """Whether the record goes on where the replay ended."""
    num_passed_over: int = 0
    """Places in a text that look like the end of a message and were taken to be none."""
    is_one_of_several: bool = False
    """Whether rows with the same prompt were replayed as well, did not differ more, and earn
    something else: the dump does not tell which one it was."""

    @property
    def num_faults(self) -> int:
        """How far the replay is from the record."""
        return len(self.differences) + self.has_left_over + self.num_passed_over


class ConversationScorer:
    """Replays and scores conversations.

    Args:
        settings: with a model.
        tokenizer: of that model.
        model_type: of its configuration.
    """

    def __init__(self, settings: Settings, tokenizer: Any, model_type: str) -> None:
        self._settings = settings
        self._tokenizer = tokenizer
        self._model_type = model_type
        self._loop: Any = None
        self._frames: dict[bool, Frames] = {}
        """With special tokens, and without."""
        self._checked: set[str] = set()
        """Rows of the data set."""

    def check(self, row: Recorded, candidates: Sequence[Mapping[str, Any]]) -> None:
        """Refuses a conversation that cannot be replayed.

        Args:
            row: the conversation.
            candidates: rows of the data set that it may be of, as `score` takes them.

        Raises:
            ValueError: its environment or task cannot be read, or its text has lost what it is
                read by. The message names the row.
        """
        self._agent_loop()  # which knows the environments
        for columns in candidates:
            try:
                self._check_task(Row.from_extra_info(columns["extra_info"]))
            except (ValueError, EnvironmentFailed) as error:
                raise ValueError(f"{row.where}: {error}") from None
            if row.text is not None:
                check_tags(row, self._reader(columns).syntax, self._tokenizer)
                self._frames_of(with_special=False)

    def score(self, row: Recorded, candidates: Sequence[Mapping[str, Any]]) -> Replay:
        """Replays a conversation that `check` let through.

        Args:
            row: the conversation.
            candidates: the columns `prompt`, `extra_info` and `reward_model` of the rows that it
                may be of; the one whose replay is nearest to the record counts.

        Raises:
            ValueError: an environment's own code failed, other than in a call; names the row.
        """
        try:
            replays = [self._replay(row, columns) for columns in candidates]
        except EnvironmentFailed as error:
            raise ValueError(f"{row.where}: {error}") from error
        best = min(replays, key=lambda replay: replay.num_faults)
        equals = [replay for replay in replays if replay.num_faults == best.num_faults]
        scores = {replay.parts["score"] for replay in equals}
        if len(scores) == 1:
            return best
        return replace(best, is_one_of_several=True)

    def _check_task(self, row: Row) -> None:
        if row.name not in self._checked:
            row.make_environment(self._settings.tool_env.task)
            self._checked.add(row.name)

    def _replay(self, row: Recorded, columns: Mapping[str, Any]) -> Replay:
        if row.text is None:
            return self._replay_ids(row, columns)
        found = self._replay_text(row.text, columns)
        if found is not None and not found.num_faults:
            return found
        # With every end that there seems to be, and differences noted.
        script = self._text_script(row.text, columns, set(), is_last_try=True)
        plain = self._play(script, columns)
        return plain if found is None or plain.num_faults <= found.num_faults else found

    def _replay_text(self, text: str, columns: Mapping[str, Any]) -> Replay | None:
        """A replay in which messages end where the user then says what they said; None: none."""
        wrong_ends: set[int | None] = set()
        for _ in range(_TRIES):
            script = self._text_script(text, columns, wrong_ends)
            try:
                replay = self._play(script, columns)
            except WrongEnd as wrong:
                wrong_ends = wrong_ends | {wrong.place}
                continue
            if not replay.has_left_over:
                return replace(replay, num_passed_over=len(wrong_ends - {None}))
            wrong_ends = wrong_ends | {script.position}
        return None

    def _replay_ids(self, row: Recorded, columns: Mapping[str, Any]) -> Replay:
        assert row.token_ids is not None
        assert row.response_mask is not None
        # What did not fit in the run does not fit now; unless tools answer at another length.
        for length in (len(row.token_ids), _ANY_LENGTH):
            script = IdScript(
                self._tokenizer,
                row.token_ids,
                row.response_mask,
                self._end_ids(columns),
                self._frames_of(with_special=True),
            )
            replay = self._play(script, columns, length, is_cut_off=script.is_empty)
            if not replay.num_faults:
                break
        return replay

    def _play(
        self,
        script: Script,
        columns: Mapping[str, Any],
        response_length: int = _ANY_LENGTH,
        *,
        is_cut_off: bool = False,
    ) -> Replay:
        loop = self._agent_loop()
        loop.server_manager = server = Playback(script, self._tokenizer)
        loop.rollout_config.response_length = response_length
        loop.rollout_config.prompt_length = 0 if is_cut_off else _ANY_LENGTH
        row = {
            "raw_prompt": [dict(message) for message in columns["prompt"]],
            "extra_info": columns["extra_info"],
            "reward_model": columns.get("reward_model"),
            "global_steps": 1,
        }
        output = asyncio.run(loop.run({}, **row))
        parts = dict(output.extra_fields["reward_extra_info"])
        if server.ran_out:
            parts["steps"] -= 1  # the message that there is none of
        return Replay(
            parts=parts,
            task=Row.from_extra_info(columns["extra_info"]).name,
            num_compared=script.num_compared,
            differences=script.differences,
            has_left_over=script.left_over(),
        )

    def _text_script(
        self,
        text: str,
        columns: Mapping[str, Any],
        wrong_ends: set[int | None],
        *,
        is_last_try: bool = False,
    ) -> TextScript:
        return TextScript(
            self._tokenizer,
            text,
            self._reader(columns),
            self._frames_of(with_special=False),
            self._agent_loop().template.end_id,
            self._settings.tool_env.max_steps_per_turn,
            wrong_ends,
            is_last_try,
        )

    def _frames_of(self, *, with_special: bool) -> Frames:
        if with_special not in self._frames:
            loop = self._agent_loop()
            self._frames[with_special] = frames_of(
                loop.continuous_token_builder, loop.template, with_special=with_special
            )
        return self._frames[with_special]

    def _reader(self, columns: Mapping[str, Any]) -> Any:
        ground_truth = (columns.get("reward_model") or {}).get("ground_truth")
        return self._agent_loop().rows.of_row(columns["extra_info"], ground_truth)

    def _end_ids(self, columns: Mapping[str, Any]) -> set[int]:
        reader = self._reader(columns)
        template_end = self._agent_loop().template.end_id
        return {*reader.vocabulary.end_ids, *reader.stop_ids, template_end} - {None}

    def _agent_loop(self) -> Any:
        """One for all rows: what belongs to a rollout is no part of it."""
        if self._loop is None:
            self._loop = asyncio.run(self._make_loop())
        return self._loop

    async def _make_loop(self) -> Any:
        from rest_verl.integration.agent_loops.standalone import standalone_loop
        from rest_verl.study.rescore.replay_loop import ReplayLoop

        settings = self._settings
        return standalone_loop(
            ReplayLoop,
            server=None,
            tokenizer=self._tokenizer,
            model_type=self._model_type,
            model=str(settings.model),
            options=settings.tool_env,
            syntax=settings.syntax,
            chat_template_kwargs=settings.chat_template_kwargs,
        )
