"""Labels of single tokens: those that straddle regions, end a turn, or have no bytes."""

from __future__ import annotations

import pytest
import toy_tokenizers
from labelers import LABELERS, ONE_BYTE, F, K, X

from rest_verl.algorithm.regions import Region, RegionLabeler

# Tokens that straddle regions

STRADDLES = {
    "most bytes win, the earlier ones": ([b"<think>abc", b"</think>"], 0, F),
    "most bytes win, the later ones": ([b"<thin", b"k>0123", b"</think>"], 1, K),
    "on a tie the earlier region, FORMAT": ([b"<thi", b"nk>012", b"</think>"], 1, F),
    "on a tie the earlier region, THINK": ([b"<think>", b"012</t", b"hink>"], 1, K),
    "a region's bytes need not be adjacent": ([b'<tool_call>{"name":', b'"f"', b"}"], 1, F),
    "a tie over three stretches": ([b'<tool_call>{"name":', b'"ab"', b"}"], 1, F),
    "three regions": ([b"<think>", b"ab</think>c"], 1, F),
    "a whole think": ([b"<think>0123456789abcdefg</think>"], 0, K),
}


@pytest.mark.parametrize(("tokens", "index", "expected"), STRADDLES.values(), ids=STRADDLES.keys())
def test_straddling_token(tokens: list[bytes], index: int, expected: Region) -> None:
    labeler = RegionLabeler(toy_tokenizers.BytesTokenizer(tokens))
    assert labeler.label(range(len(tokens)))[index] == expected


# Tokens with a meaning of their own


def test_end_of_turn_is_format_and_ends_the_run() -> None:
    tokenizer, labeler = LABELERS["byte-level"]
    text = tokenizer("<think>a")["input_ids"]
    end, other_end = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    labels = labeler.label([*text, end, *tokenizer("b")["input_ids"], other_end])
    assert labels[len(text) - 1 :].tolist() == [K, F, X, F]


def test_a_sampled_padding_token_is_text_unless_it_is_the_eos() -> None:
    tokenizer, labeler = LABELERS["byte-level"]
    text = tokenizer("<think>a")["input_ids"]
    assert labeler.label([*text, tokenizer.pad_token_id])[-2:].tolist() == [K, X]
    eos_pads = toy_tokenizers.byte_level()
    eos_pads.pad_token = eos_pads.eos_token
    assert RegionLabeler(eos_pads).label([eos_pads.pad_token_id]).tolist() == [F]


def test_an_ordinary_token_that_reads_like_an_end_is_none() -> None:
    labeler = RegionLabeler(toy_tokenizers.BytesTokenizer([b"<think>", b"</s>"]))
    assert labeler.label([0, 1]).tolist() == [F, K]


@pytest.mark.parametrize("outside", [-1, 256, 10**9, -(2**40)])
def test_an_id_without_bytes_takes_the_region_before_it_and_splits_no_tag(outside: int) -> None:
    ids = list(b"<th") + [outside] * 20 + list(b"ink>a") + [outside] + list(b"</think>")
    assert ONE_BYTE.label(ids).tolist() == [F] * 27 + [K, K] + [F] * 8
    assert ONE_BYTE.label([outside]).tolist() == [X]


def test_ids_that_the_tokenizer_would_not_produce() -> None:
    tokenizer, labeler = LABELERS["single-token tags"]
    spelt = [i for tag in ("<think>", "a", "</think>") for i in map(ord, tag)]
    token_ids = tokenizer.get_vocab()
    ids = [token_ids[chr(byte)] for byte in spelt]
    assert tokenizer(tokenizer.decode(ids))["input_ids"] != ids
    assert labeler.label(ids).tolist() == [F] * 7 + [K] + [F] * 8
