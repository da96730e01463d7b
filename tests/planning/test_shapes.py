"""Parameter counts against the published ones and against transformers' own models."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rest_verl.planning.shapes import PUBLISHED, ModelShape, model_shape, shape_from_config

# billions, from the models' cards; Qwen3-1.7B's 2.03 counts the tied output layer twice
TOTALS = {
    "Qwen/Qwen3-1.7B": 1.72,
    "Qwen/Qwen3-4B": 4.02,
    "Qwen/Qwen3-4B-Instruct-2507": 4.02,
    "Qwen/Qwen3-8B": 8.19,
    "Qwen/Qwen3-14B": 14.77,
    "meta-llama/Llama-3.2-3B-Instruct": 3.21,
}


def hub_config(shape: ModelShape, model_type: str) -> dict:
    return {
        "model_type": model_type,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocab,
        "tie_word_embeddings": shape.tied,
    }


TINY = ModelShape(
    hidden=48, layers=3, heads=4, kv_heads=2, head_dim=12, intermediate=80, vocab=99, tied=False
)


@pytest.mark.parametrize(("name", "billions"), TOTALS.items())
def test_published_totals(name: str, billions: float) -> None:
    assert round(model_shape(name).parameters / 1e9, 2) == billions


def test_untied_count_of_qwen3_1p7b() -> None:
    shape = PUBLISHED["qwen3-1.7b"]
    assert round((shape.parameters + shape.vocab_parameters) / 1e9, 2) == 2.03


@pytest.mark.parametrize(
    ("shape", "model_type"),
    [
        *((shape, "qwen3" if shape.qk_norm else "llama") for shape in PUBLISHED.values()),
        (TINY, "llama"),  # untied
        (TINY, "qwen2"),  # biases of q, k, v
        (TINY, "qwen3"),
    ],
)
def test_counts_equal_transformers(shape: ModelShape, model_type: str) -> None:
    config = hub_config(shape, model_type)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    counted = shape_from_config(config)
    assert counted.parameters == sum(p.numel() for p in model.parameters())
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    assert counted.layer_parameters == layer


def test_lora_adds_two_thin_matrices_to_each_linear_map() -> None:
    # q, o: 48 + 48; k, v: 48 + 24; gate, up, down: 48 + 80
    assert TINY.lora_parameters(8) == 3 * 8 * (2 * 96 + 2 * 72 + 3 * 128)


def test_a_folder_is_read_whatever_it_is_called(tmp_path) -> None:
    folder = tmp_path / "Qwen3-8B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(hub_config(TINY, "llama")))
    assert model_shape(str(folder)) == TINY


def test_an_absent_folder_goes_by_its_name(tmp_path) -> None:
    assert model_shape(str(tmp_path / "Qwen3-8B-Base")) == PUBLISHED["qwen3-8b"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"model_type": "qwen3_moe"}', "model_type qwen3_moe"),
        ('{"model_type": "llama", "num_attention_heads": 4}', "no hidden_size"),
        ('{"model_type": "llama", "num_attention_heads": 0, "hidden_size": null}', "int"),
        ('{"model_type": "llama", "attention_bias": true}', "attention_bias"),
        ("[]", "not a JSON object"),
        ("{", "not readable JSON"),
    ],
)
def test_other_configs_are_unknown(tmp_path, text: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        model_shape(str(tmp_path))


@pytest.mark.parametrize("name", ["org/Qwen3-32B", "", "Qwen3-8B-AWQ"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(ValueError, match="is none of qwen3"):
        model_shape(name)
