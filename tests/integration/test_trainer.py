"""What the trainer writes between verl's advantage and its update, on an in-memory data queue."""

import logging

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import NonTensorData, NonTensorStack, TensorDict
from toy_tokenizers import one_byte_per_token
from transfer_queue import KVBatchMeta

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration import trainer
from rest_verl.integration.checks import ReSTConfigError
from rest_verl.integration.reward_manager import VALIDATION_MARK
from rest_verl.integration.trainer import (
    ReSTMixin,
    _MarkedLoader,
    reward_metrics,
    sample_steps,
    staleness_metrics,
)

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


def versions(first: int, last: int) -> dict[str, int]:
    """A sample's tag: the weights that sampled its first and its last token."""
    return {"min_global_steps": first, "max_global_steps": last}


def batch(*tags: dict) -> KVBatchMeta:
    keys = [f"row_{i}" for i in range(len(TEXTS))]
    of_step_10 = [versions(9, 9) for _ in keys]
    return KVBatchMeta(keys=keys, tags=list(tags) or of_step_10, partition_id="train")


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


def each(parts) -> list[tuple[Region, str]]:
    return [(region, letter) for region, text in parts for letter in text]


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
    [(1, 100, 0.01), (25, 100, 0.25), (100, 100, 1.0), (130, 100, 1.0), (5, 0, 1.0)],
)
def test_progress(queue, step, total, expected):
    metrics: dict = {}
    meta = batch(*[versions(step - 1, step - 1) for _ in TEXTS])
    Trainer(ReSTConfig(), step, total)._compute_advantage(meta, metrics)
    assert metrics["rest/progress"] == expected
    assert metrics["rest/staleness/mean"] == metrics["rest/staleness/max"] == 0


def test_a_sample_is_weighted_by_the_policy_that_sampled_it(queue):
    metrics: dict = {}
    meta = batch(versions(9, 9), versions(6, 8), {**versions(0, 0), "is_padding": True})
    Trainer(ReSTConfig.preset("official"))._compute_advantage(meta, metrics)
    first, second, _ = written(queue)
    assert first == pytest.approx(EXPECTED[0])
    # step 7 by the earliest weights: THINK 0.6 + 7 · 0.002
    thought = [0.614 if region is Region.THINK else 1.0 for region, _ in each(THOUGHT_REGIONS)]
    assert second == pytest.approx([weight * len(thought) / sum(thought) for weight in thought])
    assert metrics["rest/progress"] == pytest.approx((0.10 + 0.07) / 2)
    assert (metrics["rest/staleness/mean"], metrics["rest/staleness/max"]) == (1.5, 3)


def test_a_resumed_trainer_weighs_as_one_that_went_on(queue):
    tags = [versions(39, 39), versions(38, 39), versions(39, 39)]
    went_on, again = {}, {}
    never_stopped = Trainer(ReSTConfig(), step=39, total=100)
    never_stopped._compute_advantage(batch(), {})
    del queue.columns["rollout_is_weights"]
    never_stopped.global_steps = 40
    never_stopped._compute_advantage(batch(*tags), went_on)
    column = written(queue)
    del queue.columns["rollout_is_weights"]
    resumed = Trainer(ReSTConfig(), step=40, total=100)  # the step is all that verl restores
    resumed._compute_advantage(batch(*tags), again)
    assert written(queue) == column
    assert again == went_on


# why, tag of the weights, current step -> step of the sample
STEPS = [
    ("fresh", versions(4, 4), 5, 5),
    ("the weights that training starts with", versions(0, 0), 1, 1),
    ("one update late", versions(3, 3), 5, 4),
    ("over three weights: the earliest", versions(1, 3), 5, 2),
    ("never ahead of the current step", versions(7, 7), 5, 5),
]


@pytest.mark.parametrize(
    ("tag", "current", "expected"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS]
)
def test_sample_steps(tag, current, expected):
    assert sample_steps([tag], current).tolist() == [expected]


@pytest.mark.parametrize("tag", [{}, {"min_global_steps": None}])
def test_a_sample_without_its_version_is_refused(tag):
    with pytest.raises(ValueError, match=r"lacks min_global_steps.*extra_fields"):
        sample_steps([versions(1, 1), tag], 2)


@pytest.mark.parametrize(
    ("staleness", "padding", "expected"),
    [
        ([0, 2], [False, False], {"rest/staleness/mean": 1.0, "rest/staleness/max": 2.0}),
        ([0, 9], [False, True], {"rest/staleness/mean": 0.0, "rest/staleness/max": 0.0}),
        ([9], [True], {}),  # nothing but padding
    ],
)
def test_staleness_metrics(staleness, padding, expected):
    tags = [{"is_padding": value} for value in padding]
    assert staleness_metrics(np.array(staleness), tags) == expected


