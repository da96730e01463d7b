"""verl's platform `cpu`: chosen by VERL_PLATFORM=cpu, never by detection."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
import torch.distributed
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from rest_verl.integration.cpu.device_module import device_module


class PlatformCPU(PlatformBase):
    """One process, one "device": the CPU. See PlatformBase for what each method means."""

    device_name = "cpu"
    vendor_name = "cpu"

    @property
    def device_module(self) -> ModuleType:
        return device_module

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # a machine with an accelerator must never end up here by detection

    def current_device(self) -> torch.device:  # type: ignore[override]  # "cpu" has no index
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        """Says gloo, and starts the process group in a worker that has none yet.

        verl asks for the name just before it would start the group itself, from the backend
        string "cpu:gloo,<device>:<name>"; with the device "cpu" torch refuses that string (a
        device named twice), and verl skips its own call when the group exists.
        """
        is_worker = "DIST_INIT_METHOD" in os.environ or "MASTER_ADDR" in os.environ
        if is_worker and "RANK" in os.environ and not torch.distributed.is_initialized():
            torch.distributed.init_process_group(
                backend="gloo",
                rank=int(os.environ["RANK"]),
                world_size=int(os.environ["WORLD_SIZE"]),
                init_method=os.environ.get("DIST_INIT_METHOD"),
            )
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"  # verl counts GPUs and NPUs only; Ray accepts a declared count of them

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights go to the sampler through shared memory

    def cudart(self) -> Any:
        return None


def register() -> None:
    """Registers the platform and lets verl's FSDP engine be found for it."""
    PlatformRegistry.register(platform="cpu")(PlatformCPU)
    # The engine is registered for "cuda" and "npu" only, but its code asks the platform for the
    # device; verl's own switch for looking it up under another name saves a registration that
    # would import every engine in every process.
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
