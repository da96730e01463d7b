"""The rules of labelling as a table of responses, read by bytes and by every kind of tokenizer."""

from __future__ import annotations

import pytest
from labelers import LABELERS, A, F, K, N, X, byte_regions
from reference_labels import Reference, token_region

from rest_verl.algorithm.regions import Region

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


@pytest.mark.parametrize("pieces", CASES.values(), ids=CASES.keys())
def test_rules(pieces: Pieces) -> None:
    text = "".join(piece for piece, _ in pieces).encode()
    expected = [region for piece, region in pieces for _ in piece.encode()]
    assert byte_regions(text) == expected
    assert Reference(text).labels == expected  # the oracle of the other tests obeys them too


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
