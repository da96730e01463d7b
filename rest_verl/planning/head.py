"""Memory of the output layer: logits, log-probabilities and entropy, as verl's FSDP engine does it.

The factors are bytes a token and vocabulary entry. They follow verl 0.9.1's
`FSDPEngineWithLMHead.prepare_model_outputs` and `utils/torch_functional.py` under bf16 autocast on
CUDA, where softmax and log_softmax compute in fp32; those without a Triton or compiled kernel were
counted by tracking every live storage of those functions.
"""

from rest_verl.planning.settings import Settings

FP32 = 4

FUSED_CHUNK = 512
"""Tokens that verl's fused linear kernel handles at once (`FusedLinearForPPO.chunk_size`)."""
FUSED_FORWARD = 12
FUSED_BACKWARD = 21
"""Bytes a chunk token and vocabulary entry, in bf16."""

EAGER_ENTROPY_FORWARD = 2 * FP32
"""Beyond the logits: the softmax, and its fp32 input or its product with the logits."""
EAGER_ENTROPY_BACKWARD = 3 * FP32
"""Beyond logits and log-probabilities: the softmax, its gradient, the logits' gradient."""


def training_bytes(settings: Settings) -> int:
    """Bytes a token and vocabulary entry at the peak of the output layer's backward pass."""
    logit = settings.compute_bytes
    if settings.flash_attention:
        # Its cross entropy overwrites the logits with their gradient, unless entropy needs them.
        needed = 2 * logit if settings.entropy_in_update else logit
    elif logit == FP32:
        needed = 4 * logit  # logits, gathered gradient, a gradient a row, and their stack
    else:
        needed = logit + FP32  # logits or their gradient, and log_softmax in fp32
    if settings.entropy_in_update:
        needed += logit if settings.compiled_entropy else EAGER_ENTROPY_BACKWARD
    return needed + (logit if settings.scaled_logits else 0)


def inference_bytes(settings: Settings, *, entropy: bool) -> int:
    """Bytes a token and vocabulary entry of a forward pass without gradients."""
    copies = 2 if settings.scaled_logits else 1
    extra = EAGER_ENTROPY_FORWARD if entropy and not settings.compiled_entropy else 0
    return copies * settings.compute_bytes + extra


def training_head(settings: Settings, tokens: float, vocab: int) -> float:
    """Bytes of the output layer's forward and backward for the tokens of one GPU."""
    if settings.fused_kernels:
        return FUSED_BACKWARD * min(tokens, FUSED_CHUNK) * vocab
    return training_bytes(settings) * tokens * vocab


def inference_head(settings: Settings, tokens: float, vocab: int, *, entropy: bool) -> float:
    """Bytes of the output layer's forward for the tokens of one GPU."""
    if settings.fused_kernels:
        return FUSED_FORWARD * min(tokens, FUSED_CHUNK) * vocab
    return inference_bytes(settings, entropy=entropy) * tokens * vocab
