"""A token baseline through verl's FSDP2 worker: its log-probability pass, then the advantages.

Usage: python engine_squares.py FOLDER, for the tiny model. Prints one JSON object a case. Started
in a process of its own, with the platform cpu. The data queue is in memory; Ray is not needed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "support"))
os.environ.update(VERL_PLATFORM="cpu", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", GLOO_SOCKET_IFNAME="lo")

import numpy as np
import torch
from recorded_batch import REWARDS, RecordedBatch, recorded_batch
from tensordict import NonTensorData, NonTensorStack, TensorDict
from tiny_policy import save_policy
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transfer_queue import KVBatchMeta
from transformers import Qwen3ForCausalLM
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl_loss_path import compose_verl, jagged

from rest_verl.integration import estimators

TEMPERATURE = 0.7
ESTIMATOR = "optimal_token_baseline"
UIDS = ["a"] * 4 + ["b"] * 4
# name -> whether rows are packed, and how verl splits them
CASES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "padded": (False, ("actor.use_dynamic_bsz=False", "rollout.log_prob_use_dynamic_bsz=False")),
    # by tokens: rows in another order
    "packed, dynamic": (
        True,
        (
            "actor.use_dynamic_bsz=True",
            "rollout.log_prob_use_dynamic_bsz=True",
            "rollout.log_prob_max_token_len_per_gpu=160",
        ),
    ),
}


class Trainer(estimators.EstimatorInputs, PPOTrainerSync):
    """verl's trainer with the inputs of its estimators; it is never initialised."""


class Queue:
    """TransferQueue's calls on one batch in memory; batches keep what was asked of the workers."""

    def __init__(self, columns: TensorDict) -> None:
        self.columns = columns
        self.extra_info: dict[str, Any] = {}

    def kv_batch_get(self, keys: Any, partition_id: str, select_fields: list[str]) -> TensorDict:
        return self.columns.select(*select_fields, strict=False)

    def kv_batch_put(self, keys: list[str], partition_id: str, fields: TensorDict) -> KVBatchMeta:
        self.columns.update(fields)
        return meta(keys, self.extra_info)


class Workers:
    """verl's worker group: rows out of the queue, what the worker returns into it."""

    def __init__(self, worker: ActorRolloutRefWorker, queue: Queue) -> None:
        self.worker, self.queue = worker, queue
        self.asked: list[bool] = []

    def compute_log_prob(self, batch: KVBatchMeta) -> KVBatchMeta:
        self.queue.extra_info = batch.extra_info
        self.asked.append(batch.extra_info.get("calculate_sum_pi_squared", False))
        rows = self.queue.columns.exclude("uid")
        tu.assign_non_tensor(rows, **batch.extra_info)
        output = self.worker.compute_log_prob(rows)
        tensors = {k: v for k, v in output.items() if isinstance(v, torch.Tensor)}
        self.queue.columns.update(TensorDict(tensors, batch_size=len(batch)))
        return batch

    compute_ref_log_prob = compute_log_prob


def meta(keys: list[str], extra_info: dict[str, Any]) -> KVBatchMeta:
    tags = [{} for _ in keys]
    return KVBatchMeta(keys=keys, tags=tags, partition_id="train", extra_info=extra_info)


def make_columns(recorded: RecordedBatch) -> TensorDict:
    """What verl's trainer has of the batch before its own passes of the model."""
    inputs = [torch.cat(pair) for pair in zip(recorded.prompts, recorded.responses, strict=True)]
    scores = [torch.zeros(len(mask)) for mask in recorded.masks]
    for score, reward in zip(scores, REWARDS, strict=True):
        score[-1] = reward
    masks = [mask.long() for mask in recorded.masks]
    columns = {
        "input_ids": inputs,
        "position_ids": [torch.arange(len(row)) for row in inputs],
        "prompts": recorded.prompts,
        "responses": recorded.responses,
        "response_mask": masks,
        "loss_mask": masks,
        "rm_scores": scores,
    }
    tensors: dict[str, Any] = {name: jagged(rows) for name, rows in columns.items()}
    tensors["uid"] = NonTensorStack(*map(NonTensorData, UIDS))
    return TensorDict(tensors, batch_size=len(inputs))


