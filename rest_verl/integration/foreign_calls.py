"""A word of warning where a run reads its answers by the wrong syntax.

Then every call is TEXT, and the run trains plain GRPO without an error: worth a look at its first
step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.syntax import read_message

FEW = 0.01
"""Share of the tokens that are names or arguments below which answers are looked at."""
LOOKED_AT = 256
"""Answers looked at."""


def has_few_calls(stats: Mapping[str, float]) -> bool:
    """Whether hardly a token of a step is a call's name or argument, by its logged statistics."""
    return sum(stats.get(f"rest/token_share/{region}", 0.0) for region in ("name", "args")) < FEW


def foreign_calls_warning(answers: Iterable[tuple[RegionLabeler, np.ndarray]]) -> str:
    """One line if some answers hold calls of another syntax than theirs, or "".

    Args:
        answers: each with the labeler that it is read by and its sampled ids.
    """
    found: Counter[str] = Counter()
    own: set[str] = set()
    count = 0
    for labeler, ids in list(answers)[:LOOKED_AT]:
        vocabulary = labeler.vocabulary
        text = vocabulary.decode(vocabulary.clip(ids))[0]
        found[read_message(labeler.syntax, text).foreign] += 1
        own.add(labeler.syntax.name)
        count += 1
    del found[""]
    if not found:
        return ""
    (name, times), *_ = found.most_common(1)
    return (
        f"[rest] WARNING: {times} of {count} answers hold calls in the syntax {name}, but they are "
        f"read as {', '.join(sorted(own))}, in which hardly a token is a call's: their tokens all "
        f"weigh as text. If the model writes {name}, set algorithm.rest.syntax={name}; if its "
        "prompts ask for it, set extra_info.syntax of its rows"
    )
