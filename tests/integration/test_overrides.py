"""Overrides that Hydra cannot read: which is meant, why, and the line that it would read."""

import shlex
import sys

import pytest
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from search_path_plugin import plugin

from rest_verl.integration import dry_run
from rest_verl.integration.overrides import (
    UnreadableOverride,
    overrides_among,
    refuse_unreadable,
)

EQUALS = 'Hydra takes no "=" inside a value without quotes'

# override, reason, the override that a shell would make readable ("": none is named)
UNREADABLE = [
    ("trainer.name=a=b", EQUALS, """trainer.name='"a=b"'"""),
    ("+rest.x=a=b", EQUALS, """+rest.x='"a=b"'"""),
    ("++rest.x=a==b", EQUALS, """++rest.x='"a==b"'"""),
    ("~trainer.name=a=b", EQUALS, """~trainer.name='"a=b"'"""),
    ("trainer.name==b", EQUALS, """trainer.name='"=b"'"""),
    ("path=/runs/lr=1/model", EQUALS, """path='"/runs/lr=1/model"'"""),
    ("path=${x}/lr=1", EQUALS, """path='"${x}/lr=1"'"""),
    ("files=[/lr=1/a, /b]", EQUALS, """files='["/lr=1/a", /b]'"""),
    ("files=[hdfs://x/lr=1,'c=d']", EQUALS, None),
    ("+x={a:b=c,d:[e=f]}", EQUALS, """+x='{a:"b=c",d:["e=f"]}'"""),
    ('name=a="b"', EQUALS, """KEY='"a=b"'"""),
    ("name=a{b", "mismatched input '{'", """name='"a{b"'"""),
    ("name=a(b)", "Unknown function 'a'", """name='"a(b)"'"""),
    ("name=it's=1", "Hydra cannot read it (token recognition error", None),
    ('name="a=b', "Hydra cannot read it (token recognition error", ""),
    ("files=[1,", "Hydra cannot read it (no viable alternative", ""),
    ("nonsense", "Hydra cannot read it (missing EQUAL", ""),
]


def refusal(override: str) -> str:
    with pytest.raises(UnreadableOverride) as caught:
        refuse_unreadable(["+rest=paper", "trainer.nnodes=1", override, "data.seed=1"])
    return str(caught.value)


@pytest.mark.parametrize(("override", "reason", "mend"), UNREADABLE)
def test_the_argument_the_reason_and_the_mend(override: str, reason: str, mend: str | None) -> None:
    message = refusal(override)
    assert message.startswith(f"{override}: ")
    assert reason in message
    assert "\n" not in message
    assert "https://" not in message
    if mend is None:
        assert "; in a shell write " in message
    else:
        assert message.partition("; in a shell write ")[2] == mend


def as_a_shell_gives_it(message: str) -> str:
    (argument,) = shlex.split(message.partition("; in a shell write ")[2])
    return argument


@given(st.text("ab=/ .:-$%(){}[]'", max_size=12).map("a={}=b".format))
def test_a_mend_for_a_text_is_read_as_that_text(value: str) -> None:
    read = OverridesParser.create().parse_override(as_a_shell_gives_it(refusal(f"n={value}")))
    assert (read.key_or_group, read.value()) == ("n", value)


def test_a_mend_for_a_list_is_read_as_that_list() -> None:
    mend = as_a_shell_gives_it(refusal("f=[hdfs://x/lr=1, /b,'c=d']"))
    assert OverridesParser.create().parse_override(mend).value() == ["hdfs://x/lr=1", "/b", "c=d"]


@pytest.mark.parametrize(
    "override",
    ['name="a=b"', "name='a=b'", "name=a\\=b", 'files=["a=b"]', "name=", "+x={a:1,b:[c]}", "~x"],
)
def test_what_hydra_reads_passes(override: str) -> None:
    refuse_unreadable([override])


def test_overrides_among_the_arguments() -> None:
    arguments = ["a=1", "--config-dir", "/x/lr=1/y=2", "-cn", "mine", "--config-path=/z=1", "+b=2"]
    assert overrides_among(arguments) == ["a=1", "+b=2"]


@pytest.mark.parametrize("override", ["trainer.experiment_name=a=b", "algorithm.rest.w_max=1=2"])
def test_the_dry_run_says_it_in_one_line(override: str, capsys: pytest.CaptureFixture) -> None:
    assert dry_run.main(["+rest=paper", override]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    key, _, value = override.partition("=")
    mend = f"""in a shell write {key}='"{value}"'"""
    assert printed.err == f"rest_verl: {override}: {EQUALS}; {mend}\n"


def test_the_dry_run_takes_the_mend() -> None:
    config, _ = dry_run.compose_config(["+rest=paper", 'trainer.experiment_name="a=b"'])
    assert config.trainer.experiment_name == "a=b"


@pytest.mark.parametrize(
    "arguments", [["trainer.name=a=b"], ["+rest=paper", "-m", "a=1", "trainer.name=a=b"]]
)
def test_verls_training_command_says_the_same_before_hydra(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/verl/trainer/main_ppo.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        plugin().manipulate_search_path(ConfigSearchPathImpl())
    mend = """trainer.name='"a=b"'"""
    assert stop.value.code == f"rest_verl: trainer.name=a=b: {EQUALS}; in a shell write {mend}"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        pytest.param("main_ppo.py", ["--config-dir", "/lr=1/x=2", "a=1"], id="an option's value"),
        pytest.param("another.py", ["trainer.name=a=b"], id="a program of somebody else"),
    ],
)
def test_what_is_not_ours_to_refuse_passes(
    program: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    path = ConfigSearchPathImpl()
    plugin().manipulate_search_path(path)
    assert [element.path for element in path.get_path()] == ["pkg://rest_verl.config"]
