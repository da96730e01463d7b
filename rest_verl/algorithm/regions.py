"""Region of every sampled token, from the token ids alone (docs/method.md, section 2).

Only the bytes that can matter are decoded: those near a possible tag, and those from where a run's
first calls open. All other tokens take the region of the stretch they lie in. A syntax whose calls
can begin without a tag has all its bytes decoded.

Shape letters: B responses, T response tokens, N tokens of the batch laid flat, M tokens decoded,
S segments, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rest_verl.algorithm.ragged import refuse_ragged
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.syntax import Outline, Region, Syntax, get_syntax
from rest_verl.syntax.regions import FORMAT, TEXT

__all__ = ["Region", "RegionLabeler"]

_CHUNK = 1 << 18  # tokens labelled at once: large enough for numpy, small enough for the cache
PROMPT_TOKENS = 16
"""At the end of a prompt, in which an opened thought shows; readers of calls look at as many."""

# What a token id can mean beyond its bytes.
_HOLDS_TAG, _BEGINS_TAG, _ENDS_TURN, _PADS, _EMPTY = (1 << bit for bit in range(5))


class RegionLabeler:
    """Labels the tokens of responses with their regions.

    The tokenizer is read once and not kept; a labeler can be pickled. Labels depend on the bytes
    of the sampled ids only, so ids that the tokenizer itself would never produce for the same text
    are labelled as exactly as canonical ones, and no id raises. The rules of the bytes are those
    of the syntax (`rest_verl.syntax`); those of the tokens:

    - A token takes the region of most of its bytes; on a tie, the earlier one in the token.
    - A token without bytes (an id outside the vocabulary) takes the region of the token before it;
      at the start of a run, that of the text outside tags.
    - An end-of-turn token is FORMAT and ends its run. A padding token that is none is TEXT.
    - Each run of mask 1 is read on its own.
    """

    def __init__(
        self, tokenizer: Any, syntax: Syntax | str = "toolrl", *, end_ids: Iterable[int] = ()
    ) -> None:
        """Reads the tokenizer.

        Args:
            tokenizer: any of Hugging Face's.
            syntax: how the responses are written, or its name. `toolrl` reads `hermes` as well.
            end_ids: ids that end a turn, beside those that tokenizer and syntax name: the model's
                `generation_config.eos_token_id`.

        Raises:
            ValueError: no syntax of that name.
            TypeError: the name of a tokenizer instead of one.
        """
        if isinstance(tokenizer, str):
            raise TypeError(
                f"tokenizer is a text; pass AutoTokenizer.from_pretrained({tokenizer!r})"
            )
        self.syntax = get_syntax(syntax) if isinstance(syntax, str) else syntax
        self.vocabulary = Vocabulary.from_tokenizer(
            tokenizer,
            end_tokens=self.syntax.end_tokens,
            inner_tokens=self.syntax.inner_tokens,
            end_ids=end_ids,
        )
        tags = self.syntax.tags
        length = self.vocabulary.length
        self._meaning = np.where(length == 0, _EMPTY, 0).astype(np.uint8)
        self._first_byte = np.zeros(len(length), dtype=np.uint8)
        self._beginning = np.zeros(len(length), dtype=np.intp)
        # How a token can end inside a tag, the bytes that can follow, and how many may be needed.
        beginnings = sorted({tag[:length] for tag in tags for length in range(1, len(tag))})
        self._continues = np.zeros((len(beginnings), 256), dtype=bool)
        for tag in tags:
            for cut in range(1, len(tag)):
                self._continues[beginnings.index(tag[:cut]), tag[cut]] = True
        longest = max(map(len, tags))
        self._missing = np.array([longest - len(beginning) for beginning in beginnings])
        first_bytes = {tag[0] for tag in tags}
        # Where a tag can begin within another, a token's end can go on in two ways.
        self._reads_all = self.syntax.reads_all or any(first_bytes & set(tag[1:]) for tag in tags)
        number = {beginning: index for index, beginning in enumerate(beginnings)}
        holds_tag = re.compile(b"|".join(map(re.escape, tags))).search
        tail_starts = re.compile(b"[%s]" % re.escape(bytes(first_bytes)))
        for id_, token in enumerate(self.vocabulary.tokens):
            self._first_byte[id_] = token[0] if token else 0
            starts = [found.start() for found in tail_starts.finditer(token)]
            if starts:
                if holds_tag(token):
                    self._meaning[id_] |= _HOLDS_TAG
                tail = number.get(token[starts[-1] :])
                if tail is not None:
                    self._meaning[id_] |= _BEGINS_TAG
                    self._beginning[id_] = tail
        self._opening = re.compile(b"|".join(map(re.escape, self.syntax.blocks)))
        self._meaning[list(self.vocabulary.end_ids)] = _ENDS_TURN
        if self.vocabulary.pad_id is not None:
            self._meaning[self.vocabulary.pad_id] |= _PADS

    def label(self, token_ids: Any, response_mask: Any = None, *, prompt: Any = None) -> np.ndarray:
        """Regions of one response.

        Args:
            token_ids: sampled ids, (T,); a list, array or tensor.
            response_mask: (T,), non-zero where the policy sampled the token; None: everywhere.
            prompt: ids before the response, (P,); they tell whether a thought is open. None:
                unknown, and the response has to tell.

        Returns:
            int8 (T,): `Region` values, -1 where the mask is 0.
        """
        ids_T = _integers(token_ids)
        if ids_T.ndim != 1:
            raise ValueError(f"token_ids must have one axis, got shape {ids_T.shape}")
        mask = None if response_mask is None else _nonzero(response_mask)[None]
        prompts = None if prompt is None else _integers(prompt)[None]
        return self.label_batch(ids_T[None], mask, prompts=prompts)[0]

    def label_batch(
        self, responses: Any, response_mask: Any = None, *, prompts: Any = None
    ) -> np.ndarray:
        """Regions of a batch of responses.

        Args:
            responses: sampled ids, (B, T); an array or tensor on any device.
            response_mask: (B, T), non-zero where the policy sampled the token; None: everywhere.
            prompts: ids before each response, (B, P), short ones padded in front; the last 16 of
                them tell whether the prompt left a thought open, and what lies before a later run
                tells it of that. None: unknown, and each run has to tell by itself (`Syntax.scan`).

        Returns:
            int8 numpy array (B, T), whatever the inputs were: `Region` values, -1 where the mask
            is 0.

        Raises:
            ValueError: ids that are no integers, or shapes that do not fit.
        """
        ids_BT = _integers(responses)
        if ids_BT.ndim != 2:
            raise ValueError(
                f"responses must have two axes, got shape {ids_BT.shape}; of a single response "
                "call label(token_ids)"
            )
        mask_BT = np.ones(ids_BT.shape, bool) if response_mask is None else _nonzero(response_mask)
        if mask_BT.shape != ids_BT.shape:
            raise ValueError(
                f"response_mask {mask_BT.shape} must have the shape of the ids {ids_BT.shape}"
            )
        prompts_BP = None if prompts is None else _integers(prompts)[:, -PROMPT_TOKENS:]
        if prompts_BP is not None and len(prompts_BP) != len(ids_BT):
            raise ValueError(f"{len(prompts_BP)} prompts for {len(ids_BT)} responses")
        regions_BT = np.empty(ids_BT.shape, dtype=np.int8)
        if not ids_BT.size:
            return regions_BT
        rows = max(1, _CHUNK // ids_BT.shape[1])
        for row in range(0, len(ids_BT), rows):
            chunk = slice(row, row + rows)
            before = None if prompts_BP is None else prompts_BP[chunk]
            regions_BT[chunk] = self._label_chunk(ids_BT[chunk], mask_BT[chunk], before)
        return regions_BT

    def _label_chunk(
        self, ids_BT: np.ndarray, mask_BT: np.ndarray, prompts_BP: np.ndarray | None
    ) -> np.ndarray:
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

        # A token without bytes: a tag can spread over any number of tokens.
        if self._reads_all or (meaning & _EMPTY).any():
            wanted_N = read_N & (self.vocabulary.length[ids_N] > 0)
            decoded = self._decode(ids_N, wanted_N, wanted_N | edge_N, edge_N)
        else:
            wanted_N = self._near_tags(ids_N, marked, meaning)
            wanted_N &= read_N
            decoded = self._decode(ids_N, wanted_N, _with_gaps(wanted_N, edge_N), edge_N)
            if _add_calls(wanted_N, decoded, self._opening):
                wanted_N &= read_N
                decoded = self._decode(ids_N, wanted_N, _with_gaps(wanted_N, edge_N), edge_N)

        outline = Outline()
        outline.mark(0, TEXT)
        is_read = read_N[decoded.run_position]
        think_is_open = self._open_thoughts(ids_BT, decoded.run_position[is_read], prompts_BP)
        runs = list(pairwise(decoded.run_offset))
        scan, text = self.syntax.scan, decoded.text
        for run, is_open in zip(np.flatnonzero(is_read).tolist(), think_is_open, strict=True):
            start, end = runs[run]
            scan(text, start, end, outline, is_open)
        region_M = _token_regions(outline, decoded.offset)
        region_N = np.repeat(region_M, np.diff(decoded.position_M, append=len(ids_N)))
        region_N[marked[meaning & _PADS > 0]] = TEXT
        region_N[ends_turn] = FORMAT
        np.copyto(region_N, -1, where=~mask_N)
        return region_N.reshape(ids_BT.shape)

    def _open_thoughts(
        self, ids_BT: np.ndarray, starts: np.ndarray, prompts_BP: np.ndarray | None
    ) -> list[bool | None]:
        """Of each run that starts there in the flat batch: whether what lies before it opened a
        thought; None where nothing says so."""
        if prompts_BP is None:
            return [None] * len(starts)
        if not prompts_BP.shape[1]:
            prompts_BP = np.full((len(prompts_BP), 1), -1)
        rows, columns = np.divmod(starts, ids_BT.shape[1])
        before = np.concatenate([prompts_BP, ids_BT], axis=1)
        columns = columns[:, None] + np.arange(prompts_BP.shape[1])
        text, offset = self.vocabulary.decode(
            self.vocabulary.clip(before[rows[:, None], columns]).reshape(-1)
        )
        edges = offset[:: prompts_BP.shape[1]].tolist()
        return [self.syntax.leaves_think_open(text[start:end]) for start, end in pairwise(edges)]

    def _near_tags(self, ids_N: np.ndarray, marked: np.ndarray, meaning: np.ndarray) -> np.ndarray:
        """Whether a token may be part of a tag, bool (N,)."""
        near_N = np.zeros(len(ids_N), dtype=bool)
        near_N[marked[meaning & _HOLDS_TAG > 0]] = True
        near = marked[meaning & _BEGINS_TAG > 0]
        near = near[near + 1 < len(ids_N)]
        beginning, next_byte = self._beginning[ids_N[near]], self._first_byte[ids_N[near + 1]]
        goes_on = self._continues[beginning, next_byte]
        near, missing = near[goes_on], self._missing[beginning[goes_on]]
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


def _add_calls(wanted_N: np.ndarray, decoded: _Decoded, opening: re.Pattern[bytes]) -> bool:
    """Makes wanted, in place, each run from its first calls on; whether there were any."""
    run_ends = [*decoded.run_position[1:].tolist(), len(wanted_N)]
    call_offsets, call_ends = [], []
    for (start, end), run_end in zip(pairwise(decoded.run_offset), run_ends, strict=True):
        if found := opening.search(decoded.text, start, end):
            call_offsets.append(found.start())
            call_ends.append(run_end)
    tokens = np.searchsorted(decoded.offset, call_offsets, side="right") - 1
    for first, end in zip(decoded.position_M[tokens].tolist(), call_ends, strict=True):
        wanted_N[first:end] = True
    return bool(call_ends)


def _token_regions(outline: Outline, offset: np.ndarray) -> np.ndarray:
    """Region of every token from the regions of its bytes, int8 (M,).

    Args:
        outline: its segments cover the bytes from 0 on.
        offset: byte offsets of M tokens, none of them empty, and the end, (M + 1,).
    """
    start_S = np.array(outline.starts)
    filled_S = np.diff(start_S, append=-1) != 0  # the others are empty
    start_S = start_S[filled_S]
    region_S = np.array(outline.regions, dtype=np.int8)[filled_S]
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
    refuse_ragged("token ids", ids)
    ids = ids.detach().cpu().numpy() if hasattr(ids, "detach") else np.asarray(ids)
    if ids.size and not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"token ids must be integers, as tokenizer.encode(text) gives them, got {ids.dtype}"
        )
    return ids


def _nonzero(mask: Any) -> np.ndarray:
    """Mask as a bool numpy array; a tensor may have any dtype, bfloat16 included."""
    refuse_ragged("response_mask", mask)
    return (mask != 0).cpu().numpy() if hasattr(mask, "detach") else np.asarray(mask) != 0
