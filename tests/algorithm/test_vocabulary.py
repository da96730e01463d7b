"""The id -> bytes table, against each kind of tokenizer's own decoding."""

from itertools import pairwise

import numpy as np
import pytest
import toy_tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rest_verl.algorithm.vocabulary import Vocabulary

TEXTS = [
    toy_tokenizers.SAMPLE,
    "  two  spaces, a\ttab\r\nand 漢字 🦊 \u00a0\u00ad\x00\x7f",
    "<tool_call>▁<0x41></tool_call>",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("added", [(), ("<think>", "<tool_call>", "</tool_call>")])
def test_byte_level_ids_give_the_text_back(text: str, added: tuple[str, ...]) -> None:
    tokenizer = toy_tokenizers.byte_level(added)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    ids = np.array(tokenizer(text)["input_ids"])
    decoded, offset = vocabulary.decode(ids)
    assert decoded == text.encode()
    assert [decoded[a:b] for a, b in pairwise(offset)] == [vocabulary.tokens[id_] for id_ in ids]


def test_sentencepiece_spaces_and_fallback_bytes() -> None:
    tokenizer = toy_tokenizers.sentencepiece()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    text = toy_tokenizers.SAMPLE + " 漢\n"
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert vocabulary.decode(ids)[0] == text.encode()
    token_id = tokenizer.get_vocab()
    assert vocabulary.tokens[token_id["▁th"]] == b" th"
    assert vocabulary.tokens[token_id["<0x0A>"]] == b"\n"
    assert vocabulary.tokens[token_id["<0xE6>"]] == b"\xe6"
    assert vocabulary.tokens[token_id["</s>"]] == b"</s>"


def test_metaspace_without_fallback() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -1.0)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    vocabulary = Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    assert vocabulary.tokens == (b"<unk>", b" a", b"b")


