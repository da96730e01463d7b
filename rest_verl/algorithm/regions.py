"""Region of every sampled token, from the token ids alone (method section 2).

Only the bytes that can matter are decoded: those near a possible tag, and those from a run's first
`<tool_call>` on. All other tokens take the region of the stretch they lie in.

Shape letters: B responses, T response tokens, N tokens of the batch laid flat, M tokens decoded,
S segments, V vocabulary.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rest_verl.syntax.json_calls import CALL_OPEN, FORMAT, TAGS, TEXT, Region, Segments, scan
from rest_verl.algorithm.vocabulary import Vocabulary

__all__ = ["Region", "RegionLabeler"]

# How a token can end inside a tag, the bytes that can follow it, and how many more may be needed.
_BEGINNINGS = sorted({tag[:length] for tag in TAGS for length in range(1, len(tag))})
_CONTINUES = np.zeros((len(_BEGINNINGS), 256), dtype=bool)
for _tag in TAGS:
    for _length in range(1, len(_tag)):
        _CONTINUES[_BEGINNINGS.index(_tag[:_length]), _tag[_length]] = True
_MISSING = np.array([max(map(len, TAGS)) - len(beginning) for beginning in _BEGINNINGS])

_CHUNK = 1 << 18  # tokens labelled at once: large enough for numpy, small enough for the cache

# What a token id can mean beyond its bytes.
_HOLDS_TAG, _BEGINS_TAG, _ENDS_TURN, _PADS, _EMPTY = (1 << bit for bit in range(5))


class RegionLabeler:
    """Labels the tokens of responses with their regions.

    The tokenizer is read once and not kept; a labeler can be pickled. Labels depend on the bytes
    of the sampled ids only, so ids that the tokenizer itself would never produce for the same text
    are labelled as exactly as canonical ones, and no id raises. The rules of the bytes are those
    of `rest_verl.syntax.json_calls`; those of the tokens:

    - A token takes the region of most of its bytes; on a tie, the earlier one in the token.
    - A token without bytes (an id outside the vocabulary) takes the region of the token before it;
      at the start of a run, that of the text outside tags.
    - An end-of-turn token is FORMAT and ends its run. A padding token that is none is TEXT.
    - Each run of mask 1 is read on its own.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer)
        length = self.vocabulary.length
        self._meaning = np.where(length == 0, _EMPTY, 0).astype(np.uint8)
        self._first_byte = np.zeros(len(length), dtype=np.uint8)
        self._beginning = np.zeros(len(length), dtype=np.intp)
        for id_, token in enumerate(self.vocabulary.tokens):
            self._first_byte[id_] = token[0] if token else 0
            if b"<" in token:
                if any(tag in token for tag in TAGS):
                    self._meaning[id_] |= _HOLDS_TAG
                tail = token[token.rindex(b"<") :]
                if tail in _BEGINNINGS:
                    self._meaning[id_] |= _BEGINS_TAG
                    self._beginning[id_] = _BEGINNINGS.index(tail)
        self._meaning[list(self.vocabulary.end_ids)] = _ENDS_TURN
        if self.vocabulary.pad_id is not None:
            self._meaning[self.vocabulary.pad_id] |= _PADS

    def label(self, token_ids: Any, response_mask: Any = None) -> np.ndarray:
        """Regions of one response.

        Args:
            token_ids: sampled ids, (T,); a list, array or tensor.
            response_mask: (T,), non-zero where the policy sampled the token; None: everywhere.

        Returns:
            int8 (T,): `Region` values, -1 where the mask is 0.
        """
        ids_T = _integers(token_ids)
        if ids_T.ndim != 1:
            raise ValueError(f"token_ids must have one axis, got shape {ids_T.shape}")
        mask = None if response_mask is None else _nonzero(response_mask)[None]
        return self.label_batch(ids_T[None], mask)[0]

    def label_batch(self, responses: Any, response_mask: Any = None) -> np.ndarray:
        """Regions of a batch of responses.

        Args:
            responses: sampled ids, (B, T); an array or tensor on any device.
            response_mask: (B, T), non-zero where the policy sampled the token; None: everywhere.

        Returns:
            int8 numpy array (B, T), whatever the inputs were: `Region` values, -1 where the mask
            is 0.

        Raises:
            ValueError: ids that are no integers, or shapes that do not fit.
        """
        ids_BT = _integers(responses)
        if ids_BT.ndim != 2:
            raise ValueError(f"responses must have two axes, got shape {ids_BT.shape}")
        mask_BT = np.ones(ids_BT.shape, bool) if response_mask is None else _nonzero(response_mask)
        if mask_BT.shape != ids_BT.shape:
            raise ValueError(
                f"response_mask {mask_BT.shape} must have the shape of the ids {ids_BT.shape}"
            )
        regions_BT = np.empty(ids_BT.shape, dtype=np.int8)
        if not ids_BT.size:
            return regions_BT
        rows = max(1, _CHUNK // ids_BT.shape[1])
        for row in range(0, len(ids_BT), rows):
            chunk = slice(row, row + rows)
            regions_BT[chunk] = self._label_chunk(ids_BT[chunk], mask_BT[chunk])
        return regions_BT

    def _label_chunk(self, ids_BT: np.ndarray, mask_BT: np.ndarray) -> np.ndarray:
        ids_N = self.vocabulary.clip(ids_BT).reshape(-1)
        mask_N = np.ascontiguousarray(mask_BT).reshape(-1)
        meaning_N = self._meaning[ids_N]
        meaning_N *= mask_N
        marked = np.flatnonzero(meaning_N)
        meaning = meaning_N[marked]
        ends_turn = marked[meaning & _ENDS_TURN > 0]

        read_N = mask_N.copy()
        read_N[ends_turn] = False
        edge_N = np.empty_like(read_N)  # the first token of a run, or of what lies between runs
        np.not_equal(read_N[1:], read_N[:-1], out=edge_N[1:])
        edge_N[:: ids_BT.shape[1]] = True

        if (meaning & _EMPTY).any():  # a tag can spread over any number of tokens
            wanted_N = read_N & (self.vocabulary.length[ids_N] > 0)
            decoded = self._decode(ids_N, wanted_N, wanted_N | edge_N, edge_N)
        else:
            wanted_N = self._near_tags(ids_N, marked, meaning)
            wanted_N &= read_N
            decoded = self._decode(ids_N, wanted_N, _with_gaps(wanted_N, edge_N), edge_N)
            if _add_calls(wanted_N, decoded):
                wanted_N &= read_N
                decoded = self._decode(ids_N, wanted_N, _with_gaps(wanted_N, edge_N), edge_N)

        segments = Segments()
        segments.mark(0, TEXT)
        is_read = read_N[decoded.run_position].tolist()
        for (start, end), read in zip(pairwise(decoded.run_offset), is_read, strict=True):
            if read:
                scan(decoded.text, start, end, segments)
        region_M = _token_regions(segments, decoded.offset)
        region_N = np.repeat(region_M, np.diff(decoded.position_M, append=len(ids_N)))
        region_N[marked[meaning & _PADS > 0]] = TEXT
        region_N[ends_turn] = FORMAT
        np.copyto(region_N, -1, where=~mask_N)
        return region_N.reshape(ids_BT.shape)

    def _near_tags(self, ids_N: np.ndarray, marked: np.ndarray, meaning: np.ndarray) -> np.ndarray:
        """Whether a token may be part of a tag, bool (N,)."""
        near_N = np.zeros(len(ids_N), dtype=bool)
        near_N[marked[meaning & _HOLDS_TAG > 0]] = True
        near = marked[meaning & _BEGINS_TAG > 0]
        near = near[near + 1 < len(ids_N)]
        beginning, next_byte = self._beginning[ids_N[near]], self._first_byte[ids_N[near + 1]]
        goes_on = _CONTINUES[beginning, next_byte]
        near, missing = near[goes_on], _MISSING[beginning[goes_on]]
        while len(near):  # at most as often as a tag has bytes
            near_N[near] = True
            goes_on = (missing > 0) & (near + 1 < len(ids_N))
            near = near[goes_on] + 1
            missing = missing[goes_on] - np.maximum(self.vocabulary.length[ids_N[near]], 1)
        return near_N

    def _decode(
        self, ids_N: np.ndarray, wanted_N: np.ndarray, kept_N: np.ndarray, edge_N: np.ndarray
    ) -> _Decoded:
        """Text of the kept tokens, those that are not wanted as filler."""
        position_M = np.flatnonzero(kept_N)
        ids_M = np.where(wanted_N[position_M], ids_N[position_M], self.vocabulary.filler_id)
        text, offset = self.vocabulary.decode(ids_M)
        run = np.flatnonzero(edge_N[position_M])
        run_offset = [*offset[run].tolist(), len(text)]
        return _Decoded(position_M, text, offset, position_M[run], run_offset)


class _Decoded(NamedTuple):
    """Bytes of a batch in which a token stands for all from its position to the next one's."""

    position_M: np.ndarray
    """Positions of the tokens in the flat batch, the first 0."""
    text: bytes
    offset: np.ndarray
    """Byte offsets of the tokens, and of the end, (M + 1,)."""
    run_position: np.ndarray
    """Positions in the flat batch where runs, and what lies between them, begin."""
    run_offset: list[int]
    """Byte offsets of the same, and of the end."""


def _with_gaps(wanted_N: np.ndarray, edge_N: np.ndarray) -> np.ndarray:
    """Tokens to keep: the wanted, and the first one of every stretch of others."""
    kept_N = wanted_N | edge_N
    kept_N[1:] |= wanted_N[:-1]
    return kept_N


def _add_calls(wanted_N: np.ndarray, decoded: _Decoded) -> bool:
    """Makes wanted, in place, each run from its first `<tool_call>` on; whether there was any."""
    run_ends = [*decoded.run_position[1:].tolist(), len(wanted_N)]
    call_offsets, call_ends = [], []
    for (start, end), run_end in zip(pairwise(decoded.run_offset), run_ends, strict=True):
        call_offset = decoded.text.find(CALL_OPEN, start, end)
        if call_offset >= 0:
            call_offsets.append(call_offset)
            call_ends.append(run_end)
    tokens = np.searchsorted(decoded.offset, call_offsets, side="right") - 1
    for first, end in zip(decoded.position_M[tokens].tolist(), call_ends, strict=True):
        wanted_N[first:end] = True
    return bool(call_ends)


def _token_regions(segments: Segments, offset: np.ndarray) -> np.ndarray:
    """Region of every token from the regions of its bytes, int8 (M,).

    Args:
        segments: cover the bytes from 0 on.
        offset: byte offsets of M tokens, none of them empty, and the end, (M + 1,).
    """
    start_S = np.array(segments.starts)
    region_S = np.array(segments.regions, dtype=np.int8)
    token_S = np.searchsorted(offset, start_S, side="right") - 1  # the token it starts in
    inside_S = start_S > offset[token_S]
    num_tokens = len(offset) - 1
    region_M = np.repeat(region_S, np.diff(token_S + inside_S, append=num_tokens))

    # So far a token has the region of its first byte; now those in which another one starts.
    inner = np.flatnonzero(inside_S)
    token = token_S[inner]
    split = np.diff(token, append=-1) != 0
    split &= np.diff(token, prepend=-1) != 0
    once, token_once = inner[split], token[split]
    left = start_S[once] - offset[token_once]
    right = offset[token_once + 1] - start_S[once]
    region_M[token_once] = np.where(right > left, region_S[once], region_S[once - 1])
    for index in np.unique(token[~split]).tolist():
        region_M[index] = _majority(index, offset, start_S, region_S)
    return region_M


def _majority(token: int, offset: np.ndarray, start_S: np.ndarray, region_S: np.ndarray) -> int:
    """Region of most bytes of a token that several segments share, the earliest on a tie."""
    start, end = offset[token : token + 2]
    first = np.searchsorted(start_S, start, side="right") - 1
    last = np.searchsorted(start_S, end)
    length = np.diff(np.clip(start_S[first:last], start, None), append=end)
    num_bytes: dict[int, int] = {}
    for region, count in zip(region_S[first:last].tolist(), length.tolist(), strict=True):
        if count:
            num_bytes[region] = num_bytes.get(region, 0) + count
    return max(num_bytes, key=num_bytes.__getitem__)


def _integers(ids: Any) -> np.ndarray:
    """Token ids as a numpy array; a tensor on a CPU is not copied."""
    ids = ids.detach().cpu().numpy() if hasattr(ids, "detach") else np.asarray(ids)
    if ids.size and not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"token ids must be integers, got {ids.dtype}")
    return ids


def _nonzero(mask: Any) -> np.ndarray:
    """Mask as a bool numpy array; a tensor may have any dtype, bfloat16 included."""
    return (mask != 0).cpu().numpy() if hasattr(mask, "detach") else np.asarray(mask) != 0
