"""Labels are made in a thread, from what was sampled, and belong to their rows."""

import threading

import numpy as np
import pytest
import torch
from row_labelers import row_labeler
from toy_tokenizers import one_byte_per_token
from trainer_in_memory import (
    CALL,
    CALL_REGIONS,
    EXPECTED,
    TEXTS,
    THOUGHT,
    THOUGHT_REGIONS,
    KeyedQueue,
    Trainer,
    batch,
    batch_of,
    jagged,
    written,
)

from rest_verl.algorithm.regions import Region
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration import trainer as module
from rest_verl.integration.labelling import BackgroundLabels
from rest_verl.syntax import ToolCall, get_syntax

OFFICIAL = ReSTConfig.preset("official")


def sampled(queue):
    return queue.kv_batch_get(batch().keys, "train", ["responses", "response_mask"])


def rows_of(monkeypatch, **rows):
    """A queue of rows by key: a text, or a text and its mask."""
    texts = [row if isinstance(row, str) else row[0] for row in rows.values()]
    masks = [[1] * len(row) if isinstance(row, str) else row[1] for row in rows.values()]
    queue = KeyedQueue(
        rows,
        responses=jagged([list(text.encode()) for text in texts]),
        response_mask=jagged(masks),
        entropy=jagged([[0.5] * len(text) for text in texts]),
    )
    monkeypatch.setattr(module, "tq", queue)
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    return queue


class Noting:
    """A labeler that notes the threads which asked it."""

    def __init__(self):
        self.labeler, self.threads = row_labeler(one_byte_per_token()), []
        self.columns = self.labeler.columns

    def read(self, sampled):
        self.threads.append(threading.current_thread().name)
        return self.labeler.read(sampled)


def test_they_follow_their_rows(queue):
    labeler, labels, keys = row_labeler(one_byte_per_token()), BackgroundLabels(), batch().keys
    regions, controls = direct = labeler.read(sampled(queue))
    assert regions.tolist() == labeler.label(sampled(queue)).tolist()
    labels.start(labeler, keys, sampled(queue))
    np.testing.assert_array_equal(labels.take(keys[::-1]), [regions[::-1], controls[::-1]])
    assert labels.take(keys) is None  # taken already
    labels.start(labeler, keys, sampled(queue))
    assert labels.take([*keys[:-1], "another"]) is None
    assert labels.take(keys[:-1]) is None
    np.testing.assert_array_equal(labels.take(keys), direct)  # and wait for their own rows


