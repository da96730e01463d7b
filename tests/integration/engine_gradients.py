"""Runs verl's FSDP2 engine on the recorded batch and prints how far its gradients are from plain
torch's; started in a process of its own, with the platform cpu.

Usage: python engine_gradients.py FOLDER, for the tiny model. Prints one JSON object a case.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])]
os.environ.update(VERL_PLATFORM="cpu", MASTER_ADDR="127.0.0.1", RANK="0", WORLD_SIZE="1")

import torch
import torch.distributed
from omegaconf import DictConfig
from peft import get_peft_model
from recorded_batch import TAGS, RecordedBatch, recorded_batch
from reference_objective import Response, Settings, mean_of, terms_of
from tiny_policy import save_policy
from torch import Tensor
from toy_tokenizers import byte_level
from transformers import Qwen3ForCausalLM
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine import EngineRegistry
from verl.workers.utils.losses import ppo_loss
from verl_loss_path import SPLITS, actor_config, compose_verl, verl_batch

from recipes.plain_torch.loop import Loop
from recipes.plain_torch.loop import Settings as LoopSettings

MEAN = "seq-mean-token-mean"
# name -> loss mode, preset, split, and what of verl's options is on
CASES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "whole": ("vanilla", "paper", "whole", ()),
    "twos": ("vanilla", "paper", "twos", ()),
    "ones": ("rest", "no_think", "ones", ()),
    "dynamic": ("rest", "official", "dynamic", ()),
    "sequence ratio": ("gspo", "paper", "dynamic", ()),
    "uniform": ("vanilla", "uniform", "twos", ()),
    "remove_padding": ("vanilla", "paper", "dynamic", ("use_remove_padding",)),
    "lora": ("vanilla", "paper", "twos", ("lora",)),
}


def make_engine(folder: Path, options: tuple[str, ...]) -> tuple[Any, DictConfig]:
    """verl's engine for the tiny model, and the composed configuration that it was made from."""
    composed = compose_verl(
        f"actor_rollout_ref.model.path={folder}",
        f"actor_rollout_ref.model.use_remove_padding={'use_remove_padding' in options}",
        f"actor_rollout_ref.model.lora_rank={4 if 'lora' in options else 0}",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "actor_rollout_ref.model.enable_gradient_checkpointing=False",
        "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.actor.fsdp_config.dtype=float32",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
        *(
            f"+actor_rollout_ref.actor.fsdp_config.mixed_precision.{part}_dtype=fp32"
            for part in ("param", "reduce", "buffer")
        ),
    )
    config = actor_config(composed)
    model_config = omega_conf_to_dataclass(composed.actor_rollout_ref.model)
    config.engine.use_remove_padding = model_config.use_remove_padding
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=config.strategy,
        model_config=model_config,
        engine_config=config.engine,
        optimizer_config=config.optim,
        checkpoint_config=config.checkpoint,
    )
    engine.initialize()
    with torch.no_grad():
        for name, parameter in engine.module.named_parameters():
            if "lora_B" in name:  # zeros to begin with: the other half would have no gradient
                parameter.normal_(std=0.1)
    return engine, composed


def log_probs(model: torch.nn.Module, recorded: RecordedBatch) -> list[Tensor]:
    """Each response's log-probabilities, one row at a time, without padding."""
    rows = []
    for prompt, response in zip(recorded.prompts, recorded.responses, strict=True):
        ids = torch.cat([prompt, response])
        logits = model(input_ids=ids[None], use_cache=False).logits[0, len(prompt) - 1 : -1]
        rows.append(logits.log_softmax(-1).gather(1, response[:, None])[:, 0])
    return rows


