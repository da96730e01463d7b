"""The doctor finds what verl would swallow, and says how to mend it."""

import configparser
import importlib.metadata
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from fresh_process import run_python

from rest_verl.integration import doctor
from rest_verl.integration.chosen_platform import choose_platform
from rest_verl.integration.doctor import Finding
from rest_verl.integration.registries import require_registered

ROOT = Path(__file__).parents[2]
DOCTOR = "import sys; from rest_verl.cli import main; sys.exit(main(['doctor']))"


def line_of(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if f"  {name}  " in line)


def test_healthy_environment(tmp_path):
    code = """
import verl, sys
from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY
print(POLICY_LOSS_REGISTRY["rest"].__module__, ADV_ESTIMATOR_REGISTRY["rest"].__module__)
print(TRAINER_REGISTRY["rest_sync"].__module__, REWARD_MANAGER["rest"].__module__)
print(PlatformRegistry.get("cpu").__module__)
"""
    process = run_python(
        code + DOCTOR, tmp_path, VERL_PLATFORM="cpu", VERL_USE_EXTERNAL_PLUGINS=None
    )
    assert process.returncode == 0, process.stdout + process.stderr
    lines = process.stdout.splitlines()
    assert lines[:3] == [
        "rest_verl.integration.policy_loss rest_verl.integration.advantage",
        "rest_verl.integration.trainer rest_verl.integration.reward_manager",
        "rest_verl.integration.cpu.platform",
    ]
    assert lines[-1] == "all present"
    assert "MISSING" not in process.stdout
    assert line_of(process.stdout, "platform").endswith("cpu registered")


def test_plugin_that_fails_to_import(tmp_path):
    code = """
import sys
from importlib.abc import MetaPathFinder

class Broken(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "rest_verl.algorithm.loss":
            raise RuntimeError("broken on purpose")

sys.meta_path.insert(0, Broken())
"""
    process = run_python(
        code + DOCTOR, tmp_path, VERL_PLATFORM="cpu", VERL_USE_EXTERNAL_PLUGINS=None
    )
    assert process.returncode == 1
    plugin = line_of(process.stdout, "plugin rest_verl.plugin")
    assert plugin.startswith("MISSING")
    assert plugin.endswith("import failed: RuntimeError: broken on purpose")
    for name in ("policy loss rest", "advantage estimator rest"):
        assert line_of(process.stdout, name).startswith("MISSING")
    assert line_of(process.stdout, "trainer rest_sync").startswith("ok")  # needs no loss
    assert line_of(process.stdout, "platform").startswith("ok")  # registered before the failure
    assert process.stdout.splitlines()[-1].endswith("missing")


@pytest.mark.parametrize("package", [*doctor.RUN_PACKAGES, *doctor.OWN_PACKAGES, doctor.BFCL])
def test_missing_package(monkeypatch, package):
    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return doctor.VERL_VERSION

    monkeypatch.setattr(importlib.metadata, "version", version)
    (missing,) = [finding for finding in doctor.check_packages() if not finding.ok]
    assert missing.name == package
    assert missing.detail.startswith("not installed")
    assert missing.is_missing is (package != doctor.BFCL)
    if package in doctor.RUN_PACKAGES:
        mend = "pip install -e '.[gpu]'"
    else:
        mend = "pip install -e ." if package in doctor.OWN_PACKAGES else "pip install --no-deps"
    assert mend in missing.mend


def test_what_commands_need_is_what_is_installed_with_them():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert sorted(doctor.OWN_PACKAGES) == setup["options"]["install_requires"].split()
    pinned = (ROOT / "requirements" / "cpu.txt").read_text()
    mends = [finding.mend for finding in doctor.check_packages() if finding.name == doctor.BFCL]
    assert mends[0].rpartition("==")[2] == re.findall(r"^bfcl_eval==(.+)$", pinned, re.M)[0]


def test_without_verl_only_packages_and_the_model_are_examined(monkeypatch):
    findings = [Finding(name="verl", ok=False, detail="not installed")]
    monkeypatch.setattr(doctor, "check_packages", lambda: findings)
    monkeypatch.setattr(doctor, "check_registries", lambda: pytest.fail("imports verl"))
    assert list(doctor.examine()) == findings
    asked = [finding.name for finding in doctor.examine(Path("nowhere"))]
    assert asked == ["verl", "tool calls of nowhere"]


def test_each_finding_comes_as_it_is_known(monkeypatch):
    monkeypatch.setattr(doctor, "check_registries", lambda: pytest.fail("not asked for yet"))
    assert next(doctor.examine()).name == "verl"


