"""verl's v1 trainers with ResT's token weights.

Between verl's advantage and its actor update, the trainer labels the sampled tokens, turns region
entropies and progress into weights, and writes them to the column `rollout_is_weights`: verl
multiplies each token's clipped loss by it under every policy loss. The weights therefore hold
whatever estimator and loss mode are in force, and multiply rollout-correction weights where there
are some.

The entropies are those that verl computes together with the old log-probabilities: of the old
policy π_old, in the asynchronous modes too, where an earlier policy may have sampled the row. The
curriculum's clock is the sample's own (`sample_steps`). Which samples are too stale to train on,
and what corrects for their age, is verl's: `trainer.v1.sampler` and `algorithm.rollout_correction`.

The trainer keeps no state: steps come from the samples' tags and the total from the configuration,
so a resumed run weighs as one that was never interrupted.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_separate_async import logger as verl_logger
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer
from verl.workers.utils.padding import response_to_nested

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import token_weights
from rest_verl.integration.checks import check_config, in_force
from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.registries import require_registered
from rest_verl.integration.reward_manager import VALIDATION_MARK

WEIGHT_COLUMN = "rollout_is_weights"


class _MarkedLoader:
    """A validation loader whose batches carry VALIDATION_MARK, for the reward manager `rest`."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.loader:
            marks = np.full(len(batch["raw_prompt"]), True, dtype=object)
            yield {**batch, VALIDATION_MARK: marks}


class ReSTMixin:
    """Adds ResT to a verl v1 trainer; put it before the trainer class it extends.

    Subclasses set `trainer_name` (as registered) and `parent_mode` (the parent's registered name:
    verl's base class reads `trainer.v1.trainer_mode` to choose its replay buffer and options).
    """

    trainer_name: str
    parent_mode: str

    def __init__(self, config: DictConfig) -> None:
        require_registered()
        self.rest_config = check_config(config)
        print("\n".join(in_force(config, self.rest_config, self.trainer_name)), flush=True)
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.parent_mode
        super().__init__(config)  # type: ignore[call-arg]

    def _init_tokenizer(self) -> None:
        super()._init_tokenizer()  # type: ignore[misc]
        self.labeler = RegionLabeler(self.tokenizer)  # type: ignore[attr-defined]

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        batch = super()._compute_old_log_prob(batch, metrics=metrics)  # type: ignore[misc]
        if runs_on_cpu():
            from rest_verl.integration.cpu.sampler_check import check_fresh_samples

            version = self.global_steps - 1  # type: ignore[attr-defined]
            check_fresh_samples(batch, metrics, version)
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        batch = super()._compute_advantage(batch, metrics=metrics)  # type: ignore[misc]
        with marked_timer("rest_weights", self.timing_raw):  # type: ignore[attr-defined]
            return self._write_weights(batch, metrics)

    def _write_weights(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        # Read after super: rollout correction may have rewritten the mask and written weights.
        fields = ["responses", "response_mask", "entropy", WEIGHT_COLUMN]
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=fields
        )
        nested_mask = data["response_mask"]
        padded = data.to_padded_tensor()
        regions = self.labeler.label_batch(padded["responses"], padded["response_mask"])
        current, total = self.global_steps, self.total_training_steps  # type: ignore[attr-defined]
        steps = sample_steps(batch.tags, current)
        weights, stats = token_weights(
            regions,
            padded["entropy"],
            progress=np.minimum(1.0, steps / max(1, total)),
            step=steps,
            config=self.rest_config,
        )
        metrics.update(stats)
        metrics.update(staleness_metrics(current - steps, batch.tags))
        if WEIGHT_COLUMN in padded:
            weights = weights * padded[WEIGHT_COLUMN]
        column = TensorDict(
            {WEIGHT_COLUMN: response_to_nested(weights, nested_mask)}, batch_size=len(batch)
        )
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=column)

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, *args: Any, **kwargs: Any
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, *args, **kwargs)  # type: ignore[misc]
        data = tq.kv_batch_get(
            keys=batch.keys,
            partition_id=batch.partition_id,
            select_fields=["rm_scores", "extra_fields"],
        )
        scores = data["rm_scores"].to_padded_tensor(0.0).sum(-1).tolist()
        extra_fields = data.pop("extra_fields").tolist() if "extra_fields" in data else []
        is_padding = [tag.get("is_padding", False) for tag in batch.tags]
        metrics.update(reward_metrics(scores, extra_fields, is_padding))

    def _validate(self) -> dict[str, float]:
        loader = self.val_dataloader
        self.val_dataloader: Any = _MarkedLoader(loader)
        try:
            return super()._validate()  # type: ignore[misc]
        finally:
            self.val_dataloader = loader


