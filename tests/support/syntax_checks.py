"""What holds for every syntax, whatever the message."""

from __future__ import annotations

import json
from itertools import groupby

from hypothesis import strategies as st

from rest_verl.syntax import Outline, Reading, Region, ToolCall, get_syntax

LETTERS = dict(zip("FNATx", Region, strict=True))
"""Regions in the tests' notation: Format, Name, Args, Think, and x for text."""


def parts(name: str, message: str | bytes, think: bool | None = None) -> list[tuple[str, str]]:
    """(letter, text) of each stretch of one region."""
    data = message if isinstance(message, bytes) else message.encode()
    outline = Outline()
    get_syntax(name).scan(data, 0, len(data), outline, think)
    assert outline.starts[0] == 0
    assert outline.starts == sorted(outline.starts)
    assert outline.starts[-1] <= len(data)
    letter = {region: letter for letter, region in LETTERS.items()}
    ends = [*outline.starts[1:], len(data)]
    pieces = zip(outline.regions, outline.starts, ends, strict=True)
    filled = [(letter[Region(region)], data[a:b]) for region, a, b in pieces if a < b]
    return [
        (region, b"".join(piece for _, piece in group).decode("utf-8", "replace"))
        for region, group in groupby(filled, lambda part: part[0])
    ]


def check_any(name: str, message: str | bytes) -> None:
    """Reading any bytes raises nothing, depends on nothing around them, and agrees with their
    regions."""
    syntax = get_syntax(name)
    data = message if isinstance(message, bytes) else message.encode("utf-8", "surrogatepass")
    for think in (None, True, False):
        reading = syntax.read(data, think_is_open=think)
        regions = parts(name, data, think)
        check_agreement(reading, regions)
        outline = Outline()
        around = b'{"[f(x' + data + b'"}<|end|>'
        syntax.scan(around, 6, 6 + len(data), outline, think)
        alone = Outline()
        syntax.scan(data, 0, len(data), alone, think)
        assert [start - 6 for start in outline.starts] == alone.starts
        assert outline.regions == alone.regions
        assert outline.letters == alone.letters


def check_agreement(reading: Reading, regions: list[tuple[str, str]]) -> None:
    """Names are those of the calls, and whole calls have whole regions."""
    if not reading.well_formed:
        return
    written = [text for letter, text in regions if letter == "N"]
    names = [call.name for call in reading.calls if call.name]
    assert written == names or [json.loads(f'"{name}"') for name in written] == names
    if reading.calls:
        assert "C" in reading.structure
        assert "c" in reading.structure


def check_cuts(name: str, message: str, think: bool | None = None) -> list[str]:
    """A whole message cut off anywhere keeps the regions of what is left of its whole calls, and
    makes up none. Returns the structures."""
    data = message.encode()
    whole = get_syntax(name).read(data, think_is_open=think)
    assert whole.well_formed
    structures = []
    for cut in range(len(data)):
        check_any(name, data[:cut])
        reading = get_syntax(name).read(data[:cut], think_is_open=think)
        assert reading.calls == whole.calls[: len(reading.calls)]
        if "C" in reading.structure and reading.structure.count("c") < reading.structure.count("C"):
            assert not reading.well_formed
        structures.append(reading.structure)
    return structures


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_IDENTIFIERS = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
_NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}(\.[a-z]{1,3})?", fullmatch=True)


def some_calls(keys: st.SearchStrategy[str] = _IDENTIFIERS) -> st.SearchStrategy[list[ToolCall]]:
    """Calls with any JSON in their arguments."""
    call = st.builds(ToolCall, _NAMES, st.dictionaries(keys, _VALUES, max_size=3), st.none())
    return st.lists(call, max_size=3)


def without_ids(calls: list[ToolCall]) -> list[ToolCall]:
    return [call._replace(id=None) for call in calls]


def mutated(name: str, pieces: list[str]) -> st.SearchStrategy[str]:
    """Messages with calls in which pieces are put in, and characters left out."""
    syntax = get_syntax(name)
    calls = [ToolCall("f", {"a": 1, "b": 'x" }]'}), ToolCall("g", {}), ToolCall("h", {"l": [[]]})]
    wholes = [syntax.write(calls[:n], think=think) for n in range(4) for think in (None, "hm")]
    change = st.tuples(st.integers(0, 300), st.integers(0, 5), st.sampled_from(["", *pieces]))

    def change_all(whole: str, changes: list[tuple[int, int, str]]) -> str:
        for position, length, piece in changes:
            position %= len(whole) + 1
            whole = whole[:position] + piece + whole[position + length :]
        return whole

    return st.builds(change_all, st.sampled_from(wholes), st.lists(change, max_size=5))
