"""Labels are made in a thread, from what was sampled, and belong to their rows."""

import numpy as np
import pytest
import torch
from toy_tokenizers import one_byte_per_token
from trainer_in_memory import TEXTS, Trainer, batch, jagged, written

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig
from rest_verl.integration.labelling import BackgroundLabels, label

OFFICIAL = ReSTConfig.preset("official")


def sampled(queue):
    return queue.kv_batch_get(batch().keys, "train", ["responses", "response_mask"])


def test_they_follow_their_rows(queue):
    labeler, labels, keys = RegionLabeler(one_byte_per_token()), BackgroundLabels(), batch().keys
    direct = label(labeler, sampled(queue))
    labels.start(labeler, keys, sampled(queue))
    np.testing.assert_array_equal(labels.take(keys[::-1]), direct[::-1])
    assert labels.take(keys) is None  # taken already
    labels.start(labeler, keys, sampled(queue))
    assert labels.take([*keys[:-1], "another"]) is None


def test_what_the_thread_raises_reaches_the_trainer(queue):
    class Broken:
        def label_batch(self, responses, response_mask):
            raise RuntimeError("broken labeler")

    labels = BackgroundLabels()
    labels.start(Broken(), batch().keys, sampled(queue))
    with pytest.raises(RuntimeError, match="broken labeler"):
        labels.take(batch().keys)


def test_a_rejection_between_the_steps_changes_no_label(queue, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    whole = Trainer(OFFICIAL)
    whole._compute_advantage(batch(), {})
    before = written(queue)
    del queue.columns["rollout_is_weights"]
    trainer = Trainer(OFFICIAL)
    trainer._compute_old_log_prob(batch(), metrics={})
    # the name's opening quote is rejected: read anew, the call would fall apart
    rejected = TEXTS[0].index('"f"')
    mask = [row.clone() for row in queue.columns["response_mask"].unbind()]
    mask[0][rejected] = 0
    queue.columns["response_mask"] = jagged(mask)
    trainer._compute_advantage(batch(), {})
    after = written(queue)
    assert after[0][rejected] == 0
    kept = [place for place in range(len(TEXTS[0])) if place != rejected]
    ratios = torch.tensor([after[0][place] / before[0][place] for place in kept])
    torch.testing.assert_close(ratios, ratios[:1].expand(len(ratios)))


def test_averages_go_on_over_a_checkpoint_to_the_last_bit(queue):
    config = ReSTConfig(entropy_ema=0.7)
    entropy = queue.columns["entropy"].values()

    def step(trainer, factor):
        queue.columns.pop("rollout_is_weights", None)
        entropy.copy_(torch.linspace(0.01, factor, len(entropy)))
        trainer._compute_advantage(batch(), {})
        return written(queue)

    went_on, stopped = Trainer(config), Trainer(config)
    for trainer in (went_on, stopped):
        step(trainer, 0.3)
    resumed = Trainer(config)
    resumed.memory = EntropyMemory(share=0.7)
    resumed.memory.load(stopped.memory.state())
    assert step(resumed, 0.9) == step(went_on, 0.9)
    assert step(Trainer(config), 0.9) != step(went_on, 0.9)
