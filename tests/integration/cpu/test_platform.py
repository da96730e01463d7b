"""verl without an accelerator: the device's answers, vLLM's weights, the check of the sampler."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from rest_verl.integration import vllm_plugin
from rest_verl.integration.cpu.device_module import device_module
from rest_verl.integration.cpu.sampler_check import CORRELATION, check_sampler
from rest_verl.integration.cpu.vllm_weights import keep_weights_in_place

CPU = torch.device("cpu")


def test_the_device_answers():
    assert device_module.is_available() is True
    assert device_module.device_count() == 1
    assert device_module.current_device() == CPU
    assert device_module.get_device_name() == "cpu"
    free, total = device_module.mem_get_info()
    assert 0 < free <= total
    for name in ("memory_allocated", "memory_reserved"):
        used = getattr(device_module, name)()
        assert 0 < used < total
        assert 0 < getattr(device_module, f"max_{name}")(CPU) < total


@pytest.mark.parametrize(
    "call", ["synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats"]
)
def test_calls_without_an_answer(call):
    assert getattr(device_module, call)() is None


def test_the_device_keeps_the_random_state():
    state = device_module.get_rng_state()
    first = torch.rand(3)
    device_module.set_rng_state(state)
    assert torch.equal(torch.rand(3), first)
    with device_module.stream(device_module.Stream()):
        assert device_module.current_stream() is not None


def test_the_platform_answers():
    from rest_verl.integration.cpu.platform import PlatformCPU

    platform = PlatformCPU()
    assert (platform.device_name, platform.device_module) == ("cpu", device_module)
    assert platform.is_available() is True
    assert platform.is_platform_available() is False  # never by detection
    assert platform.current_device() == CPU
    assert platform.device_count() == 1
    assert platform.is_ipc_supported() is False
    assert platform.ray_resource_name() == "GPU"
    assert torch.ones(1).to(platform.current_device()).device == CPU
    with platform.nvtx_range("a range"):
        platform.manual_seed(3)
        first = torch.rand(2)
        platform.manual_seed_all(3)
        assert torch.equal(torch.rand(2), first)


def test_the_platform_starts_a_workers_process_group(monkeypatch):
    from rest_verl.integration.cpu.platform import PlatformCPU

    started = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: bool(started))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **kw: started.append(kw))
    for name in ("DIST_INIT_METHOD", "MASTER_ADDR", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    platform = PlatformCPU()
    assert platform.communication_backend_name() == "gloo"
    assert started == []  # the driver has no rank
    for name, value in {"DIST_INIT_METHOD": "tcp://h:1", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):  # once started, it stays
        assert platform.communication_backend_name() == "gloo"
    group = {"backend": "gloo", "rank": 0, "world_size": 2, "init_method": "tcp://h:1"}
    assert started == [group]


@pytest.mark.parametrize("platform", [None, "", "cuda", "npu"])
def test_vllms_plugin_does_nothing_elsewhere(monkeypatch, platform):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    if platform is not None:
        monkeypatch.setenv("VERL_PLATFORM", platform)
    monkeypatch.delitem(sys.modules, "rest_verl.integration.cpu.vllm_weights")
    vllm_plugin.register()
    assert "rest_verl.integration.cpu.vllm_weights" not in sys.modules


def test_vllms_plugin_on_a_cpu(monkeypatch):
    calls = []
    weights = SimpleNamespace(keep_weights_in_place=lambda: calls.append("called"))
    monkeypatch.setitem(sys.modules, "rest_verl.integration.cpu.vllm_weights", weights)
    monkeypatch.setenv("VERL_PLATFORM", " CPU ")
    vllm_plugin.register()
    assert calls == ["called"]


@pytest.mark.parametrize("is_cpu", [True, False])
def test_weights_stay_in_place_where_vllm_runs_on_a_cpu(monkeypatch, is_cpu):
    custom_ops = SimpleNamespace(_supports_onednn=True)
    utils = SimpleNamespace(check_cpu_sgl_kernel=lambda n, k, dtype: True)
    stand_ins = {
        "vllm": {"_custom_ops": custom_ops},
        "vllm.model_executor": {},
        "vllm.model_executor.layers": {"utils": utils},
        "vllm.platforms": {"current_platform": SimpleNamespace(is_cpu=lambda: is_cpu)},
    }
    for name, attributes in stand_ins.items():
        module = ModuleType(name)
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    keep_weights_in_place()
    assert custom_ops._supports_onednn is not is_cpu
    assert utils.check_cpu_sgl_kernel(1, 1, torch.float32) is not is_cpu


def test_vllm_still_asks_where_we_answer():
    """The two switches, by their names in the installed vLLM's source (importing it is slow)."""
    spec = find_spec("vllm")
    if spec is None:
        pytest.skip("vllm is not installed")
    utils = (Path(spec.origin).parent / "model_executor" / "layers" / "utils.py").read_text()
    dispatch = utils.partition("def dispatch_cpu_unquantized_gemm")[2].partition("\ndef ")[0]
    assert "check_cpu_sgl_kernel(" in dispatch
    assert "ops._supports_onednn" in dispatch
    assert "torch.nn.functional.linear" in dispatch


@pytest.mark.parametrize(
    "metrics",
    [
        {},  # verl measures it on request only
        {CORRELATION: 1.0},
        {CORRELATION: 0.9},
        {CORRELATION: float("nan")},  # undefined: equal probabilities, or no token
        {"training/rollout_probs_diff_max": 0.0},
    ],
)
def test_sampler_in_agreement(metrics):
    check_sampler(metrics)


@pytest.mark.parametrize("correlation", [0.8999, 0.1, 0.0, -1.0])
def test_sampler_in_disagreement(correlation):
    with pytest.raises(RuntimeError) as stop:
        check_sampler({CORRELATION: correlation})
    message = str(stop.value)
    assert f"{CORRELATION} is {correlation:.4f}" in message
    for word in ("packed", "rest-verl doctor", "VLLM_PLUGINS", "VERL_PLATFORM=cpu"):
        assert word in message
    assert "\n" not in message
