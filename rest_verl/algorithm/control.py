"""Which sampled tokens steer a conversation: those that open a call, name a tool, end a message.

Where a policy falls apart, its certainty of these goes first. They are found from the regions, so
that a tag in a thought, or in text that is no call, is none.

Shape letters: B responses, T response tokens, N tokens of the batch laid flat, M tokens decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.syntax import Region, Syntax


class Control(IntEnum):
    """What a token decides; 0 is for all others."""

    CALL = 1
    """The first token of what opens a call, or several: a tag, or `Syntax.opens_call`."""
    NAME = 2
    """A token of a tool's name."""
    END = 3
    """A token that ends a message."""


class ControlLabeler:
    """Finds them in responses of one syntax.

    Args:
        vocabulary: of the tokenizer.
        syntax: how the responses are written.
        end_ids: ids that end a message, beside the vocabulary's.
    """

    def __init__(self, vocabulary: Vocabulary, syntax: Syntax, end_ids: Iterable[int] = ()) -> None:
        self._vocabulary = vocabulary
        opening = syntax.opens_call or b"|".join(map(re.escape, syntax.blocks))
        self._opening = re.compile(opening) if opening else None
        self._ends = np.zeros(len(vocabulary.length), dtype=bool)
        self._ends[[*vocabulary.end_ids, *end_ids]] = True

    def label(self, ids_BT: np.ndarray, region_BT: np.ndarray) -> np.ndarray:
        """`Control` of each token, int8 (B, T).

        Args:
            ids_BT: sampled ids.
            region_BT: their regions, -1 where not sampled.
        """
        control_N = np.zeros(region_BT.size, dtype=np.int8)
        if not len(control_N):
            return control_N.reshape(region_BT.shape)
        ids_N, region_N = self._vocabulary.clip(ids_BT).reshape(-1), region_BT.reshape(-1)
        control_N[region_N == Region.NAME] = Control.NAME
        control_N[self._openings(ids_N, region_N, region_BT.shape[1])] = Control.CALL
        is_format_N = region_N == Region.FORMAT
        control_N[is_format_N] = np.where(
            self._ends[ids_N[is_format_N]], Control.END, control_N[is_format_N]
        )
        return control_N.reshape(region_BT.shape)

    def _openings(self, ids_N: np.ndarray, region_N: np.ndarray, length: int) -> np.ndarray:
        """Places of the tokens in which calls open."""
        if self._opening is None:
            return np.zeros(0, dtype=np.intp)
        # A name too: `[get` can be one token.
        is_call_N = (region_N == Region.FORMAT) | (region_N == Region.NAME)
        # A tag can begin at the end of a token of text.
        is_read_N = is_call_N.copy()
        is_read_N[:-1] |= is_call_N[1:] & (region_N[:-1] >= 0)
        is_read_N[length - 1 :: length] &= is_call_N[length - 1 :: length]
        place_M = np.flatnonzero(is_read_N)
        ids_M = ids_N[place_M]
        # What does not lie together is read apart.
        is_apart = (np.diff(place_M) != 1) | (place_M[1:] % length == 0)
        gaps = np.flatnonzero(is_apart) + 1
        ids_M = np.insert(ids_M, gaps, self._vocabulary.filler_id)
        place_M = np.insert(place_M, gaps, 0)
        text, offset = self._vocabulary.decode(ids_M)
        spans = [found.span() for found in self._opening.finditer(text)]
        if not spans:
            return np.zeros(0, dtype=np.intp)
        starts, ends = np.array(spans).T
        first = np.searchsorted(offset, starts, side="right") - 1
        last = np.searchsorted(offset, ends, side="left") - 1
        return place_M[first[is_call_N[place_M[last]]]]


def control_statistics(
    control: Tensor | np.ndarray, measures: Mapping[str, Tensor]
) -> dict[str, float]:
    """`rest/control/<measure>/<control>`: means over the control tokens of each kind.

    Args:
        control: `Control` of each token, (B, T).
        measures: values of each token, (B, T), by name.

    Returns:
        No entry for a kind that the batch has no token of: absent is not zero.
    """
    control_BT = torch.as_tensor(control)
    stats = {}
    for kind in Control:
        is_kind_BT = control_BT == kind
        for name, values_BT in measures.items():
            values = values_BT[is_kind_BT]
            if len(values):
                stats[f"rest/control/{name}/{kind.name.lower()}"] = float(values.double().mean())
    return stats
