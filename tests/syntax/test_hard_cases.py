"""Texts that readers got wrong or disagreed about: all parts must make the same of each.

Those of `../shared/cases` come after public reports on vLLM, TRL and verl; the others are siblings.
"""

import asyncio
from typing import NamedTuple

import pytest
from docs_pages import ROOT
from toy_tokenizers import one_byte_per_token

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.data.prompts import dump_ground_truth
from rest_verl.evaluation.calls import record_calls
from rest_verl.integration.agent_loops.readers import SyntaxReader
from rest_verl.integration.message_reader import MessageReader
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import get_syntax

CASES = ROOT.parent / "shared" / "cases"
TOKENIZER = one_byte_per_token()
PROMPTS = {False: b"assistant\n", True: b"assistant\n<think>\n"}


class Case(NamedTuple):
    syntax: str
    text: str
    think_is_open: bool
    calls: list[tuple[str, dict]] | None
    """None: some that cannot be read."""
    format_ok: bool
    """Where calls were wanted."""


def shared(name: str) -> str:
    path = CASES / name
    return path.read_text() if path.exists() else ""


WRITE = ("write_file", {"path": "notes.md", "text": "end each block with </tool_call> please"})
OSLO = ("get_weather", {"city": "Oslo"})
FILE_1, FILE_2 = shared("01_closing_tag_in_argument.txt"), shared("02_prefilled_think.txt")
FILE_4 = shared("04_prefilled_think_cut_off.txt")
FILE_6 = shared("06_right_answer_tags_are_special_tokens.txt")
DRAFT = '<think>perhaps <tool_call>\n{"name": "f", "arguments": {}}\n</tool_call> or not'

HARD = {
    "closing tag in an argument": Case("hermes", FILE_1, False, [WRITE], True),
    "the prompt opened the thought": Case("toolrl", FILE_2, True, [OSLO], True),
    "the same without that prompt": Case("toolrl", FILE_2, False, [OSLO], False),
    "cut off in the thought": Case("toolrl", FILE_4, True, [], False),
    "a right answer": Case("toolrl", FILE_6, False, [OSLO], True),
    "drafted in a thought": Case("hermes", DRAFT, False, [], False),
    "drafted, then made": Case(
        "hermes", f'{DRAFT}</think><tool_call>{{"name": "g", "arguments": {{}}}}</tool_call>',
        False, [("g", {})], True,
    ),
    "drafted in the prompt's thought": Case(
        "hermes", DRAFT.removeprefix("<think>"), True, [], False
    ),
    "closing tag in a value": Case(
        "qwen3_coder",
        "<tool_call>\n<function=f>\n<parameter=x>\na</parameter>b</tool_call>\n</parameter>\n"
        "</function>\n</tool_call>",
        False, [("f", {"x": "a</parameter>b</tool_call>"})], True,
    ),
    "section end in an argument": Case(
        "kimi",
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
        '{"x": "<|tool_call_end|>"}<|tool_call_end|><|tool_calls_section_end|>',
        False, [("f", {"x": "<|tool_call_end|>"})], True,
    ),
    "bracket in a string": Case("pythonic", "[f(x=')]', y=\"],\")]", False,
                                [("f", {"x": ")]", "y": "],"})], True),
    "a text that holds JSON": Case(
        "llama3_json", 'I would send {"name": "f", "parameters": {}}.', False, [], False
    ),
    "broken off": Case("glm", "<tool_call>f\n<arg_key>x</arg_key>\n<arg_v", False, None, False),
    "nothing in the block": Case("minimax", "<minimax:tool_call></minimax:tool_call>", False, None,
                                 False),
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_all_parts_make_the_same_of_it(name: str) -> None:
    case = HARD[name]
    if not case.text:
        pytest.skip(f"no {CASES}")
    ids, prompt = list(case.text.encode()), list(PROMPTS[case.think_is_open])
    messages = MessageReader(TOKENIZER, get_syntax(case.syntax))

    asked = asyncio.run(SyntaxReader(messages).read(ids, prompt, list))
    assert asked.is_malformed == (case.calls is None)
    assert [(call.name, call.arguments) for call in asked.calls] == (case.calls or [])

    recorded = record_calls(messages.read(ids, prompt))
    wanted = case.calls and [{"name": n, "arguments": values} for n, values in case.calls]
    assert recorded == (case.calls if not case.calls else wanted)

    style = "toolrl" if case.syntax == "toolrl" else "chat_template"
    truth = [
        {"name": name, "parameters": {key: [value] for key, value in values.items()}}
        for name, values in case.calls or [("other", {})]
    ]
    result = tool_call_reward(
        case.text,
        dump_ground_truth("calls", truth, style),
        syntax=case.syntax,
        think_is_open=case.think_is_open,
    )
    assert result.exact_match == bool(case.calls)
    assert result.format_ok == case.format_ok

    regions = RegionLabeler(TOKENIZER, case.syntax).label(ids, prompt=prompt).tolist()
    names = bytes(b for b, r in zip(ids, regions, strict=True) if r == Region.NAME).decode()
    if case.calls is not None:
        assert names == "".join(name for name, _ in case.calls)


@pytest.mark.parametrize("name", ["cut off in the thought", "drafted in the prompt's thought"])
def test_a_thought_that_never_closes_is_thought_throughout(name: str) -> None:
    case = HARD[name]
    if not case.text:
        pytest.skip(f"no {CASES}")
    labeler = RegionLabeler(TOKENIZER, case.syntax)
    regions = labeler.label(list(case.text.encode()), prompt=list(PROMPTS[True]))
    assert set(regions.tolist()) == {Region.THINK}


@pytest.mark.parametrize("syntax", ["hermes", "qwen3_coder", "gpt-oss", "llama3_json"])
def test_a_call_in_a_foreign_syntax_is_one_where_none_is_wanted(syntax: str) -> None:
    foreign = "[get_weather(city='Oslo')]"
    truth = dump_ground_truth("no_call", [], "chat_template")
    assert tool_call_reward(foreign, truth, syntax=syntax).score == -3.0  # as one of its own
    assert tool_call_reward("Nothing fits [see (1)].", truth, syntax=syntax).exact_match
    messages = MessageReader(TOKENIZER, get_syntax(syntax))
    assert messages.read(list(foreign.encode()), []).foreign == "pythonic"
    assert record_calls(messages.read(list(foreign.encode()), [])) is None
