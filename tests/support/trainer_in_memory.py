"""ReST's trainer over a stand-in for verl's, and its batch in a data queue in memory."""

from pathlib import Path

import torch
from row_labelers import row_labeler
from tensordict import TensorDict
from toy_tokenizers import one_byte_per_token
from transfer_queue import KVBatchMeta

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig
from rest_verl.integration.labelling import BackgroundLabels
from rest_verl.integration.trainer import ReSTMixin
from rest_verl.integration.validation_mark import VALIDATION_MARK

CALL = '<tool_call>{"name":"f","parameters":{"x":1}}</tool_call>'
THOUGHT = "<think>go</think>"
TEXTS = [THOUGHT + CALL, THOUGHT, "pad"]  # the last is verl's padding row: all masked
# Regions of CALL, byte by byte
CALL_REGIONS = [
    (Region.FORMAT, '<tool_call>{"name":"'),
    (Region.NAME, "f"),
    (Region.FORMAT, '","parameters":'),
    (Region.ARGS, '{"x":1}'),
    (Region.FORMAT, "}</tool_call>"),
]
THOUGHT_REGIONS = [(Region.FORMAT, "<think>"), (Region.THINK, "go"), (Region.FORMAT, "</think>")]


def jagged(rows) -> torch.Tensor:
    return torch.nested.as_nested_tensor(
        [torch.as_tensor(row) for row in rows], layout=torch.jagged
    )


class Queue:
    """TransferQueue's key-value calls on one batch in memory, whose rows keep their order."""

    def __init__(self, **columns) -> None:
        self.columns = columns

    def kv_batch_get(self, keys, partition_id, select_fields) -> TensorDict:
        chosen = {name: self.columns[name] for name in select_fields if name in self.columns}
        return TensorDict(chosen, batch_size=len(keys))

    def kv_batch_put(self, keys, partition_id, fields) -> KVBatchMeta:
        assert fields.batch_size == torch.Size([len(keys)])
        self.columns.update(fields.items())
        return batch()


class KeyedQueue(Queue):
    """The same, with each row found by its key."""

    def __init__(self, keys, **columns) -> None:
        super().__init__(**columns)
        self.keys = list(keys)

    def kv_batch_get(self, keys, partition_id, select_fields) -> TensorDict:
        present = [name for name in select_fields if name in self.columns]
        rows = {name: self.columns[name].unbind() for name in present}
        places = [self.keys.index(key) for key in keys]
        chosen = {name: jagged([rows[name][place] for place in places]) for name in present}
        return TensorDict(chosen, batch_size=len(keys))

    def kv_batch_put(self, keys, partition_id, fields) -> KVBatchMeta:
        places = [list(keys).index(key) for key in self.keys]
        for name, column in fields.items():
            rows = column.unbind()
            self.columns[name] = jagged([rows[place] for place in places])
        return batch_of(keys)


def versions(first: int, last: int) -> dict[str, int]:
    """A sample's tag: the weights that sampled its first and its last token."""
    return {"min_global_steps": first, "max_global_steps": last}


def batch(*tags: dict) -> KVBatchMeta:
    keys = [f"row_{i}" for i in range(len(TEXTS))]
    of_step_10 = [versions(9, 9) for _ in keys]
    return KVBatchMeta(keys=keys, tags=list(tags) or of_step_10, partition_id="train")


def batch_of(keys, step: int = 10) -> KVBatchMeta:
    """Rows that the policy of that step sampled."""
    tags = [versions(step - 1, step - 1) for _ in keys]
    return KVBatchMeta(keys=list(keys), tags=tags, partition_id="train")


class Parent:
    """The calls of verl's trainer that ReSTMixin extends."""

    correlation = 1.0
    parameter_sync_step = 1
    train_dataset = val_dataset = None

    def _init_dataloader(self):
        self.steps_per_epoch = 10
        self.total_training_steps = 10 * self.config.trainer.total_epochs

    def _save_checkpoint(self):
        folder = Path(self.config.trainer.default_local_dir)
        (folder / "latest_checkpointed_iteration.txt").write_text(str(self.global_steps))

    def _compute_advantage(self, batch, metrics):
        metrics["order"] = "advantage"
        return batch

    def _compute_old_log_prob(self, batch, metrics):
        metrics["training/rollout_actor_probs_pearson_corr"] = self.correlation
        return batch

    def _compute_metrics(self, batch, metrics, timing_raw):
        metrics["critic/score/mean"] = 0.0

    def _validate(self):
        return {"marks": sum(len(batch[VALIDATION_MARK]) for batch in self.val_dataloader)}


class Trainer(ReSTMixin, Parent):
    def __init__(self, config: ReSTConfig, step: int = 10, total: int = 100) -> None:
        self.rest_config = config
        self.labeler, self.labels = row_labeler(one_byte_per_token()), BackgroundLabels()
        self.clock, self.memory = Clock(horizon=total), EntropyMemory(share=config.entropy_ema)
        self.global_steps = step
        self.timing_raw: dict = {}


def written(queue: Queue) -> list[list[float]]:
    column = queue.columns["rollout_is_weights"]
    assert column.offsets().tolist() == queue.columns["response_mask"].offsets().tolist()
    return [row.tolist() for row in column.unbind()]


def official_at_step_10(parts) -> list[float]:
    """The row's weights by hand: ARGS and THINK start at 0.6 and rise by 0.002 a step."""
    base = {Region.FORMAT: 1.0, Region.NAME: 1.2, Region.ARGS: 0.62, Region.THINK: 0.62}
    weights = [base[region] for region, text in parts for _ in text]
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


EXPECTED = [
    official_at_step_10(THOUGHT_REGIONS + CALL_REGIONS),
    official_at_step_10(THOUGHT_REGIONS),
    [0.0, 0.0, 0.0],
]
