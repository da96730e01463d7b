"""On a CPU the trainer holds the sampler against its own policy, by fresh samples only."""

import pytest
import torch
from tensordict import TensorDict
from trainer_in_memory import TEXTS, Parent, Queue, Trainer, batch, jagged, versions

from rest_verl.algorithm.weighting import ReSTConfig


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
def test_the_sampler_is_checked_on_a_cpu_only(monkeypatch, queue, platform, correlation, stops):
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
