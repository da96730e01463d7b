"""Labels of tokens: the rules by hand, against a byte-by-byte reference, and on real responses."""

from __future__ import annotations

import json
import pickle
import random
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_labels import Reference, token_region

from rest_verl.algorithm.regions import Region, RegionLabeler

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
SFT_FILE = Path(__file__).parents[3] / "shared/data/rlla/rlla_sft.json"

ONE_BYTE = RegionLabeler(toy_tokenizers.one_byte_per_token())
BYTE_LEVEL_TOKENIZER = toy_tokenizers.byte_level()
LABELERS = {
    "byte-level": (BYTE_LEVEL_TOKENIZER, RegionLabeler(BYTE_LEVEL_TOKENIZER)),
    "single-token tags": (added := toy_tokenizers.byte_level(TAGS), RegionLabeler(added)),
    "sentencepiece": (pieces := toy_tokenizers.sentencepiece(), RegionLabeler(pieces)),
}

Pieces = list[tuple[str, Region]]
CALL: Pieces = [('{"name": "', F), ("f", N), ('", "arguments": ', F), ('{"x": 1}', A), ("}", F)]

CASES: dict[str, Pieces] = {
    "nothing": [],
    "text alone": [("hello < world", X)],
    "think, call": [
        ("<think>", F), (" why \n", K), ("</think>", F), ("\n", X),
        ("<tool_call>\n", F), *CALL, ("\n</tool_call>", F),
    ],
    "think, response": [
        ("<think>", F), ("a", K), ("</think>", F), ("\n", X), ("<response>", F), ("hi", X),
        ("</response>", F),
    ],
    "several calls, one a line": [
        ("<tool_call>\n", F), *CALL, ("\n", F), *CALL, ("\n</tool_call>", F),
    ],
    "several calls, a JSON list": [
        ("<tool_call>[", F), *CALL, (", ", F), *CALL, ("]</tool_call>", F),
    ],
    "several blocks": [
        ("<tool_call>", F), *CALL, ("</tool_call>", F), (" and ", X), ("<tool_call>", F), *CALL,
        ("</tool_call>", F),
    ],
    "ToolRL's key; arguments first": [
        ('<tool_call>{"parameters":', F), ("[]", A), (',"name":"', F), ("é", N),
        ('"}</tool_call>', F),
    ],
    "both keys twice: all of them count": [
        ('<tool_call>{"name":"', F), ("f", N), ('","name":"', F), ("g", N), ('","arguments":', F),
        ("{}", A), (',"parameters":', F), ("{}", A), ("}</tool_call>", F),
    ],
    "keys of the call inside the arguments do not count": [
        ('<tool_call>{"arguments":', F), ('{"name": "g", "arguments": {"name": "h"}}', A),
        (', "name": "', F), ("f", N), ('"}</tool_call>', F),
    ],
    "brackets and quotes inside strings": [
        ('<tool_call>{"name": "', F), (r"a\"}{", N), ('", "arguments": ', F),
        (r'{"x": "}]\"{\\", "y": "{"}', A), ("}</tool_call>", F),
    ],
    "arguments as a string, number, literal": [
        ('<tool_call>{"arguments": ', F), (r'"{\"x\": 1}"', A), (', "parameters" : ', F),
        ("-1.5e3", A), (',"arguments":', F), ("null", A), ("}</tool_call>", F),
    ],
    "other keys and their values, and a name that is no string, are text": [
        ("<tool_call>{", F), ('"id"', X), (": ", F), ('{"name": "x"}', X), (", ", F), ('"n"', X),
        (":", F), ("7", X), (', "name": ', F), ("null", X), ("}</tool_call>", F),
    ],
    "whitespace anywhere": [
        ("<tool_call> \r\n\t{ \n", F), ('"name" : "', F), ("f", N), ('" , "arguments"\n:\n', F),
        ("{ \n }", A), (" \n } \n</tool_call>", F),
    ],
    "missing and trailing commas": [
        ('<tool_call>{"name": "', F), ("f", N), ('" "arguments": ', F), ("{}", A),
        (",,}</tool_call>", F),
    ],
    "a tag quoted in a think does not count": [
        ("<think>", F), ("write <tool_call>{\"name\": \"f\"} and <think>", K), ("</think>", F),
        ("<tool_call>", F), *CALL, ("</tool_call>", F),
    ],
    "a tag quoted in a closed response does not count": [
        ("<response>", F), ("use <think> or <tool_call>", X), ("</response>", F),
    ],
    "tags count after a response that is never closed": [
        ("<response>", F), ("hi", X), ("<tool_call>", F), *CALL, ("</tool_call>", F),
    ],
    "a tag quoted in a string of the arguments does not count": [
        ('<tool_call>{"arguments": ', F), ('{"</think>": "</tool_call>", "y": "<think>" }', A),
        (', "name": "', F), ("<tool_call>", N), ('"}</tool_call>', F),
    ],
    "a tag in a string that does not go on as JSON ends the call": [
        ('<tool_call>{"arguments": ', F), ('{"x": "a}}', A), ("</tool_call>", F), ("\n", X),
        ("<tool_call>", F), *CALL, ("</tool_call>", F),
    ],
    "the prompt opened the think": [
        ("hm", K), ("</think>", F), ("<tool_call>", F), *CALL, ("</tool_call>", F),
    ],
    "the prompt opened the think, in which a tag is quoted": [
        ("a <tool_call> or <response>", K), ("</think>", F), ("<response>", F), ("b", X),
        ("</response>", F),
    ],
    "a stray </think> after a call opens nothing": [
        ("<tool_call>", F), *CALL, ("</tool_call>", F), ("a", X), ("</think>", F), ("b", X),
    ],
    "only the first </think> can close the prompt's think": [
        ("a", K), ("</think>", F), ("b", X), ("</think>", F), ("c", X),
    ],
    "stray closing tags": [("a", X), ("</tool_call>", F), ("b", X), ("</response>", F), ("c", X)],
    "unclosed think": [("<think>", F), ("a <tool_call>{", K)],
    "unclosed name": [('<tool_call>{"name": "', F), ("get_w", N)],
    "unclosed name before a tag": [('<tool_call>{"name": "', F), ("get_w", N), ("</tool_call>", F)],
    "unclosed arguments": [
        ('<tool_call>{"name": "', F), ("f", N), ('", "arguments": ', F), ('{"x": ["y\\', A),
    ],
    "unclosed arguments before a tag": [
        ('<tool_call>{"arguments": ', F), ('{"x": [1\n', A), ("</tool_call>", F), ("b", X),
    ],
    "unclosed scalar": [('<tool_call>{"arguments": ', F), ("12", A)],
    "cut inside the scaffolding": [('<tool_call>{"name": "', F), ("f", N), ('" , ', F)],
    "cut inside a key": [('<tool_call>{"name": "', F), ("f", N), ('", ', F), ('"argu', X)],
    "cut behind a key": [('<tool_call>{"name"', F)],
    "cut behind a colon": [('<tool_call>{"arguments" : ', F)],
    "a cut tag is no tag": [("a<tool_call", X)],
    "a block without its opening": [('{"name": "f"}', X), ("</tool_call>", F)],
    "an unclosed block before another": [("<tool_call>\n", F), *CALL, ("\n<tool_call>", F), *CALL],
    "a block that is no JSON": [("<tool_call>", F), ("f(x=1)", X), ("</tool_call>", F)],
    "the remains of broken JSON are text up to the tag": [
        ('<tool_call>{"name": "', F), ("f", N), ('", ', F), ('oops, "arguments": {}}\n', X),
        ("</tool_call>", F),
    ],
    "a brace that opens a line begins the next call": [
        ("<tool_call>\n{", F), ("oops}", X), ("\n", X), *CALL, ("\n</tool_call>", F),
    ],
    "a call without its closing brace": [
        ("<tool_call>\n", F), *CALL[:-1], ("\n", F), *CALL, ("\n</tool_call>", F),
    ],
    "a missing value": [('<tool_call>{"name":', F), ("}", X), ("</tool_call>", F)],
    "a missing colon": [('<tool_call>{"name" ', F), ('"f"}', X), ("</tool_call>", F)],
    "tags in capitals or with attributes are text": [("<Think> <think id=1> </ think>", X)],
}  # fmt: skip


