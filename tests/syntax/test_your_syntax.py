"""The class in docs/your-syntax.md, as it stands there, serves everyone who reads or writes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from call_templates import templated_tokenizer
from docs_pages import ROOT
from syntax_checks import check_any, check_cuts, parts
from toy_tokenizers import byte_level

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.data.answers import write_answer
from rest_verl.data.prompts import dump_ground_truth
from rest_verl.evaluation.calls import record_calls
from rest_verl.integration.agent_loops.readers import Call, SyntaxReader
from rest_verl.integration.message_reader import MessageReader
from rest_verl.integration.run_syntax import known_syntax
from rest_verl.integration.template_syntax import template_syntax
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import ToolCall, registry
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.view import build_view

NAME = "call_tag"
PAGE = ROOT / "docs" / "your-syntax.md"
CALLS = [
    ToolCall("get_weather", {"city": "Zürich", "note": "end with </call>"}),
    ToolCall("get_tides", {"days": [1, {"x": None}]}),
]
TOKENIZER = byte_level()
TEMPLATE = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content }}"
    "{%- for t in m.tool_calls or [] %}{{- '<call name=\"' + t.function.name + '\">' }}"
    "{{- t.function.arguments | tojson + '</call>' }}{%- endfor %}{{- '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's module, found as verl's processes find it."""
    folder: Path = tmp_path_factory.mktemp("own")
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    (folder / "my_syntax.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("VERL_USE_EXTERNAL_MODULES", "my_syntax")
        assert known_syntax(NAME).name == NAME
        try:
            yield
        finally:
            del registry._SYNTAXES[NAME]


@pytest.fixture
def answer() -> str:
    """As the data scripts write it."""
    return write_answer(CALLS, "", "chat_template", think="so", syntax=known_syntax(NAME))


def test_it_is_short() -> None:
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 45


def test_labels(answer: str) -> None:
    labeler = RegionLabeler(TOKENIZER, known_syntax(NAME))
    ids = TOKENIZER(answer)["input_ids"]
    regions = labeler.label(ids)
    texts = {
        region: "".join(TOKENIZER.decode(np.array(ids)[regions == region])) for region in Region
    }
    assert texts[Region.NAME] == "get_weatherget_tides"
    assert texts[Region.ARGS] == "".join(json.dumps(c.arguments, ensure_ascii=False) for c in CALLS)
    assert "so" in texts[Region.THINK]


def test_reward(answer: str) -> None:
    wanted = [
        {"name": call.name, "parameters": {k: [v] for k, v in call.arguments.items()}}
        for call in CALLS[:1]
    ]
    truth = dump_ground_truth("calls", wanted, "chat_template")
    one = answer.partition('<call name="get_tides')[0]
    assert tool_call_reward(one, truth, syntax=NAME).score == 4.0
    nothing = dump_ground_truth("no_call", [], "chat_template")
    assert not tool_call_reward(one, nothing, syntax="hermes").exact_match  # foreign, but a call


def test_loop_and_evaluation(answer: str) -> None:
    messages = MessageReader(TOKENIZER, known_syntax(NAME))
    ids = [*TOKENIZER(answer)["input_ids"], TOKENIZER.eos_token_id]
    asked = asyncio.run(SyntaxReader(messages).read(ids, [], list))
    assert asked.calls == [Call(*call) for call in CALLS]
    calls = record_calls(messages.read(ids, []))
    assert calls == [{"name": c.name, "arguments": c.arguments} for c in CALLS]


def test_the_template_names_it() -> None:
    assert template_syntax(templated_tokenizer(TEMPLATE)).name == NAME


def test_view(answer: str) -> None:
    rollout = Rollout(name="r", text=answer, prompt="hi")
    uniform = ReSTConfig.preset("uniform")
    view = build_view([rollout], TOKENIZER, uniform, entropy_of=None, syntax=known_syntax(NAME))
    assert (view.regions == Region.NAME).any()
    assert view.terms[0].faults == ()


def test_what_holds_for_every_syntax(answer: str) -> None:
    assert [text for letter, text in parts(NAME, answer) if letter == "N"] == [
        call.name for call in CALLS
    ]
    check_cuts(NAME, answer)
    for hostile in (
        '<call name="',
        '<call name="f">{',
        '<call name="f">}',
        "</call>",
        '<call name="">{}',
    ):
        check_any(NAME, hostile * 3)