def test_verl_joins_the_mini_batches_of_a_step_as_means():
    """With `parameter_sync_step` > 1 the weights are made several times a step."""
    from verl.trainer.ppo.v1.utils import MetricsAggregator

    regions = [region.name.lower() for region in Region]
    measures = ("entropy", "weight", "token_share", "weight_share")
    means = [f"rest/{measure}/{region}" for measure in measures for region in regions]
    means += ["rest/progress", "rest/zero_weight_share", "rest/staleness/mean"]
    joined = MetricsAggregator()
    for value, rows in ((1.0, 1), (4.0, 3), (2.0, 4)):
        names = [*means, "rest/staleness/max"]
        joined.add_step_metrics(dict.fromkeys(names, value), sample_count=rows)
    expected = {**dict.fromkeys(means, (1 + 12 + 8) / 8), "rest/staleness/max": 4.0}
    assert joined.get_aggregated_metrics() == expected


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


# why, tags of the three rows, correlation of the whole batch, of the fresh rows, does it stop
FRESH, STALE, BOTH = versions(9, 9), versions(8, 8), versions(8, 9)
AGES = [
    ("all fresh: verl's own number", [FRESH, FRESH, FRESH], 0.5, 0.5, True),
    ("all stale: nothing to compare", [STALE, STALE, STALE], 0.5, None, False),
    ("fresh rows agree", [FRESH, STALE, STALE], 0.5, 1.0, False),
    ("fresh rows disagree", [STALE, FRESH, STALE], 0.95, -0.9, True),
    ("begun by earlier weights: stale", [STALE, BOTH, STALE], 0.5, None, False),
    ("not measured", [FRESH, STALE, STALE], None, None, False),
]


@pytest.mark.parametrize(
    ("tags", "correlation", "fresh", "stops"),
    [case[1:] for case in AGES],
    ids=[case[0] for case in AGES],
)
def test_only_fresh_samples_are_held_against_the_sampler(
    monkeypatch, queue, tags, correlation, fresh, stops
):
    from rest_verl.integration.cpu import sampler_check

    class Rows(Queue):
        def kv_batch_get(self, keys, partition_id, select_fields):
            rows = [int(key.removeprefix("row_")) for key in keys]
            picked = {name: self.columns[name].unbind() for name in select_fields}
            columns = {name: jagged([values[i] for i in rows]) for name, values in picked.items()}
            return TensorDict(columns, batch_size=len(keys))

    sampled = [torch.linspace(-2, -0.1, len(text)) for text in TEXTS]
    trained = [sampled[0], sampled[1].flip(0), sampled[2]]  # row 1 is of other weights
    columns = {"old_log_probs": jagged(trained), "rollout_log_probs": jagged(sampled)}
    columns |= {name: queue.columns[name] for name in ("responses", "response_mask")}
    monkeypatch.setattr(sampler_check, "tq", Rows(**columns))
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    measured = {} if correlation is None else {sampler_check.CORRELATION: correlation}
    monkeypatch.setattr(
        Parent,
        "_compute_old_log_prob",
        lambda self, batch, metrics: metrics.update(measured) or batch,
    )
    instance, metrics = Trainer(ReSTConfig()), {}
    if stops:
        with pytest.raises(RuntimeError, match=sampler_check.CORRELATION):
            instance._compute_old_log_prob(batch(*tags), metrics)
    else:
        instance._compute_old_log_prob(batch(*tags), metrics)
    assert metrics.get(sampler_check.FRESH_CORRELATION) == pytest.approx(fresh, abs=0.1)


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


TRAINERS = {
    "rest_sync": ("sync", trainer.PPOTrainerSync),
    "rest_colocate_async": ("colocate_async", trainer.PPOTrainerColocateAsync),
    "rest_separate_async": ("separate_async", trainer.PPOTrainerSeparateAsync),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_verl_knows_the_trainer_and_has_what_it_extends(name):
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    import rest_verl.plugin  # noqa: F401 (registers)

    parent_mode, parent = TRAINERS[name]
    ours = get_trainer_cls(name)
    assert (ours.trainer_name, ours.parent_mode) == (name, parent_mode)
    assert get_trainer_cls(parent_mode) is parent
    assert ours.__mro__[1:3] == (ReSTMixin, parent)
    for extended in ("_init_tokenizer", *(n for n in vars(Parent) if n.startswith("_c"))):
        assert callable(getattr(parent, extended))


def test_verl_starts_where_its_logger_would_refuse_the_call(monkeypatch):
    """verl's message without a hybrid sampler has an argument that no logger takes."""

    def setup(self):
        trainer.verl_logger.info("no hybrid sampler", flush=True)
        self.done = True

    logger = logging.getLogger("verl's, in a test")
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(trainer, "verl_logger", logger)
    monkeypatch.setattr(trainer.PPOTrainerSeparateAsync, "_setup", setup)
    instance = object.__new__(trainer.ReSTTrainerSeparateAsync)
    with pytest.raises(TypeError, match="flush"):
        setup(instance)
    instance._setup()
    assert instance.done
