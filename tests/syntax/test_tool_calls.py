"""Reading responses: tags, blocks, calls."""

import pytest

from rest_verl.syntax.tool_calls import ToolCall, parse_response

F1 = '{"name": "f", "parameters": {"x": 1}}'
G2 = '{"name": "g", "arguments": {"y": 2}}'
F, G = ToolCall("f", {"x": 1}), ToolCall("g", {"y": 2})


def block(content: str) -> str:
    return f"<tool_call>\n{content}\n</tool_call>"


@pytest.mark.parametrize(
    ("text", "structure", "calls", "well_formed"),
    [
        # well-formed
        ("", "", [], True),
        ("only text", "", [], True),
        (f"<think>a</think>{block(F1)}", "TtCc", [F], True),
        (f"<think>a</think>{block(F1)}<response>b</response>", "TtCcRr", [F], True),
        (block(f"{F1}\n{G2}"), "Cc", [F, G], True),
        (block(f"{F1}\n\n {G2}"), "Cc", [F, G], True),  # blank line between calls
        (block(F1 + G2), "Cc", [F, G], True),  # two calls on a line
        (block('{\n "name": "f",\n "parameters": {\n"x": 1\n}}'), "Cc", [F], True),  # over lines
        (block(F1) + block(G2), "CcCc", [F, G], True),  # all blocks count
        (block('{"id": 7, "name": "f", "parameters": {"x": 1}}'), "Cc", [F], True),  # further key
        # tags that are only text
        (f"<think>I write {block(G2)}</think>{block(F1)}", "TtCc", [F], True),  # quoted in think
        (f"<think>a<think>b</think>{block(F1)}", "TtCc", [F], True),  # first </think> closes
        (f"<think>never closed {block(F1)}", "T", [], True),
        (
            block('{"name": "f", "parameters": {"x": "<think> <response>"}}'),
            "Cc",
            [ToolCall("f", {"x": "<think> <response>"})],
            True,
        ),
        # tags that count
        (f"a</think>{block(F1)}", "tCc", [F], True),  # stray
        (f"<response>{block(F1)}</response>", "RCcr", [F], True),  # a call in the response is one
        # malformed blocks
        (block(""), "Cc", [], False),
        (block("not json"), "Cc", [], False),
        (block(f"{F1}\nand so on"), "Cc", [F], False),
        (block(f"[{F1}]"), "Cc", [], False),  # a list of calls is no call
        (block('{"name": "f"}'), "Cc", [], False),
        (block('{"parameters": {}}'), "Cc", [], False),
        (block('{"name": ["f"], "parameters": {}}'), "Cc", [], False),
        (block('{"name": "f", "parameters": "{}"}'), "Cc", [], False),
        (block('{"name": "f", "parameters": {}, "arguments": {}}'), "Cc", [], False),  # which one?
        (block('{"name": "f", "parameters": {"x": NaN}}'), "Cc", [], False),  # not JSON
        (f"<tool_call>{F1}", "C", [], False),  # never closed
        (f"<tool_call>{block(F1)}", "CCc", [], False),  # a tag in no argument counts
        (block('{"name": "f", "parameters": {"x": "</tool_call>"}}'), "Ccc", [], False),  # closes
    ],
)
def test_parse_response(
    text: str, structure: str, calls: list[ToolCall], well_formed: bool
) -> None:
    assert parse_response(text) == (structure, calls, well_formed)


def test_last_of_duplicate_keys_stands() -> None:
    text = block('{"name": "g", "name": "f", "parameters": {"x": 3, "x": 1}}')
    assert parse_response(text).calls == [F]


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        (f"reasons </think>{block(F1)}", "TtCc"),  # the prompt held <think>
        (f"{block(G2)} quoted </think>{block(F1)}", "TtCc"),
        (f"<think>a</think>{block(F1)}", "TtCc"),
        (block(F1), "Cc"),
    ],
)
def test_think_opened_by_the_prompt(text: str, structure: str) -> None:
    assert parse_response(text, think_may_be_open=True) == (structure, [F], True)
