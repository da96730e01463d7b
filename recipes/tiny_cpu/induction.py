"""Starts the tiny model with an induction head, the circuit that copies from the prompt.

A call's name and arguments are mostly copied. Transformers learn to copy by growing an induction
head (Olsson et al. 2022, "In-context Learning and Induction Heads"), which takes a model this small
longer on two cores than the whole recipe. So two heads start in place; everything else is random,
and when to copy what is left to training.

    layer 0, head 0   attends to the previous token and notes its code in the subspace PREVIOUS
    layer 1, head 0   attends to the token whose PREVIOUS is the current token, and adds its code
                      to the residual stream, where the tied output layer reads it

Letters: H hidden size, D head size.
"""

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

CODE_SIZE = 64
CODE = slice(0, CODE_SIZE)  # a token's identity
CONSTANT = CODE_SIZE  # the same in every token: what a purely positional head reads
PREVIOUS = slice(96, 128)  # the code (projected) of the token before
MATCH_SIZE = PREVIOUS.stop - PREVIOUS.start
CODE_STD = 0.06
CONSTANT_VALUE = 0.25
NUM_POSITION_PAIRS = 4
POSITION_GAIN, MATCH_GAIN = 2.5, 2.5
COPY_STRENGTH = 5.0


@torch.no_grad()
def start_with_induction_head(model: Qwen3ForCausalLM, generator: torch.Generator) -> None:
    """Writes the two heads into a fresh model; needs head size 64 and a large `rope_theta`.

    Rotary pairs (i, i + D/2) of low i turn fast and serve the positional head; those of high i
    hardly turn within a prompt and serve the match, which must not depend on the distance.
    """
    embedding = model.model.embed_tokens.weight
    embedding[:, CODE].normal_(0.0, CODE_STD, generator=generator)
    embedding[:, CONSTANT] = CONSTANT_VALUE
    projection = torch.randn(MATCH_SIZE, CODE_SIZE, generator=generator) / CODE_SIZE**0.5
    config = model.config
    _previous_token_head(
        model.model.layers[0].self_attn, projection, config.rope_parameters["rope_theta"]
    )
    _match_head(model.model.layers[1].self_attn, projection)


def _previous_token_head(attention: torch.nn.Module, projection: Tensor, theta: float) -> None:
    half = attention.head_dim // 2
    pairs = torch.arange(NUM_POSITION_PAIRS)
    angle = theta ** (-pairs / half)
    query, key = attention.q_proj.weight[: 2 * half], attention.k_proj.weight[: 2 * half]
    query.zero_()
    key.zero_()
    key[pairs, CONSTANT] = 1.0
    # The key turned one step back: their rotated product is then largest at distance 1.
    query[pairs, CONSTANT] = torch.cos(angle)
    query[pairs + half, CONSTANT] = -torch.sin(angle)
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight[pairs] = POSITION_GAIN
        norm.weight[pairs + half] = POSITION_GAIN
    value, output = attention.v_proj.weight, attention.o_proj.weight
    value[: 2 * half].zero_()
    value[:MATCH_SIZE, CODE] = projection
    output[:, : 2 * half].zero_()
    output[PREVIOUS, :MATCH_SIZE] = CODE_STD * torch.eye(MATCH_SIZE)


def _match_head(attention: torch.nn.Module, projection: Tensor) -> None:
    half = attention.head_dim // 2
    quarter = MATCH_SIZE // 2
    still = torch.cat(
        [torch.arange(half - quarter, half), torch.arange(2 * half - quarter, 2 * half)]
    )
    query, key = attention.q_proj.weight[: 2 * half], attention.k_proj.weight[: 2 * half]
    query.zero_()
    key.zero_()
    query[still, CODE] = projection
    key[still, PREVIOUS] = torch.eye(MATCH_SIZE)
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight[still] = MATCH_GAIN
    value, output = attention.v_proj.weight, attention.o_proj.weight
    value[: 2 * half].zero_()
    value[:CODE_SIZE, CODE] = torch.eye(CODE_SIZE)
    output[:, : 2 * half].zero_()
    output[CODE, :CODE_SIZE] = COPY_STRENGTH * CODE_STD * torch.eye(CODE_SIZE)