def by_hand(model: torch.nn.Module, recorded: RecordedBatch) -> tuple[list[Tensor], list[Tensor]]:
    """Each response's log-probabilities and sums of squared probabilities, row by row."""
    log_probs, squares = [], []
    for prompt, response in zip(recorded.prompts, recorded.responses, strict=True):
        ids = torch.cat([prompt, response])
        logits = model(input_ids=ids[None], use_cache=False).logits[0, len(prompt) - 1 : -1]
        probabilities = (logits.double() / TEMPERATURE).softmax(-1)
        log_probs.append(probabilities.gather(1, response[:, None])[:, 0].log().float())
        squares.append(probabilities.square().sum(-1).float())
    return log_probs, squares


def largest_difference(found: Any, expected: list[Tensor]) -> float:
    rows = zip(found.unbind(), expected, strict=True)
    return max(float((one - other).abs().max()) for one, other in rows)


def run(folder: Path, case: str) -> dict[str, Any]:
    packed, split = CASES[case]
    config = compose_verl(
        f"algorithm.adv_estimator={ESTIMATOR}",
        f"actor_rollout_ref.model.path={folder}",
        f"actor_rollout_ref.model.use_remove_padding={packed}",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "actor_rollout_ref.actor.strategy=fsdp2",
        "actor_rollout_ref.actor.fsdp_config.dtype=float32",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
        *(
            f"+actor_rollout_ref.actor.fsdp_config.mixed_precision.{part}_dtype=fp32"
            for part in ("param", "reduce", "buffer")
        ),
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=2",
        "actor_rollout_ref.rollout.calculate_log_probs=False",
        f"actor_rollout_ref.rollout.temperature={TEMPERATURE}",
        *(f"actor_rollout_ref.{setting}" for setting in split),
    )
    worker = ActorRolloutRefWorker(config=config.actor_rollout_ref, role="actor")
    worker.init_model()
    recorded = recorded_batch()
    queue = Queue(make_columns(recorded))
    trainer_base.tq = estimators.tq = queue
    trainer = Trainer.__new__(Trainer)
    trainer.config, trainer.ref_in_actor = config, False
    trainer.estimator = estimators.completed_estimator(config)
    workers = trainer.actor_rollout_wg = trainer.ref_policy_wg = Workers(worker, queue)
    batch = meta([f"{uid}_{i}_0" for i, uid in enumerate(UIDS)], {})
    batch = trainer._compute_old_log_prob(batch, {})
    sums = queue.columns["sum_pi_squared"]
    batch = trainer._compute_ref_log_prob(batch, {})  # by the same worker, as with LoRA
    trainer._compute_advantage(batch, {})

    model = Qwen3ForCausalLM.from_pretrained(folder, attn_implementation="eager")
    with torch.no_grad():
        log_probs, squares = by_hand(model, recorded)
    columns = queue.columns
    mask = columns["response_mask"]
    prompts = map(len, recorded.prompts)
    found = [row[num - 1 : -1] for row, num in zip(sums.unbind(), prompts, strict=True)]
    expected, _ = get_adv_estimator_fn(ESTIMATOR)(
        token_level_rewards=columns["rm_scores"].to_padded_tensor(0.0),
        response_mask=mask.to_padded_tensor(0),
        index=np.array(UIDS, dtype=object),
        old_log_probs=pad_sequence(log_probs, batch_first=True),
        sum_pi_squared=pad_sequence(squares, batch_first=True),
    )
    rows = [row[: len(one)] for row, one in zip(expected, squares, strict=True)]
    return {
        "case": case,
        "asked": workers.asked,
        "squares": largest_difference(jagged(found), squares),
        "spread": float(torch.cat(squares).max() - torch.cat(squares).min()),
        "log_probs": largest_difference(columns["old_log_probs"], log_probs),
        "advantages": largest_difference(columns["advantages"], rows),
        "largest": float(expected.abs().max()),
    }


def main(folder: Path) -> None:
    save_policy(folder)
    os.environ["DIST_INIT_METHOD"] = f"file://{folder}/rendezvous"
    for case in CASES:
        print(json.dumps(run(folder, case)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
