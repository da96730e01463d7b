"""The memory formulas against bytes counted on real (tiny) models and verl's own functions."""

from dataclasses import replace

import pytest
import torch
from live_bytes import LiveBytes
from transformers import LlamaConfig, Qwen3Config, Qwen3ForCausalLM
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from rest_verl.planning.activations import layer_activations
from rest_verl.planning.gpus import GIB
from rest_verl.planning.head import inference_head, training_head
from rest_verl.planning.memory import update_memory
from rest_verl.planning.settings import MicroBatch, Settings, read_settings
from rest_verl.planning.shapes import shape_from_config

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "tie_word_embeddings": True,
}
TOKENS, VOCAB = 512, 2048
MODELS = {"qwen3": (Qwen3ForCausalLM, Qwen3Config), "llama": (LlamaForCausalLM, LlamaConfig)}


def tiny(kind: str = "qwen3", **changes):
    model_class, config_class = MODELS[kind]
    config = config_class(**SIZES, **changes)
    config._attn_implementation = "sdpa"
    return model_class(config).train(), shape_from_config(config.to_dict())


@pytest.fixture
def alone(config) -> Settings:
    """One GPU and one row of 2,048 tokens a micro-batch."""
    return replace(
        read_settings(config({"trainer.n_gpus_per_node": 1})),
        prompt_length=1024,
        response_length=1024,
        update=MicroBatch(dynamic=False, tokens=0, rows=1),
    )


def test_parameters_gradients_and_adamw_to_the_byte(alone: Settings) -> None:
    model, shape = tiny(num_hidden_layers=2, vocab_size=64)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    model(input_ids=torch.arange(8)[None]).logits.sum().backward()
    optimizer.step()
    parameters = list(model.parameters())
    moments = [
        state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")
    ]
    phase = update_memory(replace(alone, fsdp2=True), shape, 80)
    assert phase.parameters * GIB == sum(p.nbytes for p in parameters)
    assert phase.gradients * GIB == sum(p.grad.nbytes for p in parameters)
    assert phase.optimizer * GIB == sum(moment.nbytes for moment in moments)


@pytest.mark.parametrize("kind", MODELS)
def test_what_a_layer_saves(kind: str) -> None:
    saved = []
    for layers in (1, 2):
        model, shape = tiny(kind, num_hidden_layers=layers, vocab_size=64)
        model = model.to(torch.bfloat16)
        storages = {}
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

        def keep(tensor, storages=storages, weights=weights):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storages[storage.data_ptr()] = tensor  # held, so that no address is used twice
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(input_ids=torch.arange(64)[None], use_cache=False)
        saved.append(sum(tensor.untyped_storage().nbytes() for tensor in storages.values()))
    # a row statistic a norm and head, and the attention's, are the difference
    assert (saved[1] - saved[0]) / 64 == pytest.approx(layer_activations(shape, 2), rel=0.02)


@pytest.mark.parametrize("checkpointing", [True, False])
def test_peak_of_a_backward_pass(alone: Settings, checkpointing: bool) -> None:
    model, shape = tiny(num_hidden_layers=4, vocab_size=32)  # so few that a layer is the peak
    model = model.to(torch.bfloat16)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    tokens = torch.zeros(1, 2048, dtype=torch.long)
    with LiveBytes() as live:
        model(input_ids=tokens, use_cache=False).logits.sum().backward()
    phase = update_memory(replace(alone, checkpointing=checkpointing), shape, 80)
    gradients = 2 * shape.parameters
    assert phase.moment == "layer"
    assert live.peak - gradients <= phase.activations * GIB <= 1.25 * live.peak


# flash attention absent; entropy in the pass, gradient, fp32 compute
HEADS = [
    pytest.param(False, False, False, id="log-probs"),
    pytest.param(False, True, False, id="update"),
    pytest.param(True, False, False, id="old log-probs with entropy"),
    pytest.param(True, True, False, id="update with entropy"),
    pytest.param(False, False, True, id="log-probs in fp32"),
    pytest.param(False, True, True, id="update in fp32"),
]


@pytest.mark.parametrize(("entropy", "gradient", "fp32"), HEADS)
def test_output_layer(
    alone: Settings, monkeypatch: pytest.MonkeyPatch, entropy: bool, gradient: bool, fp32: bool
) -> None:
    verl = pytest.importorskip("verl.utils.torch_functional")
    functional = torch.nn.functional
    for name in ("softmax", "log_softmax"):  # CUDA's autocast computes them in fp32, CPU's not
        plain = getattr(functional, name)
        monkeypatch.setattr(functional, name, lambda x, dim, plain=plain: plain(x.float(), dim=dim))
    dtype = torch.float32 if fp32 else torch.bfloat16
    hidden = torch.randn(TOKENS, 8, dtype=dtype)
    weight = torch.randn(VOCAB, 8, dtype=dtype, requires_grad=True)
    labels = torch.randint(0, VOCAB, (TOKENS,))
    with LiveBytes() as live:
        with torch.set_grad_enabled(gradient):
            logits = hidden @ weight.t()
            loss = verl.entropy_from_logits(logits).sum() if entropy else 0.0
            loss = loss + verl.logprobs_from_logits_v2(logits, labels).sum()
        del logits
        if gradient:
            loss.backward()
    settings = replace(
        alone,
        flash_attention=False,
        compiled_entropy=False,
        entropy_in_update=entropy,
        compute_bytes=4 if fp32 else 2,
    )
    expected = (
        training_head(settings, TOKENS, VOCAB)
        if gradient
        else inference_head(settings, TOKENS, VOCAB, entropy=entropy)
    )
    assert live.peak == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("gradient", [False, True])
def test_fused_output_layer(alone: Settings, gradient: bool) -> None:
    fused = pytest.importorskip("verl.utils.experimental.torch_functional").FusedLinearForPPO()
    hidden = torch.randn(1, 1024, 8, dtype=torch.bfloat16, requires_grad=gradient)
    weight = torch.randn(VOCAB, 8, dtype=torch.bfloat16, requires_grad=gradient)
    labels = torch.randint(0, VOCAB, (1, 1024))
    with LiveBytes() as live:
        log_probs, _ = fused(hidden, weight, labels)
        if gradient:
            log_probs.sum().backward()
    settings = replace(alone, fused_kernels=True)
    expected = (
        training_head(settings, 1024, VOCAB)
        if gradient
        else inference_head(settings, 1024, VOCAB, entropy=True)
    )
    assert live.peak == pytest.approx(expected, rel=0.08)
