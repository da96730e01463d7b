"""Which syntax a row is read by: the one its prompt asks for, the setting, the model's own."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from call_templates import TEMPLATES, templated_tokenizer
from omegaconf import OmegaConf
from toy_tokenizers import byte_level, one_byte_per_token

from rest_verl.integration.run_syntax import (
    RunSyntaxes,
    asked_syntax,
    asked_syntaxes,
    known_syntax,
    row_readers,
)
from rest_verl.integration.template_syntax import NoSyntax
from rest_verl.syntax import registry

TOOLRL = '<think> a </think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'
IN_TOOLRL = json.dumps({"format": "toolrl", "expect": "no_call", "calls": []})
IN_TEMPLATE = json.dumps({"format": "chat_template", "expect": "no_call", "calls": []})
ROWS: list[tuple[Any, Any, str]] = [
    # what the row says stands
    ({"syntax": "glm"}, None, "glm"),
    ({"syntax": "glm", "prompt_style": "toolrl"}, TOOLRL, "glm"),
    ({"syntax": "toolrl"}, IN_TEMPLATE, "toolrl"),
    # rows made before they said it: by their prompts' style
    ({"prompt_style": "toolrl"}, None, "toolrl"),
    ({"prompt_style": "compact", "syntax": ""}, IN_TEMPLATE, "toolrl"),
    ({"prompt_style": "chat_template"}, IN_TEMPLATE, ""),
    # or by what the reward compares with
    ({}, TOOLRL, "toolrl"),
    (None, IN_TOOLRL, "toolrl"),
    ({"syntax": ""}, IN_TEMPLATE, ""),
    # neither: the model's own
    ({}, None, ""),
    (None, None, ""),
    (None, "", ""),
    ({"index": 3}, "42", ""),
    (None, "{", ""),
    (None, {"an": "object"}, ""),
    ("a string", None, ""),
    (float("nan"), None, ""),
]


@pytest.mark.parametrize(("extra_info", "ground_truth", "asked"), ROWS)
def test_what_a_row_asks_for(extra_info: Any, ground_truth: Any, asked: str) -> None:
    assert asked_syntax(extra_info, ground_truth) == asked


def test_a_ground_truth_of_numpy_is_read() -> None:
    assert asked_syntax({}, np.str_(TOOLRL)) == "toolrl"


class _Loaded:
    """As verl holds its rows."""

    def __init__(self, dataframe: Any) -> None:
        self.dataframe = dataframe


def test_a_data_set_asks_for_what_its_rows_ask_for() -> None:
    datasets = pytest.importorskip("datasets")
    toolrl, own = (
        {"extra_info": {"syntax": syntax}, "reward_model": {"ground_truth": truth}}
        for syntax, truth in (("toolrl", IN_TOOLRL), ("", IN_TEMPLATE))
    )
    for rows, asked in (
        ([toolrl], {"toolrl"}),
        ([toolrl, own, own], {"toolrl", ""}),
        ([{"extra_info": {"syntax": "glm"}}], {"glm"}),
        ([{"reward_model": {"ground_truth": TOOLRL}}], {"toolrl"}),
        ([{"prompt": "a"}], {""}),
    ):
        assert asked_syntaxes(_Loaded(datasets.Dataset.from_list(rows))) == asked
    assert asked_syntaxes(_Loaded([toolrl])) is None  # each row has to be looked at
    assert asked_syntaxes(object()) is None


GLM = templated_tokenizer(TEMPLATES["glm"])
BARE = templated_tokenizer(None)


@pytest.mark.parametrize(
    ("setting", "tokenizer", "asked", "said"),
    [
        ("auto", GLM, [""], "glm (chat template)"),
        ("auto", GLM, ["toolrl", "", "toolrl"], "glm (chat template), toolrl (prompts ask for it)"),
        ("hermes", GLM, ["", "glm"], "hermes (algorithm.rest.syntax), glm (prompts ask for it)"),
        # a model that tells nothing is not asked where no row leaves it to the model
        ("auto", BARE, ["toolrl"], "toolrl (prompts ask for it)"),
        ("hermes", BARE, [""], "hermes (algorithm.rest.syntax)"),
    ],
)
def test_the_line_for_the_log(setting: str, tokenizer: Any, asked: list[str], said: str) -> None:
    line = RunSyntaxes(setting, tokenizer).describe(asked)
    assert line == f"[rest] tool-call syntax: {said}"


def test_a_row_goes_before_the_setting_and_the_setting_before_the_template() -> None:
    for setting, own in (("auto", "glm"), ("seed", "seed")):
        syntaxes = RunSyntaxes(setting, GLM)
        assert syntaxes.of_row({"syntax": "toolrl"}).name == "toolrl"
        assert syntaxes.of_row({}, TOOLRL).name == "toolrl"
        assert syntaxes.of_row({}, IN_TEMPLATE).name == syntaxes.own.name == own


@pytest.mark.parametrize(
    ("setting", "asked", "message"),
    [
        ("auto", "", r"^M: it has no chat template.*name it with algorithm\.rest\.syntax=<name>"),
        ("hermse", "", r"'hermse'.*did you mean hermes\?"),
        ("auto", "hermse", r"'hermse'.*did you mean hermes\?"),
    ],
)
def test_what_is_not_known_is_refused(setting: str, asked: str, message: str) -> None:
    syntaxes = RunSyntaxes(setting, BARE, model="M")
    for work in (lambda: syntaxes.describe([asked]), lambda: syntaxes.of_row({"syntax": asked})):
        with pytest.raises(ValueError, match=message):
            work()
    assert issubclass(NoSyntax, ValueError)


def config(model: object = None, **settings: Any) -> dict[str, Any]:
    """What of verl's config has to do with syntaxes."""
    return {
        "algorithm": {"rest": {"syntax": "hermes"} | settings},
        "actor_rollout_ref": {"model": {"path": model}},
        "data": {"apply_chat_template_kwargs": {"enable_thinking": False}},
    }


