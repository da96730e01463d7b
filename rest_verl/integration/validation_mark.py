"""Marks validation rows: verl tells a reward manager the step, but not whether it validates."""

from collections.abc import Iterator
from typing import Any

import numpy as np

VALIDATION_MARK = "rest_validation"
"""Column that the `rest_*` trainers add to validation batches."""


class MarkedLoader:
    """A validation loader whose batches carry VALIDATION_MARK, for the reward manager `rest`."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            marks = np.full(len(batch["raw_prompt"]), True, dtype=object)
            yield {**batch, VALIDATION_MARK: marks}
