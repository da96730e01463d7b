"""The shape of a dense decoder-only model, and the parameter counts that follow from it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What a model's config.json says about its size.

    Covers the llama, qwen2 and qwen3 architectures as transformers implements them: a gated MLP,
    grouped key/value heads, RMS norms.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    """The output layer is the embedding."""
    qkv_bias: bool = False
    qk_norm: bool = False

    @property
    def q_size(self) -> int:
        """Width of all query heads of a layer."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of all key heads of a layer; the value heads have the same."""
        return self.kv_heads * self.head_dim

    @property
    def linear_shapes(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of a layer's seven linear maps: q, k, v, o, gate, up, down."""
        h, q, kv, f = self.hidden, self.q_size, self.kv_size, self.intermediate
        return (h, q), (h, kv), (h, kv), (q, h), (h, f), (h, f), (f, h)

    @property
    def layer_parameters(self) -> int:
        """Parameters of one decoder layer."""
        matrices = sum(rows * columns for rows, columns in self.linear_shapes)
        biases = (self.q_size + 2 * self.kv_size) if self.qkv_bias else 0
        norms = 2 * self.hidden + (2 * self.head_dim if self.qk_norm else 0)
        return matrices + biases + norms

    @property
    def vocab_parameters(self) -> int:
        """Parameters of one vocabulary matrix: the embedding, or the output layer."""
        return self.vocab * self.hidden

    @property
    def root_parameters(self) -> int:
        """Parameters outside the decoder layers."""
        return self.vocab_parameters * (1 if self.tied else 2) + self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, as `sum(p.numel() for p in model.parameters())` counts them."""
        return self.layers * self.layer_parameters + self.root_parameters

    @property
    def matmul_parameters(self) -> int:
        """Parameters that a token is multiplied with: the embedding is a look-up."""
        return self.layers * self.layer_parameters + self.vocab_parameters

    def lora_parameters(self, rank: int) -> int:
        """Parameters of LoRA adapters on every linear map of the layers (`all-linear`)."""
        return self.layers * rank * sum(rows + columns for rows, columns in self.linear_shapes)


def _qwen3(hidden: int, layers: int, heads: int, intermediate: int, tied: bool) -> ModelShape:
    return ModelShape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=8,
        head_dim=128,
        intermediate=intermediate,
        vocab=151_936,
        tied=tied,
        qk_norm=True,
    )


# From the config.json of each model on the Hugging Face hub.
PUBLISHED = {
    "qwen3-1.7b": _qwen3(2048, 28, 16, 6144, tied=True),
    "qwen3-4b": _qwen3(2560, 36, 32, 9728, tied=True),
    "qwen3-8b": _qwen3(4096, 36, 32, 12_288, tied=False),
    "qwen3-14b": _qwen3(5120, 40, 40, 17_408, tied=False),
    "llama-3.2-3b": ModelShape(
        hidden=3072,
        layers=28,
        heads=24,
        kv_heads=8,
        head_dim=128,
        intermediate=8192,
        vocab=128_256,
        tied=True,
    ),
}
"""By the hub name in lower case, without -Base, -Instruct, -Thinking and -2507."""

_VARIANT = re.compile(r"(-(base|instruct|thinking))?(-2507)?$")


def shape_from_config(config: dict[str, Any]) -> ModelShape:
    """The shape that a parsed config.json describes.

    Raises:
        ValueError: An architecture that the formulas here do not cover, or a missing size.
    """
    kind = config.get("model_type")
    if kind not in ("llama", "qwen2", "qwen3"):
        raise ValueError(f"model_type {kind} is none of llama, qwen2, qwen3")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise ValueError("attention_bias and mlp_bias are not covered")
    try:
        heads = int(config["num_attention_heads"])
        hidden = int(config["hidden_size"])
        return ModelShape(
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            intermediate=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            qkv_bias=kind == "qwen2",
            qk_norm=kind == "qwen3",
        )
    except KeyError as error:
        raise ValueError(f"no {error.args[0]}") from None
    except (TypeError, ZeroDivisionError) as error:
        raise ValueError(str(error)) from None


def model_shape(path: str) -> ModelShape:
    """The shape of the model that `actor_rollout_ref.model.path` names.

    Args:
        path: A folder with a config.json, or a hub name (or absent folder) whose last part is in
            `PUBLISHED`.

    Raises:
        ValueError: The shape is not known; the message says why.
    """
    folder = Path(path).expanduser()
    file = folder / "config.json"
    if file.is_file():
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} is not readable JSON: {error}") from None
        if not isinstance(config, dict):
            raise ValueError(f"{file} is not a JSON object")
        try:
            return shape_from_config(config)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    name = _VARIANT.sub("", folder.name.lower())
    if name not in PUBLISHED:
        raise ValueError(f"no {file}, and {folder.name} is none of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
