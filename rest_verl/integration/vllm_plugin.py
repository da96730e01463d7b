"""What vLLM loads (entry point group `vllm.general_plugins`) in each of its processes.

A no-op but in the engines of `rest-verl evaluate` and where verl runs without an accelerator:
nothing of :mod:`rest_verl.integration.cpu` is imported on a machine with one.
"""

from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.engine_lifetime import end_with_owner


def register() -> None:
    """Ties an evaluation's engine to its process; with verl's platform `cpu`, keeps the weights of
    linear layers in place."""
    end_with_owner()
    if runs_on_cpu():
        from rest_verl.integration.cpu.vllm_weights import keep_weights_in_place

        keep_weights_in_place()
