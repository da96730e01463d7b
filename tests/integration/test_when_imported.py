"""A registration runs when its registry is imported, and a failing one hurts nobody."""

import json
import sys
from importlib import import_module

import pytest
from fresh_process import run_python

from rest_verl.integration import when_imported as module
from rest_verl.integration.when_imported import FAILURES, when_imported

NAME = "a_registry_of_a_test"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    (tmp_path / f"{NAME}.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield NAME
    sys.modules.pop(NAME, None)
    FAILURES.pop(NAME, None)


def test_after_the_import_and_once(registry):
    seen = []
    when_imported(registry, lambda: seen.append(sys.modules[registry].value))
    assert seen == []
    found = import_module(registry)
    assert seen == [1]
    assert type(found.__spec__.loader).__module__ != module.__name__
    assert found.__loader__ is found.__spec__.loader
    when_imported(registry, lambda: seen.append("at once"))
    assert seen == [1, "at once"]


def test_a_failure_is_kept_and_the_import_goes_on(registry):
    def fail():
        raise RuntimeError("broken on purpose")

    when_imported(registry, fail)
    assert import_module(registry).value == 1
    assert str(FAILURES[registry]) == "broken on purpose"


def test_import_verl_brings_in_nothing_heavy(tmp_path):
    code = "import json, sys, verl; print(json.dumps(sorted(sys.modules)))"
    loaded = []
    for policy in ("none", "rest_verl"):
        process = run_python(code, tmp_path, VERL_PLATFORM=None, VERL_USE_EXTERNAL_PLUGINS=policy)
        assert process.returncode == 0, process.stderr
        loaded.append(set(json.loads(process.stdout.splitlines()[-1])))
    without, with_plugin = loaded
    assert {name.partition(".")[0] for name in with_plugin - without} == {"rest_verl"}
    assert "rest_verl.plugin" in with_plugin
    assert "rest_verl.integration.trainer" not in with_plugin
