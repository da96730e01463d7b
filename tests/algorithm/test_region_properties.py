"""Properties of labels on made-up responses: the reference's labels, however split or padded."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import toy_tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from labelers import LABELERS, ONE_BYTE, TAGS, byte_regions
from reference_labels import Reference, token_region

from rest_verl.algorithm.regions import Region, RegionLabeler

FRAGMENTS = [
    *(tag.encode() for tag in TAGS), b'{"name": "f", "arguments": {"a": [1, {"b": "x"}]}}',
    b'{"name": "f"', b'"arguments": ', b'"parameters":', b'"name":', b'"name"', b"{", b"}", b"[",
    b"]", b",", b":", b'"', b"\\", b"\n", b" ", b"\n{", b'"id": 3', b"x", b"<", b"</",
    b"tool_call>", b"null", b'"a\\"b"', b'"</tool_call>"', b'"<think>"}', b"\xff\x00", "é".encode(),
]  # fmt: skip
OPENINGS = [b"", b"<tool_call>", b'<tool_call>\n{"name": "f", "arguments": {"a": "']
texts = st.builds(
    lambda opening, parts: opening + b"".join(parts),
    st.sampled_from(OPENINGS),
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=25),
)


def test_agrees_with_the_reference_on_thousands_of_responses() -> None:
    rng = random.Random(0)
    responses = []
    for _ in range(3000):
        text = rng.choice(OPENINGS) + b"".join(rng.choices(FRAGMENTS, k=rng.randrange(25)))
        responses.append(text[: rng.randrange(len(text) + 1)] if rng.random() < 0.3 else text)
    length = max(map(len, responses))
    ids = np.array([list(text.ljust(length, b"<")) for text in responses])
    mask = np.array([[1] * len(text) + [0] * (length - len(text)) for text in responses])
    labels = ONE_BYTE.label_batch(ids, mask)
    for text, row in zip(responses, labels.tolist(), strict=True):
        assert row == Reference(text).labels + [-1] * (length - len(text)), text


@settings(max_examples=300, deadline=None)
@given(text=texts, data=st.data())
def test_any_split_of_the_same_text_gives_the_same_byte_regions(
    text: bytes, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, max(1, len(text) - 1))))
    bounds = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds) if a < b]
    tokenizer = toy_tokenizers.BytesTokenizer(dict.fromkeys(pieces))
    labels = RegionLabeler(tokenizer).label([tokenizer.get_vocab()[piece] for piece in pieces])
    regions = byte_regions(text)
    assert len(regions) == len(text)
    expected, start = [], 0
    for piece in pieces:
        expected.append(token_region(regions[start : start + len(piece)]))
        start += len(piece)
    assert labels.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(LABELERS)))
def test_random_ids_never_raise_and_the_batch_equals_its_rows(
    data: st.DataObject, kind: str
) -> None:
    labeler = LABELERS[kind][1]
    num_ids = len(labeler.vocabulary.tokens)
    id_ = st.integers(0, num_ids + 3) | st.integers(-(2**63), 2**63 - 1)
    width = data.draw(st.integers(1, 20))
    rows = st.lists(st.lists(id_, min_size=width, max_size=width), min_size=1, max_size=4)
    ids = np.array(data.draw(rows), dtype=np.int64)
    bits = st.lists(st.integers(0, 1), min_size=ids.size, max_size=ids.size)
    mask = np.array(data.draw(bits)).reshape(ids.shape)
    labels = labeler.label_batch(ids, mask)
    assert ((labels == -1) == (mask == 0)).all()
    assert labels.max() <= max(Region)
    for row in range(len(ids)):
        assert labeler.label(ids[row], mask[row]).tolist() == labels[row].tolist()


@settings(max_examples=100, deadline=None)
@given(text=texts, padding=st.lists(st.integers(-2, 300), max_size=10), left=st.booleans())
def test_padding_changes_nothing(text: bytes, padding: list[int], left: bool) -> None:
    ids, mask = list(text), [1] * len(text)
    none = [0] * len(padding)
    if left:
        padded, keep = padding + ids, none + mask
    else:
        padded, keep = ids + padding, mask + none
    labels = ONE_BYTE.label(padded, keep)
    assert labels[np.array(keep, bool)].tolist() == byte_regions(text)


FLOODS = {
    "openings of tags": b"<",
    "beginnings of tags": b"<tool_cal",
    "blocks": b"<tool_call>",
    "responses": b"<response>",
    "brackets": b"[",
    "quotes in blocks": b'<tool_call>{"',
    "escapes": b'\\"',
    "closing braces at line starts": b"}\n{",
    "strings with tags": b'"</tool_call>" x',
}


@pytest.mark.parametrize(
    "prefix", [b"", b'<tool_call>{"arguments":[', b'<tool_call>{"arguments":["']
)
@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS.keys())
def test_floods_are_read_to_the_end(unit: bytes, prefix: bytes) -> None:
    # Quadratic time or recursion would show here: 100,000 bytes each.
    text = prefix + unit * (100_000 // len(unit))
    regions = byte_regions(text)
    short = prefix + unit * (600 // len(unit))
    assert len(regions) == len(text)
    assert regions[:300] == Reference(short).labels[:300]
