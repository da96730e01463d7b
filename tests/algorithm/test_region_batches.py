"""What the labeler takes: masks, turns, batches, arrays and tensors; and what it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from labelers import ONE_BYTE, F, K, N, X, byte_regions

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import token_weights


def test_each_turn_is_read_on_its_own() -> None:
    # an unclosed call | an observation that would close it | a think that the prompt opened
    turns = [(b'<tool_call>{"name":"f', 1), (b'"}</tool_call>', 0), (b"a</think>b", 1)]
    ids = list(b"".join(text for text, _ in turns))
    mask = [keep for text, keep in turns for _ in text]
    assert ONE_BYTE.label(ids, mask).tolist() == (
        [F] * 20 + [N] + [-1] * 14 + [K] + [F] * 8 + [X]
    )  # fmt: skip


def test_rows_are_read_on_their_own() -> None:
    ids = np.array([list(b"ab<thin"), list(b"k>cdefg")])
    assert ONE_BYTE.label_batch(ids).tolist() == [[X] * 7, [X] * 7]


def test_masked_and_empty_input() -> None:
    assert ONE_BYTE.label(list(b"<think>"), [0] * 7).tolist() == [-1] * 7
    assert ONE_BYTE.label([]).shape == (0,)
    assert ONE_BYTE.label_batch(np.zeros((3, 0), int), np.zeros((3, 0))).shape == (3, 0)
    assert ONE_BYTE.label_batch(np.zeros((0, 4), int), np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("id_dtype", [torch.uint8, torch.int32, torch.int64])
def test_tensors(id_dtype: torch.dtype, mask_dtype: torch.dtype) -> None:
    ids = torch.tensor([list(b"<think>a"), list(b"</think>")]).to(id_dtype)
    mask = torch.tensor([[1] * 8, [0] * 8]).to(mask_dtype)
    labels = ONE_BYTE.label_batch(ids, mask)
    assert labels.dtype == np.int8
    assert labels.tolist() == [[F] * 7 + [K], [-1] * 8]


def test_views_are_not_changed() -> None:
    ids = torch.tensor([list(b"a<think>")] * 4).T  # not contiguous
    mask = torch.ones_like(ids)
    before = ids.clone(), mask.clone()
    ONE_BYTE.label_batch(ids, mask)
    assert torch.equal(ids, before[0])
    assert torch.equal(mask, before[1])


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="two axes"):
        ONE_BYTE.label_batch(np.zeros(3, int))
    with pytest.raises(ValueError, match="one axis"):
        ONE_BYTE.label(np.zeros((1, 3), int))
    with pytest.raises(ValueError, match="shape"):
        ONE_BYTE.label_batch(np.zeros((2, 3), int), np.ones((2, 4)))
    whole, ragged = [[1, 2], [3, 4]], [[1, 2], [3]]
    for rows in (ragged, list(map(np.array, ragged)), np.array([*map(list, ragged), 0], object)):
        with pytest.raises(ValueError, match=r"token ids: rows of different .* pad .*\[8, 0, 0\]"):
            ONE_BYTE.label_batch(rows)
    with pytest.raises(ValueError, match="response_mask: rows of different lengths"):
        ONE_BYTE.label_batch(whole, ragged)
    with pytest.raises(ValueError, match=r"as tokenizer.encode"):
        ONE_BYTE.label("text")
    with pytest.raises(TypeError, match=r"AutoTokenizer.from_pretrained\('a/model'\)"):
        RegionLabeler("a/model")
    with pytest.raises(ValueError, match="regions: rows of different lengths"):
        token_weights(ragged, config="uniform")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="integers"):
        ONE_BYTE.label([0.5])


def test_a_labeler_can_be_pickled() -> None:
    ids = list(b"<think>a</think>")
    assert pickle.loads(pickle.dumps(ONE_BYTE)).label(ids).tolist() == byte_regions(bytes(ids))