def byte_regions(text: bytes) -> list[int]:
    return ONE_BYTE.label(np.frombuffer(text, dtype=np.uint8)).tolist()


@pytest.mark.parametrize("pieces", CASES.values(), ids=CASES.keys())
def test_rules(pieces: Pieces) -> None:
    text = "".join(piece for piece, _ in pieces).encode()
    expected = [region for piece, region in pieces for _ in piece.encode()]
    assert byte_regions(text) == expected
    assert Reference(text).labels == expected  # the oracle of the tests below obeys them too


@pytest.mark.parametrize("kind", LABELERS)
@pytest.mark.parametrize("pieces", CASES.values(), ids=CASES.keys())
def test_rules_hold_for_every_tokenizer(pieces: Pieces, kind: str) -> None:
    tokenizer, labeler = LABELERS[kind]
    text = "".join(piece for piece, _ in pieces)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    expected_bytes = [region for piece, region in pieces for _ in piece.encode()]
    expected, start = [], 0
    for id_ in ids:
        stop = start + len(labeler.vocabulary.tokens[id_])
        expected.append(token_region(expected_bytes[start:stop]))
        start = stop
    assert start == len(expected_bytes)
    assert labeler.label(ids).tolist() == expected


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


# Masks, turns, batches


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
    with pytest.raises(ValueError, match="integers"):
        ONE_BYTE.label([0.5])