def test_a_template_is_rendered_with_the_runs_own_arguments() -> None:
    template = TEMPLATES["glm"] + "{%- if stop %}{{- raise_exception('no') }}{%- endif %}"
    tokenizer = templated_tokenizer(template)
    assert RunSyntaxes.of_run(config(syntax="auto"), tokenizer).own.name == "glm"
    stopped = config(syntax="auto")
    stopped["data"]["apply_chat_template_kwargs"] = {"stop": True}
    with pytest.raises(NoSyntax):
        _ = RunSyntaxes.of_run(stopped, tokenizer).own


@pytest.mark.parametrize("settings", [{}, {"algorithm": None}, {"algorithm": {"rest": None}}])
def test_without_a_setting_the_template_tells(settings: dict[str, Any]) -> None:
    for given in (settings, OmegaConf.create(settings)):
        assert RunSyntaxes.of_run(given, GLM).own.name == "glm"


OWN_SYNTAX = '''
from rest_verl.syntax import register_syntax
from rest_verl.syntax.hermes import Hermes

@register_syntax("of_my_own")
class OfMyOwn(Hermes):
    """Hermes under another name."""

    in_templates = False
'''


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's module with a syntax, which nothing has imported."""
    (tmp_path / "module_with_a_syntax.py").write_text(OWN_SYNTAX)
    monkeypatch.syspath_prepend(tmp_path)
    yield "module_with_a_syntax"
    registry._SYNTAXES.pop("of_my_own", None)


def test_a_users_module_with_a_syntax_is_found(
    own_module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERL_USE_EXTERNAL_MODULES", raising=False)
    with pytest.raises(ValueError, match="'of_my_own'"):
        known_syntax("of_my_own")
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", f"json, {own_module},")
    assert known_syntax("of_my_own").name == "of_my_own"
    assert RunSyntaxes("auto", BARE).of_row({"syntax": "of_my_own"}).name == "of_my_own"


def test_readers_are_made_once_for_a_tokenizer_and_its_settings() -> None:
    tokenizer, other = byte_level(), byte_level()
    readers = row_readers(config(), tokenizer)
    assert row_readers(OmegaConf.create(config()), tokenizer) is readers
    assert row_readers(config(), other) is not readers
    assert row_readers(config(syntax="glm"), tokenizer) is not readers
    assert row_readers(config(model="/nowhere/at/all"), tokenizer) is not readers
    toolrl = readers.of_row({"syntax": "toolrl"})
    assert readers.of_row({}, TOOLRL) is toolrl
    assert readers.of_row({}).syntax.name == "hermes"
    assert readers.of_row({}) is readers.of_row(None) is not toolrl


def test_the_models_own_end_tokens_end_a_message(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [10, 33]}')
    tokenizer = one_byte_per_token()
    reader = row_readers(config(model=str(tmp_path)), tokenizer).of_row({})
    assert reader.text(list(b"what?!")) == "what?"
    assert row_readers(config(), tokenizer).of_row({}).text(list(b"what?!")) == "what?!"
    gc.collect()  # a tokenizer that is in use is not forgotten
    assert row_readers(config(model=str(tmp_path)), tokenizer).of_row({}) is reader