def test_a_tokenizer_without_decoder_is_known_by_its_pre_tokenizer() -> None:
    tokenizer = Tokenizer(models.BPE(vocab={"Ġ": 0, "Ċ": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    vocabulary = Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    assert vocabulary.tokens == (b" ", b"\n")


@pytest.mark.parametrize(
    ("attribute", "token", "expected"),
    [
        ("byte_decoder", "Ġaé", b" a\xe9"),  # é stands for the byte 0xE9
        ("byte_decoder", "漢", "漢".encode()),  # outside the byte alphabet: literal
        ("sp_model", "▁a", b" a"),
        ("sp_model", "<0x3c>", b"<"),
        ("neither", "▁<0x41>", "▁<0x41>".encode()),
    ],
)
def test_tokenizers_written_in_python(attribute: str, token: str, expected: bytes) -> None:
    class Slow:
        eos_token_id = None

        def get_vocab(self) -> dict[str, int]:
            return {token: 0}

    slow = Slow()
    setattr(slow, attribute, {})
    assert Vocabulary.from_tokenizer(slow).tokens == (expected,)


def test_added_tokens_are_literal_text() -> None:
    # In the byte alphabet "Ġ" would be a space.
    tokenizer = toy_tokenizers.byte_level(added=("Ġ<tool_call>",))
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.tokens[tokenizer.get_vocab()["Ġ<tool_call>"]] == "Ġ<tool_call>".encode()


def test_ids_outside_the_vocabulary_have_no_bytes() -> None:
    vocabulary = Vocabulary.from_tokenizer(toy_tokenizers.BytesTokenizer([b"ab", b"c"]))
    ids = np.array([-(2**63), -1, 0, 1, 2, 3, 2**63 - 1])
    clipped = vocabulary.clip(ids)
    assert clipped.tolist() == [2, 2, 0, 1, 2, 2, 2]
    assert vocabulary.decode(clipped)[0] == b"abc"


def test_missing_ids_have_no_bytes() -> None:
    tokenizer = toy_tokenizers.BytesTokenizer([b"a"])
    tokenizer.get_vocab()[b"d"] = 3
    assert Vocabulary.from_tokenizer(tokenizer).tokens == (b"a", b"", b"", b"d")


def test_end_of_turn_and_padding_ids() -> None:
    tokenizer = toy_tokenizers.byte_level()
    ids = tokenizer.get_vocab()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.end_ids == {ids["<|endoftext|>"], ids["<|im_end|>"]}
    assert vocabulary.pad_id == ids["<pad>"]
    tokenizer.pad_token = "<|im_end|>"
    assert Vocabulary.from_tokenizer(tokenizer).pad_id is None


def test_a_name_ends_a_turn_only_where_it_is_a_special_token() -> None:
    tokenizer = toy_tokenizers.byte_level(added=("</s>", "<|end|>"))  # ordinary ones
    tokenizer.add_tokens([AddedToken("<|eot_id|>", special=True)])
    ids = tokenizer.get_vocab()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.end_ids == {ids[t] for t in ("<|endoftext|>", "<|im_end|>", "<|eot_id|>")}
    tokenizer.eos_token = "</s>"
    assert ids["</s>"] in Vocabulary.from_tokenizer(tokenizer).end_ids


def test_ends_of_turn_that_a_syntax_and_a_model_name() -> None:
    tokenizer = toy_tokenizers.byte_level(added=("<|call|>", "<|user|>"))
    ids = tokenizer.get_vocab()

    def ends(**names: object) -> set[str]:
        vocabulary = Vocabulary.from_tokenizer(tokenizer, **names)
        return {vocabulary.tokens[id_].decode() for id_ in vocabulary.end_ids}

    generic = {"<|endoftext|>", "<|im_end|>"}
    # Only added tokens can be named: "a" is a token as well.
    assert ends(end_tokens=["<|call|>", "a", "<|no such token|>"]) == generic | {"<|call|>"}
    assert ends(inner_tokens=["<|endoftext|>"]) == {"<|im_end|>"}
    assert ends(end_tokens=["<|call|>"], inner_tokens=["<|call|>"]) == generic
    # The tokenizer's eos and the model's own ids stay ends, whatever a syntax says.
    assert ends(inner_tokens=["<|im_end|>", "<|endoftext|>"]) == {"<|im_end|>"}
    assert ends(inner_tokens=["<|user|>"], end_ids=[ids["<|user|>"]]) == generic | {"<|user|>"}
    assert ends(end_ids=[ids["<|call|>"], 10**6, -1]) == generic | {"<|call|>"}


def test_padding_that_a_model_names_as_an_end_is_no_padding() -> None:
    tokenizer = toy_tokenizers.byte_level()
    vocabulary = Vocabulary.from_tokenizer(tokenizer, end_ids=[tokenizer.pad_token_id])
    assert vocabulary.pad_id is None


def test_added_pieces_of_a_sentencepiece_vocabulary() -> None:
    tokenizer = toy_tokenizers.sentencepiece()
    tokenizer.add_tokens([AddedToken("▁▁", special=False, normalized=False)])
    tokenizer.add_tokens([AddedToken("<｜a▁tag｜>", special=True, normalized=False)])
    ids = tokenizer.get_vocab()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.tokens[ids["▁▁"]] == b"  "
    assert vocabulary.tokens[ids["<｜a▁tag｜>"]] == "<｜a▁tag｜>".encode()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["<|im_end|>"], ""),
        (["a", "b"], "ab"),  # cut off
        (["a", "b", "<|im_end|>"], "ab"),
        (["a", "<|im_end|>", "<pad>", "<pad>"], "a"),
        (["a", "<|im_end|>", "<|endoftext|>", "<|endoftext|>"], "a"),  # padded with an end
        (["a", "<pad>"], "a"),
        (["<pad>", "a"], "<pad>a"),
        (["a", "<|im_end|>", "b"], "a<|im_end|>b"),  # never hidden where something follows
        (["Ã", "©"], "é"),  # a character in two tokens
        (["a", "Ã", "<|im_end|>"], "a\ufffd"),
    ],
)
def test_text_of_a_response(names: list[str], expected: str) -> None:
    tokenizer = toy_tokenizers.byte_level()
    ids = [tokenizer.get_vocab()[name] for name in names]
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.response_text(ids) == expected
    assert vocabulary.response_text(np.array(ids, dtype=np.int32)) == expected


def test_an_id_outside_the_vocabulary_is_no_text_of_a_response() -> None:
    vocabulary = Vocabulary.from_tokenizer(toy_tokenizers.BytesTokenizer([b"ab", b"c"]))
    assert vocabulary.response_text([0, 7, 1, -1]) == "abc"
