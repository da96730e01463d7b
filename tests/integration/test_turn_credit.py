"""`rest_turn` through verl's advantage step: what the loop says of turns against the function."""

import re
from typing import Any

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

import torch
from advantage_step import BATCH, KEYS, UIDS, ReSTTrainer, advantage_step, assert_rows_equal
from recorded_batch import REWARDS
from tensordict import NonTensorData, NonTensorStack
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

import rest_verl.plugin  # noqa: F401 (registers with verl)
from rest_verl.algorithm.advantage import rest_advantage, turn_advantage
from rest_verl.integration.turn_credit import batch_turns

TURN = "algorithm.adv_estimator=rest_turn"
LENGTHS = [len(mask) for mask in BATCH.masks]


def halves(row: int) -> dict[str, Any]:
    """Two turns, or one in a response of one token; the first earned the row's number."""
    middle, length = LENGTHS[row] // 2, LENGTHS[row]
    if not middle:
        return {"turn_scores": [float(row)], "turn_spans": [[0, length]]}
    return {"turn_scores": [float(row), 0.5], "turn_spans": [[0, middle], [middle, length]]}


def column(rows: list[dict[str, Any]]) -> NonTensorStack:
    return NonTensorStack(*map(NonTensorData, rows))


TOLD = [halves(row) for row in range(8)]


def by_hand(rows: list[dict[str, Any]], **options: Any) -> list[torch.Tensor]:
    turns = torch.full((8, max(LENGTHS)), -1)
    rewards = torch.zeros(8, 2)
    for row, told in enumerate(rows):
        for turn, (start, end) in enumerate(told["turn_spans"]):
            turns[row, start:end] = turn
            rewards[row, turn] = told["turn_scores"][turn]
    options = {"norm_by_std": True, **options}
    advantages, _ = turn_advantage(
        rewards, turns, UIDS, outcomes=torch.tensor(REWARDS, dtype=torch.float32), **options
    )
    pairs = zip(advantages, BATCH.masks, strict=True)
    return [row[: len(mask)] * mask for row, mask in pairs]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ([], {}),
        (["algorithm.norm_adv_by_std_in_grpo=False"], {"norm_by_std": False}),
        (
            ["algorithm.rest.turn_gamma=0.5", "algorithm.rest.outcome_weight=0.25"],
            {"turn_gamma": 0.5, "outcome_weight": 0.25},
        ),
    ],
)
def test_the_step_gives_what_the_function_gives(
    monkeypatch: pytest.MonkeyPatch, settings: list[str], options: dict[str, Any]
) -> None:
    queue = advantage_step(ReSTTrainer, monkeypatch, TURN, *settings, extra_fields=column(TOLD))
    assert_rows_equal(queue.rows("advantages"), by_hand(TOLD, **options))


def test_rows_that_say_nothing_are_one_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (TURN, "algorithm.norm_adv_by_std_in_grpo=False")
    mask = torch.nested.to_padded_tensor(torch.nested.as_nested_tensor(list(BATCH.masks)), 0)
    grpo, _ = rest_advantage(torch.tensor(REWARDS), mask, UIDS, norm_by_std=False)
    expected = [4 / 3 * row[:length] for row, length in zip(grpo, LENGTHS, strict=True)]
    for rows in (None, column([{}] * 8), column([{"turn_scores": []}] * 8)):
        queue = advantage_step(ReSTTrainer, monkeypatch, *settings, extra_fields=rows)
        assert_rows_equal(queue.rows("advantages"), [row.float() for row in expected])
        assert "says what its turns earned" in capsys.readouterr().out
    mixed = [told if row % 2 else {} for row, told in enumerate(TOLD)]
    whole = [{"turn_scores": [0.0], "turn_spans": [[0, length]]} for length in LENGTHS]
    same = [told if row % 2 else whole[row] for row, told in enumerate(TOLD)]
    queue = advantage_step(ReSTTrainer, monkeypatch, TURN, extra_fields=column(mixed))
    assert_rows_equal(queue.rows("advantages"), by_hand(same))
    assert "says what its turns earned" not in capsys.readouterr().out


def test_several_outputs_of_a_session_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["a_0_0", "a_0_1", *KEYS[2:]]
    with pytest.raises(ValueError, match="the session a_0 put out several rows"):
        advantage_step(ReSTTrainer, monkeypatch, TURN, keys=keys, extra_fields=column(TOLD))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([TURN, "algorithm.use_kl_in_reward=True"], "algorithm.use_kl_in_reward=True: rest_turn"),
        (["algorithm.rest.turn_gamma=0.9"], "algorithm.rest.turn_gamma=0.9: only the estimator"),
        (["algorithm.rest.outcome_weight=0"], "algorithm.rest.outcome_weight=0: only the estim"),
        ([TURN, "algorithm.rest.turn_gamma=2"], r"turn_gamma must lie in \[0, 1\], got 2"),
    ],
)
def test_settings_that_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, settings: list[str], words: str
) -> None:
    with pytest.raises(ValueError, match=words if "\\" in words else re.escape(words)):
        advantage_step(ReSTTrainer, monkeypatch, *settings, extra_fields=column(TOLD))


def test_verls_own_trainers_are_told_who_hands_turns_over() -> None:
    with pytest.raises(ValueError, match=r"only the rest_\* trainers hand over"):
        get_adv_estimator_fn("rest_turn")(token_level_rewards=None, response_mask=None)


def test_weights_of_mean_1_over_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the trainer: in each turn of a row with a weight, the trained tokens have mean 1."""
    told = column(TOLD)
    setting = "algorithm.rest.weights_per=turn"
    queue = advantage_step(ReSTTrainer, monkeypatch, setting, extra_fields=told)
    whole = advantage_step(ReSTTrainer, monkeypatch, extra_fields=told)
    found, differs = 0, False
    for row, (weights, mask) in enumerate(
        zip(queue.rows("rollout_is_weights"), BATCH.masks, strict=True)
    ):
        differs |= not torch.allclose(weights, whole.rows("rollout_is_weights")[row])
        for start, end in TOLD[row]["turn_spans"]:
            trained = weights[start:end][mask[start:end].bool() & (weights[start:end] > 0)]
            if len(trained):
                torch.testing.assert_close(trained.mean(), torch.tensor(1.0))
                found += 1
    assert found > 8
    assert differs


def test_spans_of_all_lengths() -> None:
    rows: list[dict[str, Any]] = [
        {"turn_scores": [1.0, 2.0], "turn_spans": [[0, 2], [4, 5]]},
        {"turn_scores": [], "turn_spans": [[0, 1], [2, 2]]},  # nobody says; an empty last turn
        {"turn_scores": [3.0], "turn_spans": [[0, 9]]},  # cut off since
        {"turn_scores": [], "turn_spans": []},
    ]
    turns = batch_turns(rows, [5, 2, 3, 1])
    assert turns.of_token.tolist() == [
        [0, 0, -1, -1, 1],
        [0, -1, -1, -1, -1],
        [0, 0, 0, -1, -1],
        [0, -1, -1, -1, -1],
    ]
    assert turns.rewards.tolist() == [[1, 2], [0, 0], [3, 0], [0, 0]]
    assert turns.are_told
    assert not batch_turns([], [2]).are_told


def test_more_scores_than_turns_are_refused() -> None:
    rows = [
        {"turn_scores": [1.0, 2.0], "turn_spans": [[0, 2]]},
        {"turn_scores": [1.0, 2.0], "turn_spans": [[0, 1], [1, 2]]},
    ]
    with pytest.raises(ValueError, match="2 turn_scores for 1 turn_spans"):
        batch_turns(rows, [2, 2])
