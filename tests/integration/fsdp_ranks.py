"""Training steps of verl's FSDP2 worker by one rank and by two, on the CPU and without Ray.

Usage: python fsdp_ranks.py FOLDER. Each rank writes what it got and did to FOLDER. The ranks are
forks of this process, so that verl is imported once.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "support"))
os.environ.update(
    VERL_PLATFORM="cpu", GLOO_SOCKET_IFNAME="lo", MASTER_ADDR="127.0.0.1", MASTER_PORT="0"
)

import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from recorded_batch import TAGS, RecordedBatch, recorded_batch
from row_labelers import row_labeler
from tensordict import TensorDict
from tiny_policy import save_policy
from torch import Tensor
from torch.multiprocessing import start_processes
from toy_tokenizers import byte_level
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import response_from_nested

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig
from rest_verl.integration import trainer

RANKS = ((0, 1), (0, 2), (1, 2))  # (rank, world size): one alone, and a pair
# The means of the loss and the micro-batches of the two steps.
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("seq-mean-token-mean", {"use_dynamic_bsz": False}),
    ("token-mean", {"use_dynamic_bsz": True, "max_token_len_per_gpu": 160}),
)
RECIPE = Path(__file__).parents[2] / "recipes" / "tiny_cpu"
OVERRIDES = (
    "+rest=paper",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=2",
    # A parameter's change is then its gradient, clipped. Adam would divide that by its size, and
    # rounding alone would decide the sign of what is almost zero.
    "actor_rollout_ref.actor.optim.optimizer=SGD",
    "actor_rollout_ref.actor.optim.lr=1.0",
)


class Queue:
    """TransferQueue's key-value calls on one batch in memory."""

    def __init__(self, columns: TensorDict) -> None:
        self.columns = columns

    def kv_batch_get(self, keys: Any, partition_id: str, select_fields: list[str]) -> TensorDict:
        return self.columns.select(*select_fields, strict=False)

    def kv_batch_put(self, keys: Any, partition_id: str, fields: TensorDict) -> None:
        self.columns.update(fields)


class Driver(trainer.ReSTMixin):
    """ResT's part of the trainer, which runs in one process whatever the number of ranks."""

    def __init__(self) -> None:
        self.rest_config = ReSTConfig.preset("paper")
        self.labeler = row_labeler(byte_level(TAGS))
        self.clock, self.memory = Clock(horizon=10), EntropyMemory(share=0.0)
        self.global_steps = 4

    def weigh(self, batch: TensorDict) -> dict[str, float]:
        """Adds the column of weights to `batch`; returns ResT's statistics."""
        trainer.tq = Queue(batch)
        keys = [f"row_{i}" for i in range(len(batch))]
        tags = [{"min_global_steps": 3, "max_global_steps": 3} for _ in keys]
        statistics: dict[str, float] = {}
        labels = self.labeler.read(batch.select("responses", "response_mask"))
        meta = KVBatchMeta(keys=keys, tags=tags, partition_id="train")
        self._write_weights(meta, labels, statistics)
        return statistics


def jagged(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def make_batch(recorded: RecordedBatch) -> TensorDict:
    """What verl's trainer has of the batch before its own passes of the model."""
    inputs = [torch.cat(pair) for pair in zip(recorded.prompts, recorded.responses, strict=True)]
    columns = {
        "input_ids": inputs,
        "position_ids": [torch.arange(len(row)) for row in inputs],
        "prompts": recorded.prompts,
        "responses": recorded.responses,
        "response_mask": [mask.long() for mask in recorded.masks],
        "loss_mask": [mask.long() for mask in recorded.masks],
        "advantages": [row.float() for row in recorded.advantages],
    }
    return TensorDict({k: jagged(rows) for k, rows in columns.items()}, batch_size=len(inputs))


def own_part(batch: TensorDict, rank: int, world_size: int, **settings: Any) -> TensorDict:
    """What verl's dispatch sends to a data-parallel rank."""
    part = tu.chunk_tensordict(batch, world_size)[rank]
    tu.assign_non_tensor(part, temperature=1.0, **settings)
    return part


def gather_rows(rows: Tensor, world_size: int) -> Tensor:
    """All ranks' rows in the batch's order, as the data queue would join them."""
    parts: list[list[Tensor]] = [[] for _ in range(world_size)]
    dist.all_gather_object(parts, list(rows.unbind()))
    return jagged([row for part in parts for row in part])


def train_step(
    worker: ActorRolloutRefWorker, rank: int, world_size: int, split: dict[str, Any], noise: Any
) -> dict[str, Any]:
    """verl's sequence: old log-probabilities, ResT's weights of the whole batch, the update."""
    batch = make_batch(recorded_batch())
    mask = batch["response_mask"]
    settings = {"calculate_entropy": True, "compute_loss": False}
    output = worker.compute_log_prob(own_part(batch, rank, world_size, **settings))
    batch["entropy"] = response_from_nested(gather_rows(output["entropy"], world_size), mask)
    log_probs = response_from_nested(gather_rows(output["log_probs"], world_size), mask)
    # As if an older policy had sampled: ratios on both sides of the clips.
    batch["old_log_probs"] = jagged(
        [row + 0.3 * torch.randn(len(row), generator=noise) for row in log_probs.unbind()]
    )
    statistics = Driver().weigh(batch)
    settings = {
        "calculate_entropy": False,
        "global_batch_size": len(batch),
        "mini_batch_size": len(batch),
        "dataloader_kwargs": {"shuffle": False},
        **split,
    }
    part = own_part(batch, rank, world_size, **settings)
    metrics = tu.get(worker.update_actor(part), "metrics")
    state = worker.actor.engine.module.state_dict()
    return {
        "statistics": statistics,
        "column": list(part[trainer.WEIGHT_COLUMN].unbind()),
        "loss": metrics["loss"],
        "grad_norm": metrics["grad_norm"],
        "parameters": {name: value.full_tensor().clone() for name, value in state.items()},
    }


def run_rank(index: int, folder: Path) -> None:
    rank, world_size = RANKS[index]
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
        DIST_INIT_METHOD=f"file://{folder}/rendezvous_{world_size}",
    )
    with initialize_config_dir(str(RECIPE), version_base=None):
        path = f"actor_rollout_ref.model.path={folder}"
        config = compose("tiny_cpu", overrides=[*OVERRIDES, path]).actor_rollout_ref
    worker = ActorRolloutRefWorker(config=config, role="actor")
    worker.init_model()
    noise = torch.Generator().manual_seed(2)
    steps = []
    for aggregation, split in STEPS:
        config.actor.loss_agg_mode = aggregation
        worker.set_loss_fn(partial(ppo_loss, config=omega_conf_to_dataclass(config.actor)))
        steps.append(train_step(worker, rank, world_size, split, noise))
    torch.save(steps, folder / f"rank_{rank}_of_{world_size}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    save_policy(target)
    start_processes(run_rank, args=(target,), nprocs=len(RANKS), start_method="fork")
