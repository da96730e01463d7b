"""What token ids read as: text without invisible characters, for the eye, and how it is written."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

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


class Message(NamedTuple):
    """One message that the policy wrote."""

    text: str
    think_is_open: bool | None
    """Whether what stands before it leaves a thought open; None: unknown."""


def messages(
    labeler: RegionLabeler, ids_T: np.ndarray, mask_T: np.ndarray, prompt_ids: np.ndarray | None
) -> list[Message]:
    """What the policy wrote of a response, each run of mask 1 by itself.

    Args:
        prompt_ids: what the model read first; None: unknown.
    """
    syntax, vocabulary = labeler.syntax, labeler.vocabulary
    edges = np.flatnonzero(np.diff(mask_T, prepend=False, append=False))
    found = []
    for start, end in edges.reshape(-1, 2):
        is_open = None
        if prompt_ids is not None:
            before = np.concatenate([prompt_ids, ids_T[:start]])[-PROMPT_TOKENS:]
            is_open = syntax.leaves_think_open(vocabulary.decode(vocabulary.clip(before))[0])
        found.append(Message(vocabulary.response_text(ids_T[start:end]), is_open))
    return found


def read_terms(
    labeler: RegionLabeler, rollout: Rollout, written: Sequence[Message], sampled: np.ndarray
) -> Terms:
    """How a response is written: as the run logged it, else read as the reward reads it.

    Args:
        written: its messages.
        sampled: the ids of them.
    """
    if rollout.terms is not None:
        return rollout.terms
    cut_off = None  # a text does not tell what ended it
    if rollout.token_ids is not None:
        cut_off = len(sampled) > 0 and int(sampled[-1]) not in labeler.vocabulary.end_ids
    readings = [
        read_message(labeler.syntax, message.text, think_is_open=message.think_is_open)
        for message in written
    ]
    return terms_of(readings, cut_off)


def _decode(vocabulary: Vocabulary, ids: np.ndarray) -> str:
    return vocabulary.decode(vocabulary.clip(ids))[0].decode("utf-8", "replace")