def expected_gradients(
    model: torch.nn.Module, recorded: RecordedBatch, mode: str, weights: list[Tensor]
) -> dict[str, Tensor]:
    """Gradients of the written formula through a plain forward pass."""
    model.zero_grad()
    losses = []
    for i, log_prob in enumerate(log_probs(model, recorded)):
        mask = recorded.masks[i]
        if mask.any():
            response = Response(
                log_prob=log_prob[mask],
                old_log_prob=recorded.old_log_probs[i][mask],
                advantage=recorded.advantages[i][mask],
                weight=weights[i][mask],
            )
            [term] = terms_of(mode, [response], Settings(clip_ratio_high=0.2))
            losses.append(-response.weight * term)
    mean_of(MEAN, losses, num_tokens=0, num_responses=len(recorded.masks)).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def engine_gradients(
    engine: Any,
    composed: DictConfig,
    recorded: RecordedBatch,
    weights: list[Tensor] | None,
    case: str,
) -> dict[str, Tensor]:
    """Gradients that verl's engine accumulates over its micro-batches."""
    mode, _, split, options = CASES[case]
    config = actor_config(composed, policy_loss__loss_mode=mode, loss_agg_mode=MEAN)
    batch = verl_batch(recorded, weights, **SPLITS[split])
    positions = [torch.arange(len(row)) for row in batch["input_ids"].unbind()]
    batch["position_ids"] = torch.nested.as_nested_tensor(positions, layout=torch.jagged)
    tu.assign_non_tensor(batch, temperature=1.0, use_remove_padding="use_remove_padding" in options)
    with engine.train_mode():
        engine.optimizer_zero_grad()
        engine.forward_backward_batch(
            batch, lambda **inputs: ppo_loss(config=config, **inputs), forward_only=False
        )
        return {
            name: getattr(p.grad, "full_tensor", lambda p=p: p.grad)().clone()
            for name, p in engine.module.named_parameters()
            if p.grad is not None
        }


def loop_gradients(
    model: torch.nn.Module, recorded: RecordedBatch, weights: list[Tensor]
) -> dict[str, Tensor]:
    """Gradients that the loop without verl accumulates, three responses at a time."""

    def padded(rows: list[Tensor]) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    settings = LoopSettings(micro_rows=3, clip_ratio_high=0.2)
    loop = Loop(model, byte_level(TAGS), settings)
    model.zero_grad()
    loop.accumulate(
        [prompt.tolist() for prompt in recorded.prompts],
        padded(recorded.responses),
        padded(recorded.old_log_probs),
        padded(recorded.advantages),
        padded(recorded.masks),
        padded(weights),
    )
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def main(folder: Path) -> None:
    save_policy(folder)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1
    )
    recorded = recorded_batch()
    engines = {options: make_engine(folder, options) for options in {c[3] for c in CASES.values()}}
    for case, (mode, preset, _, options) in CASES.items():
        engine, composed = engines[options]
        plain = Qwen3ForCausalLM.from_pretrained(folder, attn_implementation="eager")
        if "lora" in options:
            plain = get_peft_model(plain, engine.module.peft_config["default"])
            state = {
                name: p.full_tensor() if hasattr(p, "full_tensor") else p
                for name, p in engine.module.state_dict().items()
            }
            plain.load_state_dict(state)
        noise = torch.Generator().manual_seed(2)
        with torch.no_grad():  # ratios around one, on both sides of the clips
            rows = [row.detach() for row in log_probs(plain, recorded)]
            old = [row + 0.3 * torch.randn(len(row), generator=noise) for row in rows]
        fields = {name: getattr(recorded, name) for name in RecordedBatch.__annotations__}
        fields["old_log_probs"] = old
        fields["advantages"] = [row.float() for row in recorded.advantages]
        batch = RecordedBatch(**fields)
        weights = recorded.weights(preset)
        expected = expected_gradients(plain, batch, mode, weights)
        found = engine_gradients(engine, composed, batch, weights, case)
        difference = max(float((found[k] - expected[k]).abs().max()) for k in expected)
        result = {
            "case": case,
            "same_parameters": found.keys() == expected.keys(),
            "largest": max(float(grad.abs().max()) for grad in expected.values()),
            "difference": difference,
        }
        if case == "ones":
            # A padding row trains nothing, but verl counts it as a response; the loop has none.
            rows = [i for i, mask in enumerate(batch.masks) if mask.any()]
            real = RecordedBatch(**{k: [getattr(batch, k)[i] for i in rows] for k in fields})
            real_weights = [weights[i] for i in rows]
            by_engine = engine_gradients(engine, composed, real, real_weights, case)
            by_loop = loop_gradients(plain, real, real_weights)
            result["plain_loop"] = max(
                float((by_loop[name] - by_engine[name]).abs().max()) for name in by_engine
            )
            result["plain_loop_parameters"] = by_loop.keys() == by_engine.keys()
        if preset == "uniform":
            without = engine_gradients(engine, composed, batch, None, case)
            result["bit_equal"] = all(torch.equal(found[k], without[k]) for k in found)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
