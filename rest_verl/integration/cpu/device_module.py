"""A `torch.cuda`-shaped module for the CPU: torch.cpu, and harmless answers for what it lacks."""

from types import ModuleType

import psutil
import torch


def _resident_bytes() -> int:
    return psutil.Process().memory_info().rss


class CpuDeviceModule(ModuleType):
    """What verl calls on `torch.<device>`; memory figures are those of this process, in bytes."""

    Stream = torch.cpu.Stream
    current_stream = staticmethod(torch.cpu.current_stream)
    stream = staticmethod(torch.cpu.stream)
    get_rng_state = staticmethod(torch.get_rng_state)

    @staticmethod
    def set_rng_state(state: torch.Tensor) -> None:
        torch.set_rng_state(state)

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> torch.device:
        return torch.device("cpu")

    @staticmethod
    def set_device(device: object) -> None: ...

    @staticmethod
    def synchronize(device: object = None) -> None: ...

    @staticmethod
    def empty_cache() -> None: ...

    @staticmethod
    def ipc_collect() -> None: ...

    @staticmethod
    def get_device_name(device: object = None) -> str:
        return "cpu"

    @staticmethod
    def mem_get_info(device: object = None) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    memory_allocated = staticmethod(lambda device=None: _resident_bytes())
    memory_reserved = staticmethod(lambda device=None: _resident_bytes())
    max_memory_allocated = staticmethod(lambda device=None: _resident_bytes())
    max_memory_reserved = staticmethod(lambda device=None: _resident_bytes())
    reset_peak_memory_stats = staticmethod(lambda device=None: None)


device_module = CpuDeviceModule("rest_verl.integration.cpu.device", CpuDeviceModule.__doc__)
