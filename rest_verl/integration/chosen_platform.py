"""Which of verl's platforms the environment asks for."""

import os


def runs_on_cpu() -> bool:
    """True where VERL_PLATFORM=cpu; nothing of `integration.cpu` is imported elsewhere."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def choose_platform() -> bool:
    """Chooses `cpu` as the CPU scripts do, where nothing is chosen and there is no accelerator.

    Call before verl is imported. True if it did choose.
    """
    import torch

    has_npu = hasattr(torch, "npu") and torch.npu.is_available()
    if os.environ.get("VERL_PLATFORM") or torch.cuda.is_available() or has_npu:
        return False
    os.environ["VERL_PLATFORM"] = "cpu"
    return True
