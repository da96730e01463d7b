"""What token ids read as, for the eye: text without invisible characters, and its faults."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

import numpy as np

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.syntax import Reading
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.rollout import Rollout

_CLOSED = re.compile("(?:Tt|Cc|Rr)*")


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


def is_malformed(
    labeler: RegionLabeler, rollout: Rollout, ids_T: np.ndarray, mask_T: np.ndarray
) -> bool:
    """Whether the reward found the form wrong, a tag is not closed or not opened, or a call is
    broken."""
    if rollout.format_ok is False:
        return True
    runs = _read_runs(labeler, ids_T, mask_T)
    return any(not run.well_formed or not _CLOSED.fullmatch(run.structure) for run in runs)


def is_truncated(
    labeler: RegionLabeler, rollout: Rollout, ids_T: np.ndarray, mask_T: np.ndarray
) -> bool:
    """Whether the last sampled id ends no turn; of a text, which holds no such ids, whether a tag
    is still open at its end."""
    sampled = ids_T[mask_T]
    if not len(sampled):
        return False
    if rollout.token_ids is not None:
        return int(sampled[-1]) not in labeler.vocabulary.end_ids
    return _read_runs(labeler, ids_T, mask_T)[-1].structure[-1:].isupper()


def _read_runs(labeler: RegionLabeler, ids_T: np.ndarray, mask_T: np.ndarray) -> list[Reading]:
    """What the policy wrote, each run of mask 1 by itself."""
    edges = np.flatnonzero(np.diff(mask_T, prepend=False, append=False))
    runs = [ids_T[start:end] for start, end in edges.reshape(-1, 2)]
    return [labeler.syntax.read(labeler.vocabulary.response_text(run)) for run in runs]


def _decode(vocabulary: Vocabulary, ids: np.ndarray) -> str:
    return vocabulary.decode(vocabulary.clip(ids))[0].decode("utf-8", "replace")
