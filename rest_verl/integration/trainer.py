"""verl's v1 trainers with ResT's token weights.

Between verl's advantage and its actor update, the trainer turns region entropies and progress into
weights and writes them to the column `rollout_is_weights`: verl multiplies each token's clipped
loss by it under every policy loss. The weights therefore hold whatever estimator and loss mode are
in force, and multiply rollout-correction weights where there are some.

Two masks are at work. The *sampled mask* says which tokens the policy sampled: labels come from
those, whatever happens to them later. The *loss mask*, which rollout correction may have thinned
out, says which of them train: entropies, weights and statistics are of those.

The entropies are those that verl computes together with the old log-probabilities: of the old
policy π_old, in the asynchronous modes too, where an earlier policy may have sampled the row. The
curriculum's clock is the sample's own (`sample_steps`). Which samples are too stale to train on,
and what corrects for their age, is verl's: `trainer.v1.sampler` and `algorithm.rollout_correction`.

What the trainer remembers, the clock and the averages of region entropies, is in verl's checkpoints
(`run_state`): a resumed run weighs as one that was never interrupted.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_separate_async import logger as verl_logger
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer
from verl.workers.utils.padding import response_to_nested

from rest_verl.algorithm.weighting import EntropyMemory, token_weights
from rest_verl.integration.checks import check_config, in_force
from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.estimators import EstimatorInputs
from rest_verl.integration.foreign_calls import foreign_calls_warning, has_few_calls
from rest_verl.integration.horizon import describe_clock, run_clock, run_steps
from rest_verl.integration.labelling import BackgroundLabels, Labels, RowLabeler
from rest_verl.integration.message_reader import generation_end_ids
from rest_verl.integration.policy_metrics import LOG_PROBS, policy_metrics
from rest_verl.integration.registries import require_registered
from rest_verl.integration.reward_metrics import reward_metrics
from rest_verl.integration.reward_options import hand_over_clock
from rest_verl.integration.rollout_metrics import tool_metrics, turn_metrics
from rest_verl.integration.run_record import write_run
from rest_verl.integration.run_state import checkpoint_to_resume, read_state, write_state
from rest_verl.integration.run_syntax import RunSyntaxes, asked_syntaxes
from rest_verl.integration.samples import sample_steps, staleness_metrics
from rest_verl.integration.tool_rows import count_tools
from rest_verl.integration.turn_credit import batch_turns
from rest_verl.integration.validation_mark import MarkedLoader

WEIGHT_COLUMN = "rollout_is_weights"


class ReSTMixin(EstimatorInputs):
    """Adds ResT to a verl v1 trainer; put it before the trainer class it extends.

    Subclasses set `trainer_name` (as registered) and `parent_mode` (the parent's registered name:
    verl's base class reads `trainer.v1.trainer_mode` to choose its replay buffer and options).
    """

    trainer_name: str
    parent_mode: str
    is_first_step = True

    def __init__(self, config: DictConfig) -> None:
        require_registered()
        self.rest_config = check_config(config)
        print("\n".join(in_force(config, self.rest_config, self.trainer_name)), flush=True)
        with open_dict(config):
            # All of them, for what reads the configuration later: they may have come without +rest.
            preset = OmegaConf.select(config, "algorithm.rest.preset") or "paper"
            config.algorithm.rest = {"preset": preset, **asdict(self.rest_config)}
            config.trainer.v1.trainer_mode = self.parent_mode
        super().__init__(config)

    def _init_dataloader(self) -> None:
        """verl's, which settles the run's rows and steps; then what they are read by, and the
        clock, before any worker starts."""
        config: DictConfig = self.config  # type: ignore[attr-defined]
        count_tools(config)
        super()._init_dataloader()  # type: ignore[misc]
        self._init_labels(config)
        steps = run_steps(config, self.steps_per_epoch, self.total_training_steps)  # type: ignore[attr-defined]
        checkpoint = checkpoint_to_resume(config)
        saved_clock, saved_entropies = read_state(checkpoint)
        self.clock = run_clock(self.rest_config.horizon, steps, checkpoint, saved_clock)
        self.memory = EntropyMemory(
            share=self.rest_config.entropy_ema,
            updates_per_step=self.parameter_sync_step,  # type: ignore[attr-defined]
        )
        self.memory.load(saved_entropies)
        print(describe_clock(self.clock, self.rest_config.horizon, steps), flush=True)
        hand_over_clock(config, self.clock)
        write_run(config, self.trainer_name, self.clock, steps.number)

    def _init_labels(self, config: DictConfig) -> None:
        tokenizer = self.tokenizer  # type: ignore[attr-defined]
        syntaxes = RunSyntaxes.of_run(config, tokenizer)
        asked = asked_syntaxes(self.train_dataset)  # type: ignore[attr-defined]
        read = asked or {""}
        # Our reward manager reads the rows of validations as well.
        if OmegaConf.select(config, "reward.reward_manager.name") == "rest":
            read = read | (asked_syntaxes(self.val_dataset) or set())  # type: ignore[attr-defined]
        print(syntaxes.describe(read), flush=True)
        end_ids = generation_end_ids(config.actor_rollout_ref.model.path)
        self.labeler = RowLabeler(tokenizer, syntaxes, end_ids=end_ids, asked=asked)
        self.labels = BackgroundLabels()

    def _save_checkpoint(self) -> None:
        """ResT's state first: verl's last act is to name the checkpoint complete."""
        folder = Path(self.config.trainer.default_local_dir)  # type: ignore[attr-defined]
        write_state(folder / f"global_step_{self.global_steps}", self.clock, self.memory)  # type: ignore[attr-defined]
        super()._save_checkpoint()  # type: ignore[misc]

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        sampled = self._get(batch, *self.labeler.columns)
        self.labels.start(self.labeler, batch.keys, sampled)
        batch = super()._compute_old_log_prob(batch, metrics=metrics)
        if runs_on_cpu():
            from rest_verl.integration.cpu.sampler_check import check_fresh_samples

            version = self.global_steps - 1  # type: ignore[attr-defined]
            check_fresh_samples(batch, metrics, version)
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        with marked_timer("rest_weights", self.timing_raw):  # type: ignore[attr-defined]
            labels = self.labels.take(batch.keys)
            if labels is None:
                labels = self.labeler.read(self._get(batch, *self.labeler.columns))
        batch = super()._compute_advantage(batch, metrics=metrics)
        with marked_timer("rest_weights", self.timing_raw):  # type: ignore[attr-defined]
            return self._write_weights(batch, labels, metrics)

    def _write_weights(self, batch: KVBatchMeta, labels: Labels, metrics: dict) -> KVBatchMeta:
        # Read after super: rollout correction may have rewritten the mask and written weights.
        data = self._get(batch, "response_mask", "entropy", WEIGHT_COLUMN, *LOG_PROBS)
        nested_mask, regions = data["response_mask"], labels.regions
        turns = self._turns(batch, nested_mask)
        metrics.update(policy_metrics(labels, turns, data))
        trains = nested_mask.bool().to_padded_tensor(False)  # as bool: an eighth of the memory
        regions[~trains.numpy()] = -1  # from the sampled to the loss mask
        current = self.global_steps  # type: ignore[attr-defined]
        steps = sample_steps(batch.tags, current)
        weights, stats = token_weights(
            regions,
            data["entropy"].to_padded_tensor(0.0),
            progress=self.clock.progress(steps),
            step=steps,
            config=self.rest_config,
            memory=self.memory,
            turns=turns,
        )
        metrics.update(stats)
        metrics.update(staleness_metrics(current - steps, batch.tags))
        if self.is_first_step:
            self.is_first_step = False
            if has_few_calls(stats):
                answers = self.labeler.answers(self._get(batch, *self.labeler.columns))
                if warning := foreign_calls_warning(answers):
                    print(warning, flush=True)
        if WEIGHT_COLUMN in data:
            weights = weights * data[WEIGHT_COLUMN].to_padded_tensor(0.0)
        column = TensorDict(
            {WEIGHT_COLUMN: response_to_nested(weights, nested_mask)}, batch_size=len(batch)
        )
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=column)

    def _turns(self, batch: KVBatchMeta, nested_mask: Any) -> Any:
        data = self._get(batch, "extra_fields")
        extra_fields = data.pop("extra_fields").tolist() if "extra_fields" in data else []
        return batch_turns(extra_fields, nested_mask.offsets().diff().tolist()).of_token

    def _get(self, batch: KVBatchMeta, *fields: str) -> TensorDict:
        """Those of the columns that the batch has, jagged."""
        return tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=list(fields)
        )

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict, timing_raw: dict, *args: Any, **kwargs: Any
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, *args, **kwargs)  # type: ignore[misc]
        data = self._get(batch, "rm_scores", "extra_fields")
        scores = data["rm_scores"].to_padded_tensor(0.0).sum(-1).tolist()
        extra_fields = data.pop("extra_fields").tolist() if "extra_fields" in data else []
        is_padding = [tag.get("is_padding", False) for tag in batch.tags]
        metrics.update(reward_metrics(scores, extra_fields, is_padding))
        metrics.update(turn_metrics(extra_fields, is_padding))
        metrics.update(tool_metrics(extra_fields, is_padding))

    def _validate(self) -> dict[str, float]:
        loader = self.val_dataloader
        self.val_dataloader: Any = MarkedLoader(loader)
        try:
            return super()._validate()  # type: ignore[misc]
        finally:
            self.val_dataloader = loader


@register_trainer("rest_sync")
class ReSTTrainerSync(ReSTMixin, PPOTrainerSync):
    """`rest_sync`: verl's synchronous trainer with ResT's token weights."""

    trainer_name = "rest_sync"
    parent_mode = "sync"


@register_trainer("rest_colocate_async")
class ReSTTrainerColocateAsync(ReSTMixin, PPOTrainerColocateAsync):
    """`rest_colocate_async`: sampler and trainer take turns, rollouts go on across updates."""

    trainer_name = "rest_colocate_async"
    parent_mode = "colocate_async"


@register_trainer("rest_separate_async")
class ReSTTrainerSeparateAsync(ReSTMixin, PPOTrainerSeparateAsync):
    """`rest_separate_async`: the sampler has devices of its own and never waits for the trainer."""

    trainer_name = "rest_separate_async"
    parent_mode = "separate_async"

    def _setup(self) -> None:
        # With hybrid_engine=False verl 0.9.1 passes `flush`, which loggers refuse, to info().
        with _at_least(verl_logger, logging.WARNING):
            super()._setup()

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        if runs_on_cpu():
            from rest_verl.integration.cpu.actor_worker import use_copying_workers

            use_copying_workers(self.role_worker_mapping)


@contextmanager
def _at_least(logger: logging.Logger, level: int) -> Iterator[None]:
    """The logger says nothing below that level within."""
    before = logger.level
    logger.setLevel(max(before, level))
    try:
        yield
    finally:
        logger.setLevel(before)
