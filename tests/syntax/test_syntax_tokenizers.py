"""Regions and calls do not depend on how a tokenizer splits an answer, in any syntax.

The labeler decodes only the tokens that can matter; what it gives is compared with the regions of
all bytes, counted token by token (tests/support/byte_regions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from answers import some_plan
from argument_values import OWN_TAGS, TOOLS
from byte_regions import regions_of_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from real_tokenizers import (
    PUTS_A_SPACE_BEFORE,
    REAL_TOKENIZERS,
    each_real_tokenizer,
    real_vocabulary,
)
from syntax_checks import mutated
from toy_tokenizers import BytesTokenizer

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

CALLS = [
    ToolCall("get_weather", {"city": "Zürich ☂ 漢字", "days": [1, {"a": [None, -2.5]}]}),
    ToolCall("f", {}),
    ToolCall(
        "search.flights", {"city": 'it\'s "so"\\ \n[x]', "metric": True, "options": {"n": {}}}
    ),
]
THOUGHT = "The user wants Zürich's weather 🦊.\nSo I call it."
OWN_TOKENIZERS = {
    "deepseek_v4": "deepseek_v3",
    "gemma4": "gemma3",
    "gpt-oss": "gptoss",
    "hermes": "qwen3",
    "llama3_json": "llama3_1",
    "mistral": "mistral_tekken",
    "qwen3_coder": "qwen3_6",
}
"""What models that write a syntax have, or the nearest to it."""


def messages(name: str) -> list[str]:
    """Answers with one call, several, none, with a thought and with tags in a string."""
    syntax = get_syntax(name)
    tag = OWN_TAGS[name][-1] if name != "gemma4" else "<tool_call|>"
    quoted = ToolCall("f", {"city": f"a {tag} b"})
    return [
        syntax.write(CALLS[:1]),
        syntax.write(CALLS, think=THOUGHT),
        syntax.write([quoted, *CALLS], "Let me see.", think=THOUGHT),
        syntax.write([], "It rains. <b>", think=THOUGHT),
        syntax.write(CALLS, think=THOUGHT)[:-30],
    ]


def check(name: str, tokens: Sequence[bytes]) -> None:
    """The calls of the text come back, and each token has the region of most of its bytes."""
    table = BytesTokenizer(dict.fromkeys(tokens))
    ids = [table.get_vocab()[token] for token in tokens]
    syntax = get_syntax(name)
    regions = RegionLabeler(table, syntax).label(ids, prompt=[]).tolist()
    assert regions == regions_of_tokens(syntax, tokens, think_is_open=False)
    text = b"".join(tokens).decode()
    reading = MessageReader(table, syntax).read(ids, [], TOOLS)
    assert reading._replace(foreign="") == syntax.read(text, think_is_open=False, tools=TOOLS)


# Real tokenizers


@each_real_tokenizer
def test_real_tokenizers(name: str) -> None:
    # A labeler takes of a tokenizer its table of bytes, which tests/algorithm/
    # test_real_tokenizers.py looks at: here it holds the tokens of the answer alone.
    tokenizer, vocabulary = REAL_TOKENIZERS[name](), real_vocabulary(name)
    pieces = {token for token in vocabulary.tokens if token}
    rng = Random(name)
    for syntax in syntax_names():
        for message in messages(syntax):
            ids = tokenizer.encode(message, add_special_tokens=False)
            tokens = [vocabulary.tokens[id_] for id_ in ids]
            before = {b" ", b""} if name in PUTS_A_SPACE_BEFORE else {b""}
            assert b"".join(tokens).removesuffix(message.encode()) in before
            check(syntax, tokens)
            for longest in (1, 4, 12):
                check(syntax, some_split(rng, message.encode(), pieces, longest))


def some_split(rng: Random, data: bytes, pieces: set[bytes], longest: int) -> list[bytes]:
    """The text in any pieces that the vocabulary has, all of at most that length."""
    tokens, position = [], 0
    while position < len(data):
        ends = range(position + 1, min(len(data), position + longest) + 1)
        token = rng.choice([data[position:end] for end in ends if data[position:end] in pieces])
        tokens.append(token)
        position += len(token)
    return tokens


@pytest.mark.parametrize("name", OWN_TOKENIZERS)
def test_the_model_s_own_tokenizer(name: str) -> None:
    # With its whole table: tags that are tokens, and the token that ends a turn.
    tokenizer = REAL_TOKENIZERS[OWN_TOKENIZERS[name]]()
    syntax = get_syntax(name)
    labeler, reader = RegionLabeler(tokenizer, syntax), MessageReader(tokenizer, syntax)
    vocabulary = labeler.vocabulary
    end = min(vocabulary.end_ids)
    for message in messages(name):
        ids = tokenizer.encode(message, add_special_tokens=False)
        tokens = [vocabulary.tokens[id_] for id_ in ids]
        expected = regions_of_tokens(syntax, tokens, think_is_open=False)
        if not vocabulary.end_ids & set(ids):  # each of which ends what is read
            assert labeler.label([*ids, end], prompt=[]).tolist() == [*expected, Region.FORMAT]
        whole = syntax.read(message, think_is_open=False, tools=TOOLS)
        assert reader.read([*ids, end], [], TOOLS) == whole


# Any tokens


@pytest.mark.parametrize("name", syntax_names())
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_any_split(name: str, seed: int, data: st.DataObject) -> None:
    rng = Random(seed)
    pieces = [*OWN_TAGS[name], *(tag[:-1] for tag in OWN_TAGS[name]), '"', "\\", "}", "<", "\n"]
    message = data.draw(
        st.builds(lambda: some_plan(rng, name).message) | mutated(name, pieces), label="message"
    )
    text = message.encode("utf-8", "replace")
    longest = rng.choice((1, 3, 8, 40))
    prompts = rng.choice((None, [], [0]))
    tokens = []
    while text:
        length = rng.randrange(longest) + 1
        tokens.append(text[:length])
        text = text[length:]
    syntax = get_syntax(name)
    table = BytesTokenizer(dict.fromkeys([syntax.think[0], *tokens]))
    ids = np.array([table.get_vocab()[token] for token in tokens], dtype=np.int64)
    is_open = None if prompts is None else bool(prompts)
    regions = RegionLabeler(table, syntax).label(ids, prompt=prompts).tolist()
    assert regions == regions_of_tokens(syntax, tokens, is_open)