def test_registries_are_read_as_verl_left_them(monkeypatch):
    # the doctor's own import of the plugin must not make up for verl's failed one
    order = []
    monkeypatch.setattr(
        doctor, "check_packages", lambda: [Finding(name="verl", ok=True, detail="")]
    )
    for name, is_list in (
        ("check_plugin", False),
        ("check_registries", True),
        ("check_platform", False),
        ("check_hydra_group", False),
    ):
        finding = Finding(name=name, ok=True, detail="")
        result = [finding] if is_list else finding
        monkeypatch.setattr(
            doctor, name, lambda name=name, result=result, **_: (order.append(name), result)[1]
        )
    names = [finding.name for finding in doctor.examine()]
    assert order.index("check_registries") < order.index("check_plugin")
    assert order.index("check_platform") < order.index("check_plugin")
    assert sorted(names) == sorted(["verl", *order])


def test_another_version_of_verl(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.5.0")
    (wrong,) = [finding for finding in doctor.check_packages() if not finding.ok]
    assert (wrong.name, wrong.detail) == ("verl", "0.5.0")
    assert wrong.mend.endswith(f"pip install verl=={doctor.VERL_VERSION}")


def test_a_package_that_does_not_import_is_a_finding(monkeypatch):
    def broken():
        raise ModuleNotFoundError("No module named 'ray'")

    monkeypatch.setattr(doctor, "check_registries", broken)
    *_, last = doctor.examine()
    assert not last.ok
    assert last.detail == "import failed: No module named 'ray'"
    assert "setup_cpu.sh" in last.mend


# As verl reads the variable: trimmed and lower-case, and an empty one loads nothing.
@pytest.mark.parametrize(
    ("policy", "ok"),
    [
        (None, True),
        ("auto", True),
        (" AUTO ", True),
        ("rest_verl", True),
        ("other, rest_verl", True),
        ("", False),
        ("none", False),
        ("other", False),
        ("rest_verl_2", False),
    ],
)
def test_plugins_switched_off(monkeypatch, policy, ok):
    monkeypatch.delenv("VERL_USE_EXTERNAL_PLUGINS", raising=False)
    if policy is not None:
        monkeypatch.setenv("VERL_USE_EXTERNAL_PLUGINS", policy)
    finding = doctor.check_plugin()
    assert finding.ok == ok
    if not ok:
        assert finding.detail == f"VERL_USE_EXTERNAL_PLUGINS={policy}"
        assert "VERL_USE_EXTERNAL_PLUGINS" in finding.mend


def test_no_entry_point(monkeypatch):
    monkeypatch.delenv("VERL_USE_EXTERNAL_PLUGINS", raising=False)
    other = SimpleNamespace(value="other.plugin")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [other])
    finding = doctor.check_plugin()
    assert (finding.ok, finding.detail) == (False, "no verl.plugins entry point")
    assert "pip install -e ." in finding.mend


def test_trainers_refuse_to_start_unregistered(monkeypatch):
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    import rest_verl.plugin  # noqa: F401

    require_registered()
    monkeypatch.delitem(POLICY_LOSS_REGISTRY, "rest")
    with pytest.raises(RuntimeError, match=r"policy loss rest missing.*rest-verl doctor"):
        require_registered()


def test_no_accelerator(monkeypatch):
    import torch

    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = doctor.check_platform()
    assert (finding.ok, finding.detail) == (False, "no accelerator")
    assert "export VERL_PLATFORM=cpu" in finding.mend
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert doctor.check_platform().detail == "cuda"
    monkeypatch.setenv("VERL_PLATFORM", "npu")
    assert doctor.check_platform().detail == "npu"
    assert "VERL_PLATFORM" in os.environ


def test_cpu_is_chosen_where_nothing_else_is_there(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("VERL_PLATFORM", "nvidia")
    assert not choose_platform()
    monkeypatch.setenv("VERL_PLATFORM", "")
    assert choose_platform()
    assert os.environ["VERL_PLATFORM"] == "cpu"
    monkeypatch.delenv("VERL_PLATFORM")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not choose_platform()
    assert "VERL_PLATFORM" not in os.environ


def test_report_by_hand():
    verl = Finding(name="verl", ok=True, detail="0.9.1")
    platform = Finding(name="platform", ok=False, detail="no accelerator", mend="export it")
    bfcl = Finding(name="bfcl-eval", ok=False, detail="not there", mend="get it", is_needed=False)
    assert str(verl) == "ok       verl                            0.9.1"
    assert str(platform) == (
        "MISSING  platform                        no accelerator\n"
        "                                         → export it"
    )
    assert str(bfcl).startswith("absent   bfcl-eval ")
    assert doctor.verdict([verl, platform, bfcl]) == "1 of 3 missing"
    assert doctor.verdict([verl, bfcl]) == "all present"
