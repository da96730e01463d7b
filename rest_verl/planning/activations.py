"""Tokens of a micro-batch, and what a decoder layer saves for each of them."""

import math

from rest_verl.planning.head import FP32
from rest_verl.planning.settings import MicroBatch, Settings
from rest_verl.planning.shapes import ModelShape


def micro_batch_tokens(settings: Settings, cut: MicroBatch, batch: int) -> float:
    """Tokens of one GPU in the fullest micro-batch, with every sequence at its longest.

    Args:
        settings: The run.
        cut: How the batch is cut.
        batch: Prompts of the batch that is cut, over all GPUs.
    """
    ranks = max(1, settings.training_gpus // settings.sequence_parallel)
    rows = max(1, math.ceil(batch * settings.samples / ranks))
    longest = settings.sequence_length
    if cut.dynamic:
        budget = max(cut.tokens * settings.sequence_parallel, longest)
        whole = min(budget, rows * longest)
    else:
        whole = min(cut.rows, rows) * longest
    return whole / settings.sequence_parallel


def layer_activations(shape: ModelShape, compute: int) -> int:
    """Bytes a token that one decoder layer saves for its backward pass (flash attention).

    Two norms save their fp32 input, its normalised form and their output; q, k, v and the attention
    output once; the MLP its input to the gate's activation, that activation's output, the other
    factor and the product. Query and key norms save their fp32 input and its normalised form.
    """
    norms = 2 * (FP32 + 2 * compute) * shape.hidden
    attention = compute * 2 * (shape.q_size + shape.kv_size)
    per_head = (FP32 + compute) * (shape.q_size + shape.kv_size) if shape.qk_norm else 0
    return norms + attention + per_head + 4 * compute * shape.intermediate
