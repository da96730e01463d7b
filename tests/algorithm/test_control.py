"""Control tokens: which they are, in every syntax and however a tag is cut up; their means."""

import numpy as np
import pytest
import torch
from toy_tokenizers import BytesTokenizer, one_byte_per_token

from rest_verl.algorithm.control import Control, ControlLabeler, control_statistics
from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.syntax import ToolCall, get_syntax, syntax_names

CALLS = [ToolCall("get_weather", {"city": "Oslo", "tags": [{"a": [1]}]}), ToolCall("get_time", {})]
OPENINGS = {
    "toolrl": ["<tool_call>"],  # one block for both calls
    "hermes": ["<tool_call>"] * 2,
    "qwen3_coder": ["<tool_call>"] * 2,
    "glm": ["<tool_call>"] * 2,
    "gpt-oss": [" to="] * 2,
    "seed": ["<seed:tool_call>"] * 2,
    "minimax": ["<minimax:tool_call>"],
    "kimi": ["<|tool_calls_section_begin|>"],
    "deepseek_v4": ["<｜DSML｜tool_calls>"],
    "gemma4": ["<|tool_call>"] * 2,
    "llama3_json": ['{"name"'] * 2,
    "mistral": ["[TOOL_CALLS]"] * 2,
    "pythonic": ["["],
}


def labelers(tokenizer, syntax="toolrl", **ends):
    regions = RegionLabeler(tokenizer, syntax, **ends)
    return regions, ControlLabeler(regions.vocabulary, regions.syntax)


def controls(tokenizer, rows, mask=None, **settings) -> list[list[int]]:
    regions, labeler = labelers(tokenizer, **settings)
    ids = np.array(rows)
    return labeler.label(ids, regions.label_batch(ids, mask)).tolist()


def test_every_syntax_has_its_openings() -> None:
    assert set(OPENINGS) == set(syntax_names())


@pytest.mark.parametrize("name", OPENINGS)
def test_openings_and_names(name: str) -> None:
    text = get_syntax(name).write(CALLS, think="a [tool] { to=b.").encode()
    (found,) = controls(one_byte_per_token(), [list(text)], syntax=name)
    opened = [text[place:] for place, kind in enumerate(found) if kind == Control.CALL]
    assert len(opened) == len(OPENINGS[name])
    for rest, opening in zip(opened, OPENINGS[name], strict=True):
        assert rest.startswith(opening.encode())
    named = [text[place] for place, kind in enumerate(found) if kind == Control.NAME]
    assert bytes(named) == b"get_weatherget_time"


C, N, E = Control.CALL, Control.NAME, Control.END
REST = [(b'\n{"name": "', 0), (b"f", N), (b'", "parameters": {}}\n', 0), (b"</tool_call>", 0)]


@pytest.mark.parametrize(
    ("syntax", "tokens"),
    [
        pytest.param("toolrl", [(b"<tool_call>", C), *REST], id="one token"),
        pytest.param("toolrl", [(b"<tool", C), (b"_", 0), (b"call>", 0), *REST], id="three"),
        pytest.param(
            "toolrl",
            [
                (b"<think>", 0),
                (b"a", 0),
                (b"</think", 0),
                (b">\n", 0),
                (b"<tool", C),
                (b"_call>", 0),
                *REST,
            ],
            id="right behind another tag",
        ),
        pytest.param("toolrl", [(b"so: <", C), (b"tool_call>", 0), *REST], id="within text"),
        pytest.param(
            "toolrl",
            [(b"<think>", 0), (b"<tool_call>", 0), (b"</think>", 0), (b" off", 0)],
            id="in a thought",
        ),
        pytest.param("toolrl", [(b"<tool_", 0), (b"off", 0)], id="no tag"),
        pytest.param("pythonic", [(b"[get", C), (b"_it", N), (b"(", 0), (b")]", 0)], id="and name"),
    ],
)
def test_tags_that_tokens_cut_up(syntax: str, tokens: list[tuple[bytes, int]]) -> None:
    texts, expected = zip(*tokens, strict=True)
    (found,) = controls(BytesTokenizer(texts), [range(len(texts))], syntax=syntax)
    assert found == list(expected)


def test_ends_of_messages() -> None:
    """An id that ends a message does so where it was sampled, in each row and each run."""
    end, texts = 2, [b"a", b"b", b"<end>"]
    rows, mask = [[0, end, 1, end], [1, 0, 1, 0]], [[1, 1, 0, 0], [1, 1, 1, 1]]
    settings = {"mask": np.array(mask), "end_ids": [end]}
    assert controls(BytesTokenizer(texts), rows, **settings) == [[0, E, 0, 0], [0, 0, 0, 0]]
    regions, _ = labelers(BytesTokenizer([*texts, b"</tool_call>"]))
    stopping = ControlLabeler(regions.vocabulary, regions.syntax, end_ids=[3])
    assert stopping.label(
        np.array([[0, 3]]), np.array([[Region.TEXT, Region.FORMAT]])
    ).tolist() == [[0, E]]


def test_rows_are_read_apart() -> None:
    """The end of one row and the start of the next make no tag together."""
    texts = [b"<tool", b"_call>"]
    _, labeler = labelers(BytesTokenizer(texts))
    ids, format_only = np.array([[0, 0], [1, 1]]), np.zeros((2, 2), dtype=np.int8)
    assert not labeler.label(ids, format_only).any()
    assert labeler.label(np.array([[0, 1]]), format_only[:1]).tolist() == [[C, 0]]
    assert labeler.label(np.zeros((2, 0), dtype=int), np.zeros((2, 0), dtype=np.int8)).size == 0


def test_means_by_hand() -> None:
    kinds = [[C, N, N, 0, E], [C, 0, 0, 0, 0]]
    values = torch.tensor([[0.5, 0.2, 0.4, 9.0, 1.0], [0.25, 9.0, 9.0, 9.0, 9.0]])
    found = control_statistics(np.array(kinds, dtype=np.int8), {"probability": values})
    assert found == pytest.approx(
        {
            "rest/control/probability/call": 0.375,
            "rest/control/probability/name": 0.3,
            "rest/control/probability/end": 1.0,
        }
    )
    none_ends = control_statistics(np.array(kinds[1:]), {"entropy": values[1:]})
    assert none_ends == {"rest/control/entropy/call": 0.25}
