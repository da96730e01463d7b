"""A chat template tells how its model writes calls, or the run stops before it starts."""

import pytest
from call_templates import TEMPLATES, templated_tokenizer
from real_tokenizers import REAL_TOKENIZERS

from rest_verl.integration.message_reader import MessageReader
from rest_verl.integration.template_syntax import (
    CALLS,
    TOOLS,
    NoSyntax,
    fitting_syntaxes,
    template_syntax,
)
from rest_verl.syntax import get_syntax, syntax_names

_PLAIN = "{%- for m in messages %}{{- m.role + ': ' + m.content + '\n' }}{%- endfor %}"


def test_every_syntax_of_templates_has_one_here() -> None:
    assert set(TEMPLATES) == {n for n in syntax_names() if get_syntax(n).in_templates}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_template_names_its_syntax_and_no_other(name: str) -> None:
    tokenizer = templated_tokenizer(TEMPLATES[name])
    assert fitting_syntaxes(tokenizer, {}) == [name]
    assert template_syntax(tokenizer).name == name


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_thought_that_a_prompt_opens_does_not_mislead(name: str) -> None:
    """As reasoning models' templates do: the prompt opens a thought, the history has none."""
    opening = get_syntax(name).think[0].decode()
    template = TEMPLATES[name].rstrip()
    template += "{%- if add_generation_prompt %}{{- '" + opening + "\n' }}{%- endif %}"
    assert fitting_syntaxes(templated_tokenizer(template), {}) == [name]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "it has no chat template"),
        (_PLAIN, "its chat template writes no tool calls"),
        (
            _PLAIN + "{%- for m in messages %}{%- for t in m.tool_calls or [] %}"
            "{{- 'CALL ' + t.function.name + ' WITH ' + t.function.arguments | tojson }}"
            "{%- endfor %}{%- endfor %}",
            "no known syntax reads the calls that its chat template writes",
        ),
        ("{{- raise_exception('no') }}", "its chat template writes no tool calls"),
    ],
)
def test_no_syntax_is_a_reason_and_a_mend(template: str | None, reason: str) -> None:
    tokenizer = templated_tokenizer(template)
    with pytest.raises(NoSyntax) as error:
        template_syntax(tokenizer, model="M", mend="name it with algorithm.rest.syntax=<name>")
    assert str(error.value).startswith(f"M: {reason}")
    assert "algorithm.rest.syntax=<name>" in str(error.value)
    assert all(name in str(error.value) for name in syntax_names())


def test_two_that_differ_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rest_verl.integration.template_syntax.fitting_syntaxes", lambda *_: ["hermes", "glm"]
    )
    with pytest.raises(NoSyntax, match="can be read as hermes and as glm: name it"):
        template_syntax(templated_tokenizer(_PLAIN))


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_syntax_writes_it_reads(name: str) -> None:
    syntax = get_syntax(name)
    for calls in (CALLS[:1], CALLS):
        reading = syntax.read(syntax.write(calls), think_is_open=False, tools=TOOLS)
        assert reading.well_formed
        made = [(call.name, call.arguments) for call in reading.calls]
        assert made == [(call.name, call.arguments) for call in calls]


def test_mistrals_own_tokenizer_has_its_template_in_code() -> None:
    tokenizer = REAL_TOKENIZERS["mistral_tekken"]()
    assert template_syntax(tokenizer).name == "mistral"
    read = MessageReader(tokenizer, get_syntax("mistral")).read
    ids = tokenizer.encode("[TOOL_CALLS]", add_special_tokens=False)
    assert read(ids, []).tries_to_call


def test_the_template_that_qwen3_comes_with() -> None:
    assert template_syntax(REAL_TOKENIZERS["qwen3"]()).name == "hermes"
