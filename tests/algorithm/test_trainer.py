"""What the trainer writes between verl's advantage and its update, on an in-memory data queue."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorData, NonTensorStack, TensorDict
from toy_tokenizers import one_byte_per_token
from transfer_queue import KVBatchMeta

from rest_verl.algorithm import trainer
from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.trainer import ReSTMixin, _MarkedLoader, reward_metrics
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.checks import ReSTConfigError
from rest_verl.rewards.manager import VALIDATION_MARK

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
    """TransferQueue's key-value calls on one batch in memory."""

    def __init__(self, **columns) -> None:
        self.columns = columns

    def kv_batch_get(self, keys, partition_id, select_fields) -> TensorDict:
        chosen = {name: self.columns[name] for name in select_fields if name in self.columns}
        return TensorDict(chosen, batch_size=len(keys))

    def kv_batch_put(self, keys, partition_id, fields) -> KVBatchMeta:
        assert fields.batch_size == torch.Size([len(keys)])
        self.columns.update(fields.items())
        return batch()


def batch() -> KVBatchMeta:
    keys = [f"row_{i}" for i in range(len(TEXTS))]
    return KVBatchMeta(keys=keys, tags=[{} for _ in keys], partition_id="train")


class Parent:
    """The calls of verl's trainer that ReSTMixin extends."""

    correlation = 1.0

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
        self.labeler = trainer.RegionLabeler(one_byte_per_token())
        self.global_steps, self.total_training_steps = step, total
        self.timing_raw: dict = {}


@pytest.fixture
def queue(monkeypatch) -> Queue:
    masks = [[1] * len(TEXTS[0]), [1] * len(TEXTS[1]), [0] * len(TEXTS[2])]
    queue = Queue(
        responses=jagged([list(text.encode()) for text in TEXTS]),
        response_mask=jagged(masks),
        entropy=jagged([[0.5] * len(text) for text in TEXTS]),
    )
    monkeypatch.setattr(trainer, "tq", queue)
    return queue


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


def test_the_column_holds_the_weights(queue):
    metrics: dict = {}
    returned = Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), metrics)
    assert returned.keys == batch().keys
    for row, expected in zip(written(queue), EXPECTED, strict=True):
        assert row == pytest.approx(expected)
    assert metrics["order"] == "advantage"
    assert metrics["rest/progress"] == 0.1
    num_tokens = len(TEXTS[0]) + len(TEXTS[1])
    assert metrics["rest/token_share/args"] == pytest.approx(len('{"x":1}') / num_tokens)
    assert metrics["rest/entropy/think"] == pytest.approx(0.5)
    assert metrics["rest/zero_weight_share"] == 0.0


def test_rollout_correction_is_multiplied(queue):
    queue.columns["rollout_is_weights"] = jagged(
        [[2.0] * len(TEXTS[0]), [0.5] * len(TEXTS[1]), [1.0] * len(TEXTS[2])]
    )
    Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), {})
    for row, expected, factor in zip(written(queue), EXPECTED, (2.0, 0.5, 1.0), strict=True):
        assert row == pytest.approx([weight * factor for weight in expected])


def test_a_token_masked_by_rollout_correction_weighs_nothing(queue):
    mask = [row.clone() for row in queue.columns["response_mask"].unbind()]
    mask[1][8] = 0  # the second letter of the thought
    queue.columns["response_mask"] = jagged(mask)
    Trainer(ReSTConfig.preset("official"))._compute_advantage(batch(), {})
    row = written(queue)[1]
    assert row[8] == 0
    assert sum(row) / (len(row) - 1) == pytest.approx(1.0)


def test_uniform_leaves_verls_loss_as_it_is(queue):
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla
    from verl.workers.config import ActorConfig

    Trainer(ReSTConfig.preset("uniform"))._compute_advantage(batch(), {})
    assert written(queue) == [[1.0] * len(TEXTS[0]), [1.0] * len(TEXTS[1]), [0.0] * 3]

    weights = queue.columns["rollout_is_weights"].to_padded_tensor(0.0)
    mask = queue.columns["response_mask"].to_padded_tensor(0)
    torch.manual_seed(0)
    old_log_prob = -torch.rand(mask.shape)
    advantages = torch.randn(len(TEXTS), 1).expand(mask.shape)
    start = old_log_prob + 0.3 * torch.randn(mask.shape)
    config = ActorConfig(strategy="fsdp2", rollout_n=4, ppo_micro_batch_size_per_gpu=1)
    outcomes = []
    for column in (None, weights):
        log_prob = start.clone().requires_grad_()
        loss, metrics = compute_policy_loss_vanilla(
            old_log_prob, log_prob, advantages, mask, "seq-mean-token-mean", config, column
        )
        loss.backward()
        outcomes.append((loss.item(), log_prob.grad, metrics))
    plain, weighted = outcomes
    assert plain[0] == weighted[0]
    assert torch.equal(plain[1], weighted[1])
    assert plain[2] == weighted[2]


@pytest.mark.parametrize(
    ("step", "total", "expected"),
    [(0, 100, 0.0), (25, 100, 0.25), (100, 100, 1.0), (130, 100, 1.0), (5, 0, 1.0)],
)
def test_progress(step, total, expected):
    assert Trainer(ReSTConfig(), step, total).progress == expected


