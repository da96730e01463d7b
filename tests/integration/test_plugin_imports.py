"""What the plugin costs a process that imports verl, and that it registers whatever comes first."""

import json

import pytest
from fresh_process import run_python

from rest_verl.plugin import REGISTRATIONS

ENVIRONMENT = {"VERL_PLATFORM": None, "VERL_USE_EXTERNAL_PLUGINS": "rest_verl"}
HEAVY = ("vllm", "verl.trainer", "verl.workers", "verl.experimental", "transformers")
ONE_OF_EACH = ["policy_loss", "trainer", "reward_manager", "agent_loops.single_turn"]
"""One module for each registry."""

IMPORT_EACH = """
import importlib.util, json, sys
from importlib import import_module

import verl

loaded = {}
for name in NAMES:
    importlib.util.find_spec(name)  # somebody may only look for it
    import_module(name)
    loaded[name] = [ours for ours in sys.modules if ours.startswith("rest_verl.")]
from rest_verl.integration.when_imported import FAILURES
from rest_verl.integration.registries import registrations

missing = [name for name, here in registrations().items() if not here]
failures = {name: repr(error) for name, error in FAILURES.items()}
print("\\n" + json.dumps({"loaded": loaded, "missing": missing, "failures": failures}))
"""


def in_a_process(code, folder, **environment):
    """The JSON on the last line that the code prints."""
    process = run_python(code, folder, **{**ENVIRONMENT, **environment})
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def modules_of(folder, **environment):
    code = "import json, sys, verl; print(json.dumps(sorted(sys.modules)))"
    return set(in_a_process(code, folder, **environment))


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """What `import verl` loads without any plugin."""
    folder = tmp_path_factory.mktemp("without")
    return modules_of(folder, VERL_USE_EXTERNAL_PLUGINS="none")


def test_import_verl_brings_in_nothing_heavy(tmp_path, without):
    more = modules_of(tmp_path) - without
    assert more == {
        "rest_verl",
        "rest_verl.plugin",
        "rest_verl.integration",
        "rest_verl.integration.chosen_platform",
        "rest_verl.integration.when_imported",
    }


def test_on_a_cpu_it_brings_in_the_platform_and_nothing_heavy(tmp_path, without):
    more = modules_of(tmp_path, VERL_PLATFORM="cpu") - without
    assert "rest_verl.integration.cpu.platform" in more
    assert {name.partition(".")[0] for name in more} <= {"rest_verl", "verl"}
    assert not [name for name in more if name.startswith(HEAVY)]


def after_imports_of(names, folder, **environment):
    return in_a_process(f"NAMES = {names!r}\n{IMPORT_EACH}", folder, **environment)


def test_importing_a_registry_registers(tmp_path):
    found = after_imports_of(list(REGISTRATIONS), tmp_path)
    for registry, ours in REGISTRATIONS.items():
        assert set(ours) <= set(found["loaded"][registry])
    assert (found["missing"], found["failures"]) == ([], {})


@pytest.mark.parametrize("ours", ONE_OF_EACH)
def test_one_of_our_modules_may_come_first(tmp_path, ours):
    # It imports its registry while it is half imported itself, and is then asked to register.
    found = after_imports_of([f"rest_verl.integration.{ours}"], tmp_path)
    assert (found["missing"], found["failures"]) == ([], {})


def test_without_the_plugin_nothing_is_registered(tmp_path):
    # it is the plugin that registers, not the looking
    found = after_imports_of(list(REGISTRATIONS), tmp_path, VERL_USE_EXTERNAL_PLUGINS="none")
    assert {"policy loss rest", "trainer rest_sync", "agent loop rest_tool_env"} <= {
        *found["missing"]
    }
