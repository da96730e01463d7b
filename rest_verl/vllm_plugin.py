"""What vLLM loads (entry point group `vllm.general_plugins`) in each of its processes.

A no-op but where verl runs without an accelerator: nothing of :mod:`rest_verl.cpu` is imported on a
machine with one.
"""

import os


def register() -> None:
    """Keeps the weights of linear layers in place when verl's platform is `cpu`."""
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        from rest_verl.cpu.vllm_weights import keep_weights_in_place

        keep_weights_in_place()