# scores, parts, padding -> metrics, each with its reason
REWARD_METRICS = [
    ([1.0, 2.0], [], [False, False], {"reward/total/mean": 1.5}),  # a reward without parts
    ([1.0, 2.0], [], [False, True], {"reward/total/mean": 1.0}),  # padding left out
    ([1.0], [], [True], {}),  # nothing but padding
    (
        [3.0, -3.0],
        [
            {"reward_extra_info": {"score": 3.0, "format_ok": 1.0}},
            {"reward_extra_info": {"score": -3.0, "format_ok": 0.0}},
        ],
        [False, False],
        {"reward/total/mean": 0.0, "reward/format_ok/mean": 0.5},  # the score only as total
    ),
    (
        [3.0, 1.0],
        [{"reward_extra_info": {"calls": 2, "note": "text"}}, {"reward_extra_info": {}}],
        [False, False],
        # a part that a row lacks is averaged over the others; text is no number
        {"reward/total/mean": 2.0, "reward/calls/mean": 2.0},
    ),
    (
        [3.0, 1.0],
        [{"turn_scores": []}, {"reward_extra_info": None}],
        [False, False],
        {"reward/total/mean": 2.0},  # verl's other fields
    ),
]


@pytest.mark.parametrize(("scores", "fields", "padding", "expected"), REWARD_METRICS)
def test_reward_metrics(scores, fields, padding, expected):
    assert reward_metrics(scores, fields, padding) == expected


def test_reward_metrics_come_from_the_queue(monkeypatch):
    infos = [{"reward_extra_info": {"format_ok": value}} for value in (1.0, 0.0, 1.0)]
    queue = Queue(
        rm_scores=jagged([[0.0, 4.0], [-3.0], [9.0]]),
        extra_fields=NonTensorStack(*map(NonTensorData, infos)),
    )
    monkeypatch.setattr(trainer, "tq", queue)
    meta = batch()
    meta.tags[2]["is_padding"] = True
    metrics: dict = {}
    Trainer(ReSTConfig())._compute_metrics(meta, metrics, {})
    assert metrics == {
        "critic/score/mean": 0.0,
        "reward/total/mean": 0.5,
        "reward/format_ok/mean": 0.5,
    }


def test_validation_batches_are_marked():
    batches = [{"raw_prompt": ["a", "b"], "index": [0, 1]}, {"raw_prompt": ["c"], "index": [2]}]
    loader = _MarkedLoader(batches)
    assert len(loader) == 2
    first, second = loader
    assert first["index"] == [0, 1]
    assert first[VALIDATION_MARK].tolist() == [True, True]
    assert second[VALIDATION_MARK].dtype == np.dtype(object)
    assert VALIDATION_MARK not in batches[0]


def test_the_loader_is_put_back_after_validation(monkeypatch):
    instance = Trainer(ReSTConfig())
    loader = instance.val_dataloader = [{"raw_prompt": ["a", "b"]}, {"raw_prompt": ["c"]}]
    assert instance._validate() == {"marks": 3}
    assert instance.val_dataloader is loader
    monkeypatch.setattr(Parent, "_validate", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        instance._validate()
    assert instance.val_dataloader is loader


@pytest.mark.parametrize(
    ("platform", "correlation", "stops"),
    [
        ("cpu", 0.5, True),
        (" CPU ", 0.5, True),
        ("cpu", 0.999, False),
        ("cuda", 0.5, False),
        (None, 0.5, False),
    ],
)
def test_the_sampler_is_checked_on_a_cpu_only(monkeypatch, platform, correlation, stops):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    if platform is not None:
        monkeypatch.setenv("VERL_PLATFORM", platform)
    monkeypatch.setattr(Parent, "correlation", correlation)
    instance, meta = Trainer(ReSTConfig()), batch()
    if stops:
        with pytest.raises(RuntimeError, match=r"rollout_actor_probs_pearson_corr is 0\.5"):
            instance._compute_old_log_prob(meta, metrics={})
    else:
        assert instance._compute_old_log_prob(meta, metrics={}) is meta


def test_construction_checks_and_hands_the_parents_mode_on(monkeypatch, capsys):
    class Base:
        def __init__(self, config) -> None:
            self.mode = config.trainer.v1.trainer_mode

    class Registered(ReSTMixin, Base):
        trainer_name, parent_mode = "rest_sync", "sync"

    monkeypatch.setattr(trainer, "require_registered", lambda: None)
    config = OmegaConf.create({"trainer": {"v1": {"trainer_mode": "rest_sync"}}})
    OmegaConf.set_struct(config, True)
    instance = Registered(config)
    assert instance.mode == "sync"
    assert instance.rest_config == ReSTConfig()
    assert "[rest] trainer rest_sync, weights: preset paper" in capsys.readouterr().out
    with pytest.raises(ReSTConfigError, match=r"trainer\.use_v1=False"):
        Registered(OmegaConf.create({"trainer": {"use_v1": False}}))


def test_verls_trainer_has_what_the_mixin_extends():
    for name in ("_init_tokenizer", *(name for name in vars(Parent) if name.startswith("_c"))):
        assert callable(getattr(trainer.PPOTrainerSync, name))
    instance = SimpleNamespace(global_steps=1, total_training_steps=4)
    assert trainer.ReSTTrainerSync.progress.fget(instance) == 0.25
