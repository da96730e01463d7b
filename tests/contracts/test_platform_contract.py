"""rest_verl's platform `cpu` against verl's interface, and against what verl asks of a device."""

import ast
import inspect
import json
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("psutil", reason="the CPU's device module needs it")

import verl
from fresh_process import run_python
from verl.plugin.platform import platform_base
from verl.plugin.platform.platform_manager import PlatformRegistry

from rest_verl.integration.cpu.device_module import device_module
from rest_verl.integration.cpu.platform import PlatformCPU

PUBLIC = [name for name in vars(platform_base.PlatformBase) if not name.startswith("_")]
NOT_ON_A_CPU = {
    "Event": "CUDA kernels",
    "get_device_properties": "the memory profiler's report",
    "memory": "the memory profiler's snapshots",
    "reset_accumulated_memory_stats": "a reset that nothing calls",
    "set_per_process_memory_fraction": "a tuning that nothing calls",
}
"""Device functions that no run without an accelerator comes to, and where verl calls them."""


def test_nothing_abstract_is_left():
    assert PlatformCPU.__abstractmethods__ == frozenset()
    assert issubclass(PlatformCPU, platform_base.PlatformBase)
    assert platform_base.PlatformBase.__abstractmethods__


@pytest.mark.parametrize("name", PUBLIC)
def test_each_member_is_called_alike(name):
    theirs = inspect.getattr_static(platform_base.PlatformBase, name)
    if isinstance(theirs, property):
        assert not callable(getattr(PlatformCPU(), name))
        return
    theirs = inspect.signature(getattr(platform_base.PlatformBase, name)).parameters.values()
    ours = inspect.signature(getattr(PlatformCPU, name)).parameters
    assert set(ours) == {parameter.name for parameter in theirs}
    for parameter in theirs:
        assert ours[parameter.name].kind == parameter.kind
        assert ours[parameter.name].default == parameter.default


def test_answers_that_verl_goes_by():
    platform = PlatformCPU()
    assert platform.device_name == "cpu"
    assert platform.ray_resource_options(1.0) == {"num_gpus": 1.0}
    assert platform.get_device_capability() == (None, None)
    assert isinstance(platform.ray_noset_envvars(), list)
    assert isinstance(platform.rollout_env_vars(), dict)


def device_functions():
    """What verl's source calls on `get_torch_device()`, also under a name given to it."""
    for file in Path(verl.__path__[0]).rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "get_torch_device()" not in text:
            continue
        nodes = list(ast.walk(ast.parse(text)))
        devices = {"get_torch_device()"} | {
            ast.unparse(node.targets[0])
            for node in nodes
            if isinstance(node, ast.Assign) and ast.unparse(node.value) == "get_torch_device()"
        }
        for node in nodes:
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in devices:
                yield node.attr


def test_the_device_has_what_verl_calls():
    called = set(device_functions())
    assert "empty_cache" in called
    assert {name for name in called if not hasattr(device_module, name)} == set(NOT_ON_A_CPU)


def test_registration(monkeypatch):
    monkeypatch.setattr(PlatformRegistry, "_platforms", {})
    assert PlatformRegistry.register(platform="CPU ")(PlatformCPU) is PlatformCPU
    assert PlatformRegistry.get("cpu") is PlatformCPU
    with pytest.raises(AssertionError, match="subclass of PlatformBase"):
        PlatformRegistry.register(platform="contract")(object)


SCRIPT = """
import json, os, sys
import verl
from verl.plugin.platform import get_platform
from verl.utils.device import get_device_name, get_torch_device
from verl.workers.engine.base import EngineRegistry
import verl.workers.engine
platform = get_platform()
engine = EngineRegistry.get_engine_cls("language_model", "fsdp2")
print("\\n" + json.dumps([type(platform).__name__, get_device_name(),
      get_torch_device() is platform.device_module, engine.__module__]))
"""


def test_verl_itself_takes_the_platform_that_the_environment_names(tmp_path):
    """In a process of its own: verl makes its choice once, while it is imported."""
    process = run_python(
        SCRIPT,
        tmp_path,
        VERL_PLATFORM="cpu",
        VERL_USE_EXTERNAL_PLUGINS=None,
        VERL_ENGINE_DEVICE=None,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    name, device, is_ours, engine = json.loads(process.stdout.splitlines()[-1])
    assert (name, device, is_ours) == ("PlatformCPU", "cpu", True)
    assert engine.startswith("verl.workers.engine.fsdp")
