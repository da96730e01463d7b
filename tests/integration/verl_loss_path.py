"""verl's own way from a mini-batch to gradients: its config, micro-batches and `ppo_loss`.

It does what verl's engines do with a mini-batch (`forward_backward_batch`), but for the model: the
log-probabilities are the leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import verl
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from recorded_batch import RecordedBatch
from tensordict import TensorDict
from torch import Tensor
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import ActorConfig
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.utils.losses import ppo_loss

COLUMN = "rollout_is_weights"
SCALE = 100  # loss_scale_factor: longer than any recorded response

SPLITS: dict[str, dict[str, Any]] = {
    "whole": {"micro_batch_size_per_gpu": 8},
    "twos": {"micro_batch_size_per_gpu": 2},
    "ones": {"micro_batch_size_per_gpu": 1},
    # by tokens: rows in another order, micro-batches of different sizes
    "dynamic": {"use_dynamic_bsz": True, "max_token_len_per_gpu": 160},
    "dynamic, large": {"use_dynamic_bsz": True, "max_token_len_per_gpu": 260},
}
"""How verl's engine is told to split a mini-batch."""


def compose_verl(*overrides: str) -> DictConfig:
    """verl's unmodified training configuration with the command line's overrides."""
    GlobalHydra.instance().clear()
    folder = Path(verl.__path__[0]) / "trainer" / "config"
    with initialize_config_dir(str(folder), version_base=None):
        return compose(
            "ppo_trainer",
            overrides=["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1", *overrides],
        )


def actor_config(composed: DictConfig, **settings: Any) -> ActorConfig:
    """The actor's dataclass, as verl's worker makes it; `policy_loss__x` reaches into a group."""
    actor = composed.actor_rollout_ref.actor.copy()
    for name, value in settings.items():
        *groups, last = name.split("__")
        node = actor
        for group in groups:
            node = node[group]
        node[last] = value
    return omega_conf_to_dataclass(actor)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What verl's path gave: the summed loss, each row's gradients, each micro-batch's rows."""

    loss: float
    log_prob_grads: list[Tensor]
    entropy_grads: list[Tensor]
    rows: list[list[int]]


def jagged(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def verl_batch(recorded: RecordedBatch, column: list[Tensor] | None, **split: Any) -> TensorDict:
    """The mini-batch as verl's trainer sends it to a worker; None: without the column."""
    inputs = [torch.cat(pair) for pair in zip(recorded.prompts, recorded.responses, strict=True)]
    columns = {
        "input_ids": inputs,
        "prompts": recorded.prompts,
        "responses": recorded.responses,
        "response_mask": recorded.masks,
        "loss_mask": recorded.masks,
        "old_log_probs": recorded.old_log_probs,
        "ref_log_prob": recorded.ref_log_probs,
        "advantages": recorded.advantages,
    }
    if column is not None:
        columns[COLUMN] = column
    tensors: dict[str, Any] = {name: jagged(rows) for name, rows in columns.items()}
    tensors["row"] = torch.arange(len(inputs))
    num_tokens = int(sum(mask.sum() for mask in recorded.masks))
    return tu.get_tensordict(
        tensors,
        {
            "use_dynamic_bsz": False,
            "dp_size": 1,
            "batch_num_tokens": num_tokens,
            "global_batch_size": len(inputs),
            **split,
        },
    )


def micro_batches(
    recorded: RecordedBatch, column: list[Tensor] | None, split: str
) -> list[TensorDict]:
    """The mini-batch as verl's engine splits it."""
    return prepare_micro_batches(verl_batch(recorded, column, **SPLITS[split]))[0]


def run(
    config: ActorConfig,
    recorded: RecordedBatch,
    split_batch: list[TensorDict],
    loss_function: Callable[..., Any] = ppo_loss,
    with_entropy: bool = False,
) -> Outcome:
    """Each micro-batch's loss and the sum of their gradients, as verl's engine makes them."""
    leaves = [row.clone().requires_grad_() for row in recorded.log_probs]
    entropies = [row.clone().requires_grad_() for row in recorded.entropies]
    total, rows = 0.0, []
    for micro_batch in split_batch:
        chosen = micro_batch["row"].tolist()
        output = {"log_probs": _model_output(leaves, recorded, chosen)}
        if with_entropy:
            output["entropy"] = _model_output(entropies, recorded, chosen)
        loss, _ = loss_function(config=config, model_output=output, data=micro_batch)
        loss.backward()
        total += loss.item()
        rows.append(chosen)
    return Outcome(
        loss=total,
        log_prob_grads=gradients(leaves),
        entropy_grads=gradients(entropies),
        rows=rows,
    )


def gradients(leaves: list[Tensor]) -> list[Tensor]:
    """The gradients, zero where there are none."""
    return [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]


def _model_output(leaves: list[Tensor], recorded: RecordedBatch, rows: list[int]) -> Tensor:
    """As a model puts them out: over prompt and response, each value one position early."""
    full = []
    for row in rows:
        before = leaves[row].new_zeros(len(recorded.prompts[row]) - 1)
        full.append(torch.cat([before, leaves[row], leaves[row].new_zeros(1)]))
    return torch.nested.nested_tensor_from_jagged(
        torch.cat(full), torch.tensor([0, *(len(x) for x in full)]).cumsum(0)
    )
