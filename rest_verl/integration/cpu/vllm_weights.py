"""Keeps vLLM's CPU linear layers on plain weights, so that verl can update them while it serves.

vLLM packs the weights of linear layers at load (oneDNN or SGL kernels, where the processor and the
dtype have one) and drops the originals; verl's next weight update then finds an empty parameter.
"""


def keep_weights_in_place() -> None:
    """Makes `dispatch_cpu_unquantized_gemm` take its fallback, `torch.nn.functional.linear`."""
    from vllm import _custom_ops
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    _custom_ops._supports_onednn = False
    utils.check_cpu_sgl_kernel = lambda n, k, dtype: False
