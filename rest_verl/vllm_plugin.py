"""What vLLM loads (entry point group `vllm.general_plugins`) in each of its processes.

A no-op but where verl runs without an accelerator: nothing of :mod:`rest_verl.cpu` is imported on a
machine with one.
"""

from rest_verl.chosen_platform import runs_on_cpu


def register() -> None:
    """Keeps the weights of linear layers in place when verl's platform is `cpu`."""
    if runs_on_cpu():
        from rest_verl.cpu.vllm_weights import keep_weights_in_place

        keep_weights_in_place()
