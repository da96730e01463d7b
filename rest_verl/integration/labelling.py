"""Labels a batch's tokens in a thread, while the devices compute old log-probabilities.

Labels come from the ids and the mask that were sampled. Both are there before the trainer asks the
workers for log-probabilities, and then its process waits; so labelling adds no time to the step,
however many devices share it. The mask that rollout correction leaves is applied later, to labels
that were made without it: a rejected token between two others must not change what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from tensordict import TensorDict

from rest_verl.algorithm.control import ControlLabeler
from rest_verl.algorithm.regions import PROMPT_TOKENS, RegionLabeler
from rest_verl.integration.message_reader import named_ids
from rest_verl.integration.run_syntax import RunSyntaxes, asked_syntax
from rest_verl.syntax import Syntax

# Shape letters: B responses, T response tokens, P tokens at a prompt's end.

_SAMPLED = ("prompts", "responses", "response_mask")
_ROWS = ("extra_info", "reward_model")


class Labels(NamedTuple):
    """What is known of a batch's tokens from their ids; int8 (B, T) each."""

    regions: np.ndarray
    """`Region`, -1 where not sampled."""
    controls: np.ndarray
    """`Control`, 0 for most tokens."""


class RowLabeler:
    """Labels each row by the syntax that it is written in.

    Args:
        tokenizer: of the model.
        syntaxes: which one is a row's.
        end_ids: as for `RegionLabeler`.
        asked: the syntaxes that the run's rows ask for (`asked_syntax`), where that is known. With
            one, no row has to be looked at.
    """

    def __init__(
        self,
        tokenizer: Any,
        syntaxes: RunSyntaxes,
        *,
        end_ids: Iterable[int] = (),
        asked: Collection[str] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._syntaxes = syntaxes
        self._end_ids = list(end_ids)
        self._only = next(iter(asked)) if asked is not None and len(asked) == 1 else None
        self._labelers: dict[str, RegionLabeler] = {}
        self._controls: dict[str, ControlLabeler] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of verl's that `label` reads."""
        return _SAMPLED if self._only is not None else (*_SAMPLED, *_ROWS)

    def of(self, syntax: Syntax) -> RegionLabeler:
        """The labeler of one syntax."""
        if syntax.name not in self._labelers:
            labeler = RegionLabeler(self._tokenizer, syntax, end_ids=self._end_ids)
            self._labelers[syntax.name] = labeler
        return self._labelers[syntax.name]

    def _controls_of(self, syntax: Syntax) -> ControlLabeler:
        if syntax.name not in self._controls:
            stops = named_ids(self._tokenizer, syntax.stop_tokens)
            labeler = ControlLabeler(self.of(syntax).vocabulary, syntax, stops)
            self._controls[syntax.name] = labeler
        return self._controls[syntax.name]

    def read(self, sampled: TensorDict) -> Labels:
        """Labels of jagged `responses` under the `response_mask` of what was sampled."""
        regions_BT = self.label(sampled)
        ids_BT = sampled["responses"].to_padded_tensor(0).numpy()
        controls_BT = np.zeros_like(regions_BT)
        asked = np.array(self._asked(sampled))
        for name in np.unique(asked).tolist():
            rows = asked == name
            labeler = self._controls_of(self._syntaxes.named(name))
            controls_BT[rows] = labeler.label(ids_BT[rows], regions_BT[rows])
        return Labels(regions_BT, controls_BT)

    def label(self, sampled: TensorDict) -> np.ndarray:
        """Regions of jagged `responses` under the `response_mask` of what was sampled, int8 (B, T),
        -1 where the mask is 0."""
        padded = sampled.select("responses", "response_mask").to_padded_tensor()
        ids_BT, mask_BT = padded["responses"].numpy(), padded["response_mask"].numpy()
        prompts_BP = _tails(sampled["prompts"].unbind()) if "prompts" in sampled else None
        asked = self._asked(sampled)
        if len(set(asked)) == 1:
            labeler = self.of(self._syntaxes.named(asked[0]))
            return labeler.label_batch(ids_BT, mask_BT, prompts=prompts_BP)
        regions_BT = np.empty(ids_BT.shape, dtype=np.int8)
        for name in sorted(set(asked)):
            rows = np.flatnonzero([row == name for row in asked])
            labeler = self.of(self._syntaxes.named(name))
            before = None if prompts_BP is None else prompts_BP[rows]
            regions_BT[rows] = labeler.label_batch(ids_BT[rows], mask_BT[rows], prompts=before)
        return regions_BT

    def answers(self, sampled: TensorDict) -> list[tuple[RegionLabeler, np.ndarray]]:
        """The sampled ids of each row, with the labeler that reads them."""
        rows = zip(
            self._asked(sampled),
            sampled["responses"].unbind(),
            sampled["response_mask"].unbind(),
            strict=True,
        )
        return [
            (self.of(self._syntaxes.named(name)), ids[mask.bool()].numpy())
            for name, ids, mask in rows
        ]

    def _asked(self, sampled: TensorDict) -> list[str]:
        if self._only is not None:
            return [self._only] * len(sampled)
        rows = {name: sampled.get(name).tolist() for name in _ROWS if name in sampled}
        infos, models = (rows.get(name, [None] * len(sampled)) for name in _ROWS)
        return [
            asked_syntax(info, (model or {}).get("ground_truth"))
            for info, model in zip(infos, models, strict=True)
        ]


class BackgroundLabels:
    """The labels of one batch at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rest-labels")
        self._keys: list[str] = []
        self._labels: Future[Labels] | None = None

    def start(self, labeler: RowLabeler, keys: Sequence[str], sampled: TensorDict) -> None:
        """Begins with the batch of these keys.

        Args:
            labeler: Makes the labels.
            keys: verl's keys of the rows.
            sampled: The labeler's columns, jagged, as sampled.
        """
        self._keys = list(keys)
        self._labels = self._pool.submit(labeler.read, sampled)

    def take(self, keys: Sequence[str]) -> Labels | None:
        """The labels of the rows with these keys; waits for them.

        None where other rows were labelled: the caller has to label them itself.
        """
        if self._labels is None or set(keys) != set(self._keys):
            return None
        row = {key: number for number, key in enumerate(self._keys)}
        labels, self._labels = self._labels.result(), None
        order = [row[key] for key in keys]
        return Labels(*(labels_BT[order] for labels_BT in labels))


def _tails(prompts: Sequence[Any]) -> np.ndarray:
    """The last ids of each prompt, (B, P), short ones padded in front by -1."""
    tails_BP = np.full((len(prompts), PROMPT_TOKENS), -1, dtype=np.int64)
    for tail_P, prompt in zip(tails_BP, prompts, strict=True):
        ids = prompt[-PROMPT_TOKENS:].numpy()
        tail_P[PROMPT_TOKENS - len(ids) :] = ids
    return tails_BP
