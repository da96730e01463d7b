"""The byte table of real tokenizers, against what they encode and decode themselves."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_tokenizers import (
    CACHE,
    PUTS_A_SPACE_BEFORE,
    REAL_TOKENIZERS,
    each_real_tokenizer,
    real_vocabulary,
)

from rest_verl.algorithm.vocabulary import Vocabulary

TEXTS = {
    "call": '<tool_call>\n{"name": "f", "arguments": {"city": "Zürich", "n": [1, -2.5e3]}}\n'
    "</tool_call>",
    "indented": '  {\n    "a": {\n\t\t"b":   1\n        }\n }\n\n\n\n   ',
    "spaces": "a" + " " * 33 + "b\t\t\tc\r\n\r\n",
    "tags": "<html><b>bold</b> <h1>x</h1><table><tr><td></td></tr></table><think>z</think>",
    "unicode": "é ü ñ ß 漢字かな 한국어 العربية עברית हिन्दी ไทย \u00a0\u00ad\u200b\u2028",
    "emoji": "🦊👩‍👩‍👧‍👦🏳️‍🌈 🇨🇭 👍🏽",
    "code": "def f(x: int) -> str:\n    if x != 0:\n        return f'{x!r}\\n'\n    # ▒ ½ → ∑\n",
    "numbers": "1234567890 0.001 1e-9 ١٢٣ 0x41 <0x41> 12:30:00",
    "control": "\x01\x1b[31m\x7f \x85",
    "alphabet": "Ġ Ċ Ā ÿ",  # letters that stand for bytes in byte-level vocabularies
}

# Texts that would not come back, and why. SentencePiece has `▁` for a space, and only that. Qwen
# composes characters (NFC). A special token's name is that token, before which Llama 2's tokenizer
# puts one more space.

ENDS = {
    "qwen3": {"<|im_end|>", "<|endoftext|>"},
    "qwen3_6": {"<|im_end|>", "<|endoftext|>"},
    "llama3_1": {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"},
    "llama2": {"</s>"},
    "gemma3": {"<end_of_turn>", "<eos>"},
    "gptoss": {"<|return|>", "<|end|>", "<|endoftext|>"},  # what its syntax adds: see below
    "deepseek_v3": {"<｜end▁of▁sentence｜>"},
    "gpt4o": {"<|endoftext|>"},
    "smollm2": {"<|im_end|>", "<|endoftext|>"},
    "mistral_tekken": {"</s>"},
    "mistral_v1": {"</s>"},
    "mistral_v3": {"</s>"},
    "mistral_v7": {"</s>"},
}


def added_ids(tokenizer: Any) -> set[int]:
    if type(tokenizer).__name__.startswith("MistralCommon"):
        return set(tokenizer.all_special_ids)
    return {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}


def own_text(tokenizer: Any, ids: list[int]) -> str:
    # mistral-common leaves `▁` in the text if it is to keep special tokens, of which none is here.
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def without_first_space(name: str, text: str) -> str:
    """What SentencePiece can make of a text when it decodes."""
    return text.removeprefix(" ") if name in PUTS_A_SPACE_BEFORE else text


@each_real_tokenizer
def test_the_bytes_of_an_encoded_text_are_its_own(name: str) -> None:
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    for text in TEXTS.values():
        ids = tokenizer.encode(text, add_special_tokens=False)
        decoded = vocabulary.decode(np.array(ids))[0].decode()
        spaced = {f" {text}"} if name in PUTS_A_SPACE_BEFORE else set()
        assert decoded in {text} | spaced


@each_real_tokenizer
def test_any_split_of_a_text_has_its_bytes(name: str) -> None:
    # Into whichever ordinary tokens, single bytes of a character included.
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    added = added_ids(tokenizer)
    ids_of: dict[bytes, list[int]] = {}
    for id_, token in enumerate(vocabulary.tokens):
        if id_ not in added:
            ids_of.setdefault(token, []).append(id_)
    choose = random.Random(0)
    for text in [text for text in TEXTS.values() for _ in range(10)]:
        data, ids, position = text.encode(), [], 0
        while position < len(data):
            pieces = [data[position : position + length] for length in range(1, 12)]
            piece = choose.choice([piece for piece in pieces if piece in ids_of])
            ids.append(choose.choice(ids_of[piece]))
            position += len(piece)
        assert own_text(tokenizer, ids) in (text, without_first_space(name, text))
        assert vocabulary.response_text(ids) == text


@each_real_tokenizer
def test_any_ids_have_the_bytes_that_the_tokenizer_decodes_them_to(name: str) -> None:
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    known = set(tokenizer.get_vocab().values()) - added_ids(tokenizer) - {tokenizer.unk_token_id}
    # Single bytes that are no UTF-8 together come back as one or several replacements.
    byte = re.compile(rb"[\x80-\xff]")
    ordinary = sorted(id_ for id_ in known if not byte.fullmatch(vocabulary.tokens[id_]))
    choose = random.Random(0)
    for _ in range(20):
        ids = choose.choices(ordinary, k=1000)
        expected = without_first_space(name, vocabulary.response_text(ids))
        assert own_text(tokenizer, ids) == expected


@each_real_tokenizer
def test_every_id_of_the_vocabulary_has_bytes(name: str) -> None:
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    empty = {id_ for id_, token in enumerate(vocabulary.tokens) if not token}
    assert len(vocabulary.tokens) >= len(tokenizer)
    assert not empty & set(tokenizer.get_vocab().values())
    for id_ in tokenizer.all_special_ids:
        assert vocabulary.tokens[id_].decode() == tokenizer.convert_ids_to_tokens(id_)


@each_real_tokenizer
def test_ends_of_turn(name: str) -> None:
    vocabulary = real_vocabulary(name)
    assert {vocabulary.tokens[id_].decode() for id_ in vocabulary.end_ids} == ENDS[name]


@each_real_tokenizer
def test_a_response_is_read_without_its_end_and_padding(name: str) -> None:
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    ids = tokenizer.encode(TEXTS["call"], add_special_tokens=False)
    ended = [*ids, tokenizer.eos_token_id]
    padded = [*ended, *[tokenizer.pad_token_id] * 3]
    for response in (ids, ended, padded):
        text = vocabulary.response_text(response)
        assert without_first_space(name, text) == TEXTS["call"]


def test_the_ends_that_gpt_oss_has_in_its_own_syntax() -> None:
    tokenizer = REAL_TOKENIZERS["gptoss"]()
    vocabulary = Vocabulary.from_tokenizer(
        tokenizer, end_tokens=["<|call|>"], inner_tokens=["<|end|>"]
    )
    names = {vocabulary.tokens[id_].decode() for id_ in vocabulary.end_ids}
    assert names == {"<|return|>", "<|call|>", "<|endoftext|>"}


def test_what_is_text_in_gemma_although_its_tokens_are_added() -> None:
    tokenizer, vocabulary = REAL_TOKENIZERS["gemma3"](), real_vocabulary("gemma3")
    ids = tokenizer.get_vocab()
    assert vocabulary.tokens[ids["▁▁▁▁"]] == b"    "
    assert vocabulary.tokens[ids["</s>"]] == b"</s>"
    assert ids["</s>"] not in vocabulary.end_ids  # HTML


def test_a_byte_level_vocabulary_in_the_class_of_another_kind(tmp_path: Path) -> None:
    # Without a model type, transformers makes a Llama tokenizer of DeepSeek's files, in which
    # nothing of the byte level is left but the vocabulary.
    from transformers import AutoTokenizer

    expected = real_vocabulary("deepseek_v3")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(CACHE / "deepseek_v3" / file, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert b"ByteLevel" not in tokenizer.backend_tokenizer.decoder.__getstate__()
    assert Vocabulary.from_tokenizer(tokenizer).tokens == expected.tokens


@pytest.mark.parametrize("name", [n for n in REAL_TOKENIZERS if n.startswith("mistral")])
def test_transformers_wraps_mistral_common(name: str) -> None:
    # Else the tests above would be of another kind of tokenizer.
    assert type(REAL_TOKENIZERS[name]()).__name__.startswith("MistralCommon")