def test_a_labeler_can_be_pickled() -> None:
    ids = list(b"<think>a</think>")
    assert pickle.loads(pickle.dumps(ONE_BYTE)).label(ids).tolist() == byte_regions(bytes(ids))


def test_ids_that_the_tokenizer_would_not_produce() -> None:
    tokenizer, labeler = LABELERS["single-token tags"]
    spelt = [i for tag in ("<think>", "a", "</think>") for i in map(ord, tag)]
    token_ids = tokenizer.get_vocab()
    ids = [token_ids[chr(byte)] for byte in spelt]
    assert tokenizer(tokenizer.decode(ids))["input_ids"] != ids
    assert labeler.label(ids).tolist() == [F] * 7 + [K] + [F] * 8


# Properties

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


# Real responses


@pytest.mark.skipif(not SFT_FILE.exists(), reason=f"needs ToolRL's rows: {SFT_FILE.name}")
@pytest.mark.parametrize("kind", ["bytes", "single-token tags"])
def test_every_call_of_real_responses(kind: str) -> None:
    outputs = [row["output"] for row in json.loads(SFT_FILE.read_text())]
    num_calls = 0
    for output in outputs:
        # All begin with a think; some quote tags in it.
        answer = output.index("</think>") + len("</think>")
        expected = [int(F)] * 7 + [int(K)] * (answer - 15) + [int(F)] * 8
        expected += [int(X)] * (len(output) - answer)
        for tag in re.compile("|".join(TAGS[2:])).finditer(output, answer):
            expected[tag.start() : tag.end()] = [F] * len(tag[0])
        block_pattern = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
        for block in block_pattern.finditer(output, answer):
            expected[block.start(1) : block.end(1)] = [F] * len(block[1])
            for line in re.finditer(r"\{.*\}", block[1]):
                start = block.start(1) + line.start()
                # The rows are written in one style, so json's own text is found again.
                call = json.loads(line[0])
                head = f'{{"name": {json.dumps(call["name"], ensure_ascii=False)}, "parameters": '
                assert output.startswith(head, start)
                value, length = json.JSONDecoder().raw_decode(output[start + len(head) :])
                assert value == call["parameters"]
                name_end = output.index('", "parameters": ', start)
                expected[start + 10 : name_end] = [N] * (name_end - start - 10)
                begin = start + len(head)
                expected[begin : begin + length] = [A] * length
                num_calls += 1
        expected_bytes = [
            r for c, r in zip(output, expected, strict=True) for _ in c.encode()
        ]  # fmt: skip
        if kind == "bytes":
            assert byte_regions(output.encode()) == expected_bytes
            continue
        tokenizer, labeler = LABELERS[kind]
        ids = tokenizer(output)["input_ids"]
        bounds = np.cumsum([0, *(len(labeler.vocabulary.tokens[id_]) for id_ in ids)])
        assert labeler.label(ids).tolist() == [
            token_region(expected_bytes[a:b]) for a, b in pairwise(bounds)
        ]
    assert num_calls > len(outputs) / 2