def test_a_step_labels_once_and_not_in_the_trainers_thread(queue, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    trainer = Trainer(OFFICIAL)
    trainer.labeler = Noting()
    trainer._compute_old_log_prob(batch(), metrics={})
    trainer._compute_advantage(batch(), {})
    (thread,) = trainer.labeler.threads
    assert thread != threading.current_thread().name
    assert written(queue) == [pytest.approx(row) for row in EXPECTED]


def test_the_next_batch_is_not_given_the_labels_of_the_last(monkeypatch):
    trainer = Trainer(OFFICIAL)
    trainer.labeler = Noting()
    for text in (CALL, THOUGHT):
        queue = rows_of(monkeypatch, row=text)
        trainer._compute_old_log_prob(batch_of(["row"]), metrics={})
        trainer._compute_advantage(batch_of(["row"]), {})
    (thought,) = written(queue)
    assert thought == pytest.approx(EXPECTED[1])


def test_rows_in_another_order_keep_their_weights(monkeypatch):
    rows = {"a": CALL, "b": THOUGHT, "c": THOUGHT + CALL}
    queue, trainer = rows_of(monkeypatch, **rows), Trainer(OFFICIAL)
    trainer._compute_old_log_prob(batch_of("abc"), metrics={})
    trainer._compute_advantage(batch_of("cab"), {})
    # the queue has them by key again
    _, thought, both = written(queue)
    assert thought == pytest.approx(EXPECTED[1])
    assert both == pytest.approx(EXPECTED[0])


@pytest.mark.parametrize("later", ["ab", "abd", "d"])
def test_another_batchs_rows_are_labelled_anew(monkeypatch, later):
    rows = {"a": CALL, "b": THOUGHT, "c": "text", "d": THOUGHT + CALL}
    rows_of(monkeypatch, **rows)
    trainer = Trainer(OFFICIAL)
    trainer.labeler = Noting()
    trainer._compute_old_log_prob(batch_of("abc"), metrics={})
    queue = rows_of(monkeypatch, **{key: rows[key] for key in later})
    trainer._compute_advantage(batch_of(later), {})
    assert threading.current_thread().name in trainer.labeler.threads
    found = dict(zip(later, written(queue), strict=True))
    expected = {"b": EXPECTED[1], "d": EXPECTED[0]}
    for key in expected.keys() & found.keys():
        assert found[key] == pytest.approx(expected[key])


def test_what_the_thread_raises_stops_the_step(queue, monkeypatch):
    class Broken:
        columns = ("responses", "response_mask")

        def read(self, sampled):
            raise RuntimeError("broken labeler")

    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    trainer = Trainer(OFFICIAL)
    trainer.labeler = Broken()
    trainer._compute_old_log_prob(batch(), metrics={})
    with pytest.raises(RuntimeError, match="broken labeler"):
        trainer._compute_advantage(batch(), {})
    assert "rollout_is_weights" not in queue.columns


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


# ---- what verl's rows can look like -------------------------------------------------------------

BASE = {Region.FORMAT: 1.0, Region.NAME: 1.2, Region.ARGS: 0.62, Region.THINK: 0.62}


def by_hand(parts, mask):
    """`official` at step 10, of mean 1 over the mask; TEXT weighs 0 and has no part in the mean."""
    each = [BASE.get(region, 0.0) for region, text in parts for _ in text]
    weights = [weight * keep for weight, keep in zip(each, mask, strict=True)]
    positive = [weight for weight in weights if weight]
    return [weight * len(positive) / sum(positive) for weight in weights]


# of the environment, so not sampled; read as the policy's it would open a thought and a call
RESULT = '<tool_response><think><tool_call>{"name":"'
ANSWER = [(Region.TEXT, "well")]
OBSERVED = [(Region.TEXT, RESULT)]
SHAPES = {
    "truncated: the tail has mask 0": (
        THOUGHT + CALL + "xyz", [1] * len(THOUGHT + CALL) + [0] * 3,
        THOUGHT_REGIONS + CALL_REGIONS + [(Region.TEXT, "xyz")],
    ),
    # the call is open to the end of what was sampled, so all of it is labelled as far as it goes
    "cut off within the call": (
        THOUGHT + CALL, [1] * (len(THOUGHT) + 20) + [0] * (len(CALL) - 20),
        THOUGHT_REGIONS + CALL_REGIONS,
    ),
    "several turns: what the tool said is not sampled": (
        CALL + RESULT + THOUGHT + CALL,
        [1] * len(CALL) + [0] * len(RESULT) + [1] * len(THOUGHT + CALL),
        CALL_REGIONS + OBSERVED + THOUGHT_REGIONS + CALL_REGIONS,
    ),
    "the answer after a call": (
        CALL + RESULT + "well", [1] * len(CALL) + [0] * len(RESULT) + [1] * 4,
        CALL_REGIONS + OBSERVED + ANSWER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_every_shape(monkeypatch, shape):
    text, mask, parts = SHAPES[shape]
    # beside a longer row, a shorter one and verl's padding row, so that all are padded
    long = THOUGHT + CALL + 3 * RESULT
    queue = rows_of(monkeypatch, row=(text, mask), long=long, short=THOUGHT, pad=("p", [0]))
    trainer, metrics = Trainer(OFFICIAL), {}
    trainer._compute_old_log_prob(batch_of(queue.keys), metrics)
    trainer._compute_advantage(batch_of(queue.keys), metrics)
    row, _, short, pad = written(queue)
    assert row == pytest.approx(by_hand(parts, mask))
    assert short == pytest.approx(EXPECTED[1])
    assert pad == [0.0]


def test_outputs_of_one_session_are_labelled_each_by_itself(monkeypatch):
    # the first output ends within a call; read together the second would go on with it
    first, second = THOUGHT + CALL[:20], CALL
    queue = rows_of(monkeypatch, uid_0_0=first, uid_0_1=second, uid_1_0=second)
    trainer = Trainer(OFFICIAL)
    trainer._compute_old_log_prob(batch_of(queue.keys), metrics={})
    trainer._compute_advantage(batch_of(queue.keys), {})
    cut, one, other = written(queue)
    assert one == other == pytest.approx(by_hand(CALL_REGIONS, [1] * len(CALL)))
    cut_parts = [*THOUGHT_REGIONS, (Region.FORMAT, CALL[:20])]
    assert cut == pytest.approx(by_hand(cut_parts, [1] * len(first)))


FOREIGN = get_syntax("seed").write([ToolCall("f", {"x": 1})])


@pytest.mark.parametrize(("rows", "warns"), [([FOREIGN, "no"], True), (["no"], False)])
def test_the_first_step_warns_of_calls_in_another_syntax(monkeypatch, capsys, rows, warns):
    trainer = Trainer(OFFICIAL)
    for _ in range(2):
        queue = rows_of(monkeypatch, **dict(zip("ab", rows, strict=False)))
        trainer._compute_old_log_prob(batch_of(queue.keys), metrics={})
        trainer._compute_advantage(batch_of(queue.keys), {})
    said = capsys.readouterr().out
    assert said.count("answers hold calls in the syntax seed") == warns


def test_no_warning_where_there_are_calls_of_its_own(monkeypatch, capsys):
    queue, trainer = rows_of(monkeypatch, a=FOREIGN, b=CALL), Trainer(OFFICIAL)
    trainer._compute_advantage(batch_of(queue.keys), {})
    assert "WARNING" not in capsys.readouterr().out
