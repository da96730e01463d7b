"""What token ids read as: text without invisible characters, for the eye, and how it is written."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

import numpy as np

from rest_verl.algorithm.regions import PROMPT_TOKENS, RegionLabeler
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.syntax import Terms, read_message, terms_of
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.rollout import Rollout


def shown_tokens(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """The text of each token of a sequence, by `visible_text`; none is lost or shown twice.

    The first token of a character that several share has it whole; a token that has nothing else
    is empty. What is not UTF-8 reads U+FFFD, an id without bytes `⟨id 7⟩`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [""] * len(ids)
    first = 0  # the token in which the character that is being read begins
    for position, id_ in enumerate(ids):
        token = vocabulary.tokens[id_] if 0 <= id_ < len(vocabulary.tokens) else b""
        if not token:
            texts[position] = f"⟨id {id_}⟩"
            continue
        goes_on = bool(decoder.getstate()[0])
        text = decoder.decode(token)
        if goes_on and text:
            texts[first] += text[0]
            text, goes_on = text[1:], False
        texts[position] += text
        if not goes_on:
            first = position
    if ids:
        texts[first] += decoder.decode(b"", final=True)
    return [visible_text(text) for text in texts]


def prompt_text(vocabulary: Vocabulary, rollout: Rollout) -> str:
    """A rollout's prompt, by `visible_text`; empty if it is unknown."""
    if rollout.prompt_ids is None:
        return visible_text(rollout.prompt or "")
    return visible_text(_decode(vocabulary, rollout.prompt_ids))


def read_terms(
    labeler: RegionLabeler,
    rollout: Rollout,
    ids_T: np.ndarray,
    mask_T: np.ndarray,
    prompt_ids: np.ndarray | None,
) -> Terms:
    """How a response is written: as the run logged it, else read as the reward reads it.

    Args:
        prompt_ids: what the model read first; None: unknown.
    """
    if rollout.terms is not None:
        return rollout.terms
    syntax, vocabulary = labeler.syntax, labeler.vocabulary
    edges = np.flatnonzero(np.diff(mask_T, prepend=False, append=False))
    readings = []
    for start, end in edges.reshape(-1, 2):  # what the policy wrote, each run of mask 1 by itself
        is_open = None
        if prompt_ids is not None:
            before = np.concatenate([prompt_ids, ids_T[:start]])[-PROMPT_TOKENS:]
            is_open = syntax.leaves_think_open(vocabulary.decode(vocabulary.clip(before))[0])
        text = vocabulary.response_text(ids_T[start:end])
        readings.append(read_message(syntax, text, think_is_open=is_open))
    sampled = ids_T[mask_T]
    cut_off = None  # a text does not tell what ended it
    if rollout.token_ids is not None:
        cut_off = len(sampled) > 0 and int(sampled[-1]) not in vocabulary.end_ids
    return terms_of(readings, cut_off)


def _decode(vocabulary: Vocabulary, ids: np.ndarray) -> str:
    return vocabulary.decode(vocabulary.clip(ids))[0].decode("utf-8", "replace")
