"""A recorded batch as the trainer had it: ids, masks, labels.

Shape letters: B responses, T response tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.integration.message_reader import generation_end_ids
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.study.gradients.groups import padded
from rest_verl.study.recorded import Recorded
from rest_verl.study.rescore.tasks import Columns, TaskRows
from rest_verl.syntax import read_message


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The responses of one step."""

    rows: Sequence[Recorded]
    step: int
    """The training step."""
    prompts: Sequence[list[int]]
    """Their ids, at least one each."""
    token_ids_BT: Tensor
    """int64, right-padded."""
    mask_BT: Tensor
    """bool; True where the policy sampled the token."""
    region_BT: Tensor
    """`Region`, -1 where the mask is False, int8."""
    length_B: Tensor
    """Tokens of each response, observations among them."""
    is_text: bool
    """Whether ids were made of text that had lost its special tokens."""


def check_rows(rows: Sequence[Recorded], path: Any) -> int:
    """The training step that rows are of.

    Raises:
        ValueError: they are of none, or of a validation, or lack a reward; the message names the
            first.
    """
    for row in rows:
        if row.is_validation:
            raise ValueError(
                f"{row.where}: is of a validation, on which nothing was trained; name a dump of "
                "trainer.rollout_data_dir or skip.rollout_tq"
            )
        if row.score is None:
            raise ValueError(f"{row.where}: has no logged reward, of which advantages are made")
    steps = {row.trained_at for row in rows}
    if len(steps) != 1 or None in steps:
        raise ValueError(f"{path}: is not of one training step; name one <step>.jsonl or batch")
    return next(step for step in steps if step is not None)


class Reader:
    """Makes batches of a model's rows.

    Args:
        model: folder or hub name, whose generation configuration ends messages.
        tokenizer: of that model.
        syntax: how it writes calls, or `auto`.
        tasks: the data set's rows, for prompts with their special tokens; None: text as it stands.
        builder: verl's continuous-token builder, where there are `tasks`.
    """

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        syntax: str,
        tasks: TaskRows | None = None,
        builder: Any = None,
    ) -> None:
        self._tokenizer, self._tasks, self._builder = tokenizer, tasks, builder
        self._syntaxes = RunSyntaxes(
            syntax, tokenizer, model=model, mend="name it with --rest syntax=NAME"
        )
        self._end_ids = generation_end_ids(model)
        self._labelers: dict[str, RegionLabeler] = {}

    def batch(self, rows: Sequence[Recorded], step: int) -> Batch:
        """All rows of a step, labelled.

        Raises:
            ValueError: a syntax that cannot be known, a prompt that is that of no row, or a
                conversation as text.
        """
        prompts, responses, masks, regions = [], [], [], []
        for row in rows:
            prompt_ids = self._prompt(row)
            token_ids, mask = self._response(row, prompt_ids)
            prompts.append(prompt_ids)
            responses.append(token_ids)
            masks.append(mask)
            labeler = self._labeler(row.asked)
            regions.append(labeler.label(token_ids, mask, prompt=prompt_ids))
        return Batch(
            rows=rows,
            step=step,
            prompts=prompts,
            token_ids_BT=padded(responses, 0),
            mask_BT=padded(masks, False),
            region_BT=padded(regions, -1),
            length_B=torch.tensor([len(response) for response in responses]),
            is_text=any(row.text is not None for row in rows),
        )

    def _labeler(self, asked: str) -> RegionLabeler:
        syntax = self._syntaxes.named(asked)
        if syntax.name not in self._labelers:
            self._labelers[syntax.name] = RegionLabeler(
                self._tokenizer, syntax, end_ids=self._end_ids
            )
        return self._labelers[syntax.name]

    def _prompt(self, row: Recorded) -> list[int]:
        if row.prompt_ids is not None:
            ids = row.prompt_ids.tolist()
        elif self._tasks is not None:
            ids = self._rendered(self._tasks.of(row)[0], row)
        else:
            ids = self._ids(row.prompt or "")
        return ids or [self._pad_id]  # a model has to read something first

    def _rendered(self, columns: Columns, row: Recorded) -> list[int]:
        info = columns["extra_info"] or {}
        if info.get("environment"):
            raise ValueError(
                f"{row.where}: is a conversation, of which text does not tell what the policy "
                "sampled; tq_batch.pt of skip.rollout_tq does"
            )
        tools = json.loads(info["tools"]) if info.get("tools") else None
        return list(self._builder.build_initial_tokens(columns["prompt"], tools=tools))

    def _response(self, row: Recorded, prompt_ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and mask, at least one token."""
        if row.token_ids is not None:
            assert row.response_mask is not None
            return row.token_ids.astype(np.int64), row.response_mask != 0
        ids = self._ids(row.text or "")
        if self._reads_whole(row, prompt_ids) and self._tokenizer.eos_token_id is not None:
            ids.append(self._tokenizer.eos_token_id)
        if not ids:
            return np.array([self._pad_id]), np.array([False])
        return np.array(ids, dtype=np.int64), np.ones(len(ids), dtype=bool)

    def _reads_whole(self, row: Recorded, prompt_ids: list[int]) -> bool:
        """Whether a text has neither a call nor a thought that goes on."""
        syntax = self._syntaxes.named(row.asked)
        vocabulary = self._labeler(row.asked).vocabulary
        before = vocabulary.decode(vocabulary.clip(np.array(prompt_ids)))[0]
        is_open = syntax.leaves_think_open(before)
        reading = read_message(syntax, row.text or "", think_is_open=is_open)
        in_thought = reading.structure.count("T") > reading.structure.count("t")
        return reading.well_formed and not in_thought

    @property
    def _pad_id(self) -> int:
        known = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id)
        return next((id_ for id_ in known if id_ is not None), 0)

    def _ids(self, text: str) -> list[int]:
        # half a surrogate pair has no UTF-8 for a tokenizer to read
        readable = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return self._tokenizer(readable, add_special_tokens=False)["input_ids"]
