"""The GPUs an estimate can be made for: memory, speed, and which one is meant."""

import os
from dataclasses import dataclass

GIB = 2**30

ENVIRONMENT_VARIABLE = "REST_GPU"
DEFAULT = "h100-80"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU model."""

    name: str
    memory: float
    """GiB that CUDA reports as the device's total (a little below the nominal size)."""
    flops: float
    """Dense bf16 tensor-core operations a second, accumulated in fp32 (data sheet)."""
    bandwidth: float
    """Bytes a second from device memory (data sheet)."""


GPUS = {
    gpu.name: gpu
    for gpu in (
        # NVIDIA A100 data sheet, SXM4: 312 TFLOP/s; 40 GB at 1,555 GB/s, 80 GB at 2,039 GB/s.
        Gpu(name="a100-40", memory=39.4, flops=312e12, bandwidth=1.555e12),
        Gpu(name="a100-80", memory=79.1, flops=312e12, bandwidth=2.039e12),
        # NVIDIA H100 data sheet, SXM5: 1,979 TFLOP/s with sparsity, half of it dense; 3.35 TB/s.
        Gpu(name="h100-80", memory=79.1, flops=989e12, bandwidth=3.35e12),
        # NVIDIA H200 data sheet, SXM: the same cores; 141 GB at 4.8 TB/s.
        Gpu(name="h200", memory=139.8, flops=989e12, bandwidth=4.8e12),
        # NVIDIA L4 data sheet: 242 TFLOP/s with sparsity, half of it dense; 24 GB at 300 GB/s.
        Gpu(name="l4", memory=22.0, flops=121e12, bandwidth=0.3e12),
        # NVIDIA Ada architecture paper, RTX 4090: 165.2 TFLOP/s dense; 24 GB at 1,008 GB/s.
        Gpu(name="rtx4090", memory=23.5, flops=165.2e12, bandwidth=1.008e12),
    )
}


def chosen_gpu() -> Gpu:
    """The GPU that the environment variable REST_GPU names; h100-80 where it is not set.

    Raises:
        ValueError: A name that is not in the table.
    """
    name = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT
    try:
        return GPUS[name.strip().lower()]
    except KeyError:
        raise ValueError(
            f"{ENVIRONMENT_VARIABLE}={name}: unknown GPU. Set it to one of {', '.join(GPUS)}"
        ) from None
