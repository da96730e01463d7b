"""The five XML-like syntaxes: which bytes are what."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xml_dialects import DIALECTS, TOOLS, plain_text, typed_calls

from rest_verl.syntax import Outline, Region, ToolCall, get_syntax

every_syntax = pytest.mark.parametrize("name", DIALECTS)
THINK, TEXT, FORMAT, NAME, ARGS = (
    Region.THINK,
    Region.TEXT,
    Region.FORMAT,
    Region.NAME,
    Region.ARGS,
)


def segments(name: str, text: str | bytes, think: bool | None = None) -> list[tuple[str, Region]]:
    data = text if isinstance(text, bytes) else text.encode()
    outline = Outline()
    get_syntax(name).scan(data, 0, len(data), outline, think)
    ends = [*outline.starts[1:], len(data)]
    if data:
        assert outline.starts[0] == 0
        assert outline.starts == sorted(outline.starts)
        assert outline.starts[-1] <= len(data)
    return [
        (data[start:end].decode("utf-8", "replace"), Region(region))
        for start, end, region in zip(outline.starts, ends, outline.regions, strict=True)
        if start < end
    ]


def of_region(parts: list[tuple[str, Region]], region: Region) -> list[str]:
    return [text for text, its in parts if its is region]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "qwen3_coder",
            [
                ("<think>", FORMAT),
                ("\nhm\n", THINK),
                ("</think>", FORMAT),
                ("\n\nHi\n\n", TEXT),
                ("<tool_call>\n<function=", FORMAT),
                ("f", NAME),
                (">\n<parameter=", FORMAT),
                ("a", ARGS),
                (">\n", FORMAT),
                ("Oslo", ARGS),
                ("\n</parameter>\n</function>\n", FORMAT),
                ("</tool_call>", FORMAT),
            ],
        ),
        (
            "seed",
            [
                ("<seed:think>", FORMAT),
                ("hm", THINK),
                ("</seed:think>", FORMAT),
                ("\nHi\n\n", TEXT),
                ("<seed:tool_call>\n<function=", FORMAT),
                ("f", NAME),
                (">\n<parameter=", FORMAT),
                ("a", ARGS),
                (">", FORMAT),
                ("Oslo", ARGS),
                ("</parameter>\n</function>\n", FORMAT),
                ("</seed:tool_call>", FORMAT),
            ],
        ),
        (
            "minimax",
            [
                ("<think>", FORMAT),
                ("\nhm\n", THINK),
                ("</think>", FORMAT),
                ("\n\nHi\n", TEXT),
                ('<minimax:tool_call>\n<invoke name="', FORMAT),
                ("f", NAME),
                ('">\n<parameter name="', FORMAT),
                ("a", ARGS),
                ('">', FORMAT),
                ("Oslo", ARGS),
                ("</parameter>\n</invoke>\n", FORMAT),
                ("</minimax:tool_call>", FORMAT),
            ],
        ),
        (
            "deepseek_v4",
            [
                ("<think>", FORMAT),
                ("hm", THINK),
                ("</think>", FORMAT),
                ("Hi\n\n", TEXT),
                ('<｜DSML｜tool_calls>\n<｜DSML｜invoke name="', FORMAT),
                ("f", NAME),
                ('">\n<｜DSML｜parameter name="', FORMAT),
                ("a", ARGS),
                ('" string="true">', FORMAT),
                ("Oslo", ARGS),
                ("</｜DSML｜parameter>\n</｜DSML｜invoke>\n", FORMAT),
                ("</｜DSML｜tool_calls>", FORMAT),
            ],
        ),
        (
            "glm",
            [
                ("\n", TEXT),
                ("<think>", FORMAT),
                ("hm", THINK),
                ("</think>", FORMAT),
                ("\nHi\n", TEXT),
                ("<tool_call>", FORMAT),
                ("f", NAME),
                ("\n<arg_key>", FORMAT),
                ("a", ARGS),
                ("</arg_key>\n<arg_value>", FORMAT),
                ("Oslo", ARGS),
                ("</arg_value>\n", FORMAT),
                ("</tool_call>", FORMAT),
            ],
        ),
    ],
)
def test_regions_of_a_message_as_the_template_writes_it(
    name: str, parts: list[tuple[str, Region]]
) -> None:
    text = "".join(part for part, _ in parts)
    calls = [ToolCall("f", {"a": "Oslo"})]
    assert get_syntax(name).write(calls, "Hi", think="hm") == text
    assert segments(name, text) == parts


@every_syntax
def test_what_does_not_belong_is_text_and_the_rest_keeps_its_region(name: str) -> None:
    notation = "[B][C f] so [P a]x[/P] so [/C][/B]"
    parts = segments(name, DIALECTS[name].write(notation))
    assert of_region(parts, NAME) == ([] if name == "glm" else ["f"])
    if name != "glm":
        # Behind junk a value is not closed: it goes on to where its call ends.
        assert of_region(parts, TEXT) == ["so "]
        assert of_region(parts, ARGS) == ["a", DIALECTS[name].write("x[/P] so ")]
    else:
        assert "".join(of_region(parts, TEXT)).startswith("f so ")


@every_syntax
def test_an_unfinished_value_is_args_to_where_it_is_cut(name: str) -> None:
    parts = segments(name, DIALECTS[name].write("[B][C f][P a]Os"))
    assert of_region(parts, ARGS) == ["a", "Os"]
    assert of_region(segments(name, DIALECTS[name].write("[B][C f")), NAME) in (["f"], [])
    assert of_region(segments(name, DIALECTS[name].write("[T]hm")), THINK) == ["hm"]
    assert of_region(segments(name, "hm", think=True), THINK) == ["hm"]


@every_syntax
@settings(max_examples=50, deadline=None)
@given(calls=typed_calls, text=plain_text, think=st.none() | plain_text)
def test_what_is_written_is_read_back(
    name: str, calls: list[ToolCall], text: str, think: str | None
) -> None:
    syntax = get_syntax(name)
    message = syntax.write(calls, text, think=think)
    reading = syntax.read(message, think_is_open=False, tools=TOOLS)
    assert reading.calls == calls
    assert reading.well_formed
    assert syntax.has_form(reading, wants_calls=bool(calls))
    parts = segments(name, message)
    assert of_region(parts, NAME) == [call.name for call in calls]
    written = [part for call in calls for item in call.arguments.items() for part in item]
    strings = [part for part in written if isinstance(part, str) and part]
    assert set(strings) <= set(of_region(parts, ARGS))


pieces = [
    *("[B]", "[/B]", "[C f]", "[C ", "[/C]", "[P a]", "[J n]", "[P ", "[/P]", "[T]", "[/T]"),
    *(" ", "\n", "x", "3", "é", "<", ">", '"', "</", "{", "[B", "[/P"),
]


@every_syntax
@settings(deadline=None)
@given(notation=st.lists(st.sampled_from(pieces), max_size=40).map("".join))
def test_whatever_is_written_is_covered(name: str, notation: str) -> None:
    syntax = get_syntax(name)
    data = DIALECTS[name].write(notation).encode()
    for think in (None, True, False):
        parts = segments(name, data, think)
        assert "".join(part for part, _ in parts).encode() == data
        reading = syntax.read(data, think_is_open=think, tools=TOOLS)
        if reading.well_formed:
            assert of_region(parts, NAME) == [call.name for call in reading.calls]


@every_syntax
@settings(deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_covered(name: str, data: bytes) -> None:
    opened = DIALECTS[name].write("[B][C f][P a]").encode() + data
    for message in (data, opened):
        segments(name, message)
        get_syntax(name).read(message)