def sample_steps(tags: list[dict[str, Any]], current: int) -> np.ndarray:
    """The training step that each sample belongs to by the policy that sampled it, (B,).

    verl numbers the weights by the step that made them, and the weights of step s - 1 sample for
    step s; so it is `min_global_steps` + 1, and in synchronous training the current step. Where
    weights were exchanged during a rollout, the earliest count: no token is then weighted as if a
    later policy had sampled it than the one that did, and it is the staleness that verl calls the
    worst. The step at which the prompt was sent out may be earlier still, since a prompt can wait
    for the sampler while weights are exchanged. The reward's schedule reads that step, which is one
    for the whole group: rewards that are compared with each other are then on one scale. The two
    are equal unless a prompt waited.

    Args:
        tags: B tags of verl's samples.
        current: The current training step; no sample is of a later one.

    Raises:
        ValueError: A sample does not say which weights sampled it.
    """
    versions = [tag.get("min_global_steps") for tag in tags]
    if None in versions:
        raise ValueError(
            "a sample lacks min_global_steps, the number of the weights that sampled it: an agent "
            "loop must pass the extra_fields of the server's TokenOutput on in its own output"
        )
    return np.minimum(current, np.array(versions, dtype=np.int64) + 1)


def staleness_metrics(staleness: np.ndarray, tags: list[dict[str, Any]]) -> dict[str, float]:
    """`rest/staleness/{mean,max}`: steps between sampling policy and current one, real rows only.

    verl logs the same per step as `training/off_policy/trajectory_staleness_worst`.
    """
    real = staleness[[not tag.get("is_padding", False) for tag in tags]]
    if not len(real):
        return {}
    return {"rest/staleness/mean": float(real.mean()), "rest/staleness/max": float(real.max())}


def reward_metrics(
    scores: list[float], extra_fields: list[dict[str, Any]], is_padding: list[bool]
) -> dict[str, float]:
    """`reward/<part>/mean` over the real rows, for the score and every numeric part of the reward.

    Args:
        scores: B rewards.
        extra_fields: B dicts of verl's agent loop (or none); the parts are in "reward_extra_info".
        is_padding: B marks of synthetic rows, which are left out.
    """
    rows = [i for i, padding in enumerate(is_padding) if not padding]
    if not rows:
        return {}
    metrics = {"reward/total/mean": float(np.mean([scores[i] for i in rows]))}
    infos = [extra_fields[i].get("reward_extra_info") or {} for i in rows] if extra_fields else []
    for part in sorted({key for info in infos for key in info} - {"score"}):
        values = [info[part] for info in infos if isinstance(info.get(part), int | float)]
        if values:
            metrics[f"reward/{part}/mean"] = float(np.mean(values))
    return metrics


class ReSTTrainerSync(ReSTMixin, PPOTrainerSync):
    """`rest_sync`: verl's synchronous trainer with ResT's token weights."""

    trainer_name = "rest_sync"
    parent_mode = "sync"


class ReSTTrainerColocateAsync(ReSTMixin, PPOTrainerColocateAsync):
    """`rest_colocate_async`: sampler and trainer take turns, rollouts go on across updates."""

    trainer_name = "rest_colocate_async"
    parent_mode = "colocate_async"


class ReSTTrainerSeparateAsync(ReSTMixin, PPOTrainerSeparateAsync):
    """`rest_separate_async`: the sampler has devices of its own and never waits for the trainer."""

    trainer_name = "rest_separate_async"
    parent_mode = "separate_async"

    def _setup(self) -> None:
        # With hybrid_engine=False verl 0.9.1 passes `flush`, which loggers refuse, to info().
        verl_logger.setLevel(max(verl_logger.level, logging.WARNING))
        super()._setup()

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        if runs_on_cpu():
            from rest_verl.integration.cpu.actor_worker import use_copying_workers

            use_copying_workers(self.role_worker_mapping)
