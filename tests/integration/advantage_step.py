"""verl's real advantage step on the recorded batch, with ResT's trainer or without, and no Ray."""

from functools import cache
from typing import Any

import torch
from omegaconf import OmegaConf
from recorded_batch import REWARDS, TAGS, recorded_batch
from row_labelers import row_labeler
from tensordict import NonTensorData, NonTensorStack, TensorDict
from toy_tokenizers import byte_level
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl_loss_path import compose_verl, jagged

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.weighting import EntropyMemory
from rest_verl.integration import estimators, trainer
from rest_verl.integration.checks import check_config
from rest_verl.integration.estimator_checks import (
    COMPLETED_ESTIMATORS,
    INCOMPATIBLE_ESTIMATORS,
)
from rest_verl.integration.labelling import BackgroundLabels
from rest_verl.integration.names import TURN_ESTIMATOR

BATCH = recorded_batch()
UIDS = ["a"] * 4 + ["b"] * 4
KEYS = [f"{uid}_{i}_0" for i, uid in enumerate(UIDS)]
REAL = [bool(mask.any()) for mask in BATCH.masks]  # but for verl's padding row
GRPO = "algorithm.adv_estimator=grpo"
NEEDY = {TURN_ESTIMATOR, *COMPLETED_ESTIMATORS, *INCOMPATIBLE_ESTIMATORS}
ESTIMATORS = sorted({*map(str, ADV_ESTIMATOR_REGISTRY)} - NEEDY)
FORMAT = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
CORRECTNESS = [2.5, 1.0, -2.0, -3.0, 3.0, -1.0, -0.5, 2.5]
# The parts of the rewards; a padding row keeps those of the batch's first row.
PARTS = [
    {"score": score, "format": form, "correctness": points, "note": "text"}
    for score, form, points in zip(REWARDS, FORMAT, CORRECTNESS, strict=True)
]


def sums_of_squares() -> list[torch.Tensor]:
    """Σπ² of a model at each token of the responses: at least π², at most 1."""
    noise = torch.Generator().manual_seed(3)
    pi = [row.exp().float() for row in BATCH.old_log_probs]
    return [p**2 + torch.rand(len(p), generator=noise) * (1 - p) ** 2 for p in pi]


SQUARES = sums_of_squares()


def of_whole_rows(rows: list[torch.Tensor]) -> torch.Tensor:
    """As a model puts values out: over prompt and response, each one position early."""
    other = [torch.full((len(prompt) - 1,), 9.0) for prompt in BATCH.prompts]
    last = torch.tensor([9.0])
    return jagged([torch.cat([x, row, last]) for x, row in zip(other, rows, strict=True)])


class Queue:
    """TransferQueue's key-value calls on the recorded batch, in memory."""

    def __init__(self) -> None:
        scores = [torch.zeros(len(mask)) for mask in BATCH.masks]
        for score, reward in zip(scores, REWARDS, strict=True):
            score[-1] = reward
        self.columns: dict[str, Any] = {
            "uid": NonTensorStack(*map(NonTensorData, UIDS)),
            "responses": jagged(BATCH.responses),
            "response_mask": jagged([mask.long() for mask in BATCH.masks]),
            "entropy": jagged(float32(BATCH.entropies)),
            "old_log_probs": jagged(float32(BATCH.old_log_probs)),
            "rollout_log_probs": jagged(float32(BATCH.log_probs)),
            "ref_log_prob": jagged(float32(BATCH.ref_log_probs)),
            "rm_scores": jagged(scores),
            "extra_fields": NonTensorStack(
                *(NonTensorData({"reward_extra_info": parts}) for parts in PARTS)
            ),
            "sum_pi_squared": of_whole_rows(SQUARES),
            "values": jagged([torch.linspace(0, 1, len(mask)) for mask in BATCH.masks]),
        }

    def kv_batch_get(self, keys, partition_id, select_fields) -> TensorDict:
        chosen = {name: self.columns[name] for name in select_fields if name in self.columns}
        return TensorDict(chosen, batch_size=len(keys))

    def kv_batch_put(self, keys, partition_id, fields) -> KVBatchMeta:
        self.columns.update(fields.items())
        return meta(keys)

    def rows(self, name: str) -> list[torch.Tensor]:
        return list(self.columns[name].unbind())


def float32(rows):
    return [row.float() for row in rows]


def meta(keys) -> KVBatchMeta:
    tags = [{"min_global_steps": 39, "max_global_steps": 39} for _ in keys]
    return KVBatchMeta(keys=list(keys), tags=tags, partition_id="train")


class ReSTTrainer(trainer.ReSTMixin, PPOTrainerSync):
    """The real trainer without Ray: only its advantage step runs."""


@cache
def composed():
    config = compose_verl("+rest=paper")
    OmegaConf.set_struct(config, False)
    return config


def advantage_step(cls, monkeypatch, *settings: str, keys=KEYS, **columns) -> Queue:
    """Runs `cls`'s advantage step under verl's composed configuration; returns the queue.

    `columns` replace those of the batch; None takes one out.
    """
    queue, config = Queue(), OmegaConf.merge(composed(), OmegaConf.from_dotlist(list(settings)))
    queue.columns.update(columns)
    queue.columns = {name: rows for name, rows in queue.columns.items() if rows is not None}
    for module in (trainer_base, trainer, estimators):
        monkeypatch.setattr(module, "tq", queue)
    instance = cls.__new__(cls)
    instance.config = config
    instance.global_steps = 40
    instance.timing_raw = {}
    if cls is ReSTTrainer:
        instance.rest_config = check_config(config)
        instance.estimator = estimators.completed_estimator(config)
        instance.labeler = row_labeler(byte_level(TAGS))
        instance.labels = BackgroundLabels()
        instance.clock = Clock(horizon=100)
        instance.memory = EntropyMemory(share=instance.rest_config.entropy_ema)
    before = config.algorithm.adv_estimator
    try:
        instance._compute_advantage(meta(keys), {})
    finally:
        assert config.algorithm.adv_estimator == before
    return queue


def assert_rows_equal(found, expected, **tolerance) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)
