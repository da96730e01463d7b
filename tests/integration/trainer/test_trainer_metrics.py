"""The trainer's metrics of a step: the reward and its parts, and how verl joins mini-batches."""

import math

import pytest
from tensordict import NonTensorData, NonTensorStack
from trainer_in_memory import TEXTS, Queue, Trainer, batch, jagged

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.environments.tally import Tally
from rest_verl.integration import trainer
from rest_verl.integration.reward_metrics import reward_metrics


def test_verl_joins_the_mini_batches_of_a_step_as_means():
    """With `parameter_sync_step` > 1 the weights are made several times a step."""
    from verl.trainer.ppo.v1.utils import MetricsAggregator

    regions = [region.name.lower() for region in Region]
    measures = ("entropy", "weight", "token_share", "weight_share")
    means = [f"rest/{measure}/{region}" for measure in measures for region in regions]
    means += [
        f"rest/control/{m}/{c}" for m in ("probability", "entropy") for c in ("call", "name", "end")
    ]
    means += [f"rest/turn/{group}/1" for group in ("reached", "reward", "log_prob_gap")]
    means += ["rest/tools/offered", "rest/tools/never_called"]
    means += [f"reward/{name}/mean" for name in Tally().reward_info()]
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
    infos[0] |= {"turn_spans": [[0, 2]], "turn_scores": [0.25], "tool_calls": {"read": 1}}
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
        "rest/turn/reached/1": 1.0,
        "rest/turn/reward/1": 0.25,
        "rest/tools/offered": 1.0,
        "rest/tools/never_called": 0.0,
        "rest/tools/called/read": 1.0,
    }


def test_control_tokens_are_counted_as_sampled(queue):
    """Rollout correction has thinned the mask of what trains; what was sampled stays."""
    tag, name = TEXTS[0].index("<tool_call>"), TEXTS[0].index("f")
    entropies = [[9.0] * len(text) for text in TEXTS]
    entropies[0][tag], entropies[0][name] = 0.25, 0.5
    queue.columns["entropy"] = jagged(entropies)
    queue.columns["old_log_probs"] = jagged([[-1.0] * len(text) for text in TEXTS])
    trainer, metrics = Trainer(ReSTConfig()), {}
    trainer._compute_old_log_prob(batch(), metrics={})
    masks = [row.tolist() for row in queue.columns["response_mask"].unbind()]
    masks[0][tag] = 0
    queue.columns["response_mask"] = jagged(masks)
    trainer._compute_advantage(batch(), metrics)
    assert metrics["rest/control/entropy/call"] == 0.25
    assert metrics["rest/control/entropy/name"] == 0.5
    assert metrics["rest/control/probability/call"] == pytest.approx(math.exp(-1))
    assert not any("/end" in metric or "log_prob_gap" in metric for metric in metrics)
