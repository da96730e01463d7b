"""Labels a batch's tokens in a thread, while the devices compute old log-probabilities.

Labels come from the ids and the mask that were sampled. Both are there before the trainer asks the
workers for log-probabilities, and then its process waits; so labelling adds no time to the step,
however many devices share it. The mask that rollout correction leaves is applied later, to labels
that were made without it: a rejected token between two others must not change what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from tensordict import TensorDict

# Shape letters: B responses, T response tokens.


class Labeler(Protocol):
    """What a trainer asks for labels: `RegionLabeler`, or one of the user's own."""

    def label_batch(self, responses: Any, response_mask: Any) -> np.ndarray:
        """Regions of ids (B, T), int8, (B, T), -1 where the mask is 0."""


class BackgroundLabels:
    """The labels of one batch at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rest-labels")
        self._keys: list[str] = []
        self._regions: Future[np.ndarray] | None = None

    def start(self, labeler: Labeler, keys: Sequence[str], sampled: TensorDict) -> None:
        """Begins with the batch of these keys.

        Args:
            labeler: Makes the labels.
            keys: verl's keys of the rows.
            sampled: Jagged `responses` and `response_mask`, as sampled.
        """
        self._keys = list(keys)
        self._regions = self._pool.submit(label, labeler, sampled)

    def take(self, keys: Sequence[str]) -> np.ndarray | None:
        """Regions of the rows with these keys, int8, (B, T), -1 where not sampled; waits for them.

        None where other rows were labelled: the caller has to label them itself.
        """
        if self._regions is None or set(keys) != set(self._keys):
            return None
        row = {key: number for number, key in enumerate(self._keys)}
        regions_BT, self._regions = self._regions.result(), None
        return regions_BT[[row[key] for key in keys]]


def label(labeler: Labeler, sampled: TensorDict) -> np.ndarray:
    """Regions of jagged `responses` under the `response_mask` of what was sampled, (B, T)."""
    padded = sampled.to_padded_tensor()
    return labeler.label_batch(padded["responses"], padded["response_mask"])
