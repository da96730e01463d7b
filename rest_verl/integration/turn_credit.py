"""Credit by turns in verl's advantage step: the estimator `rest_turn`, and whose turn a token is.

What the agent loop says of a rollout's turns is in its extra fields
(`rest_verl.integration.agent_loops.turns`). A row without them, such as one of a single answer, is
one turn that earned nothing of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor
from verl.workers.utils.padding import response_to_nested

from rest_verl.algorithm.advantage import turn_advantage
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.integration.agent_loops.turns import TURN_SCORES, TURN_SPANS
from rest_verl.integration.names import TURN_ESTIMATOR

# Shape letters: B responses, T response tokens of the longest, K turns of the longest.

NO_TURNS = (
    f"[rest] warning: algorithm.adv_estimator={TURN_ESTIMATOR}, but no rollout of the first batch "
    "says what its turns earned: each is one turn with its reward. Rows need the agent loop "
    "rest_tool_env and an environment with turn_rewards() (docs/turn-credit.md)"
)


class Turns(NamedTuple):
    """The turns of B rows."""

    of_token: Tensor
    """The turn, from 0, that each token lies in, (B, T), int64; -1 between turns and behind them.
    Observations within a turn are of it."""
    rewards: Tensor
    """What each turn earned, (B, K), float32; 0 where nobody said."""
    are_told: bool
    """Whether any row says what its turns earned."""


def batch_turns(extra_fields: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> Turns:
    """Reads the turns of B rows.

    Args:
        extra_fields: Those of verl's agent loop, one mapping a row; empty: no row has any.
        lengths: Tokens of each response.

    Raises:
        ValueError: a row has more scores than turns.
    """
    fields = list(extra_fields) or [{}] * len(lengths)
    spans = [
        row.get(TURN_SPANS) or [[0, length]] for row, length in zip(fields, lengths, strict=True)
    ]
    turn_BT = torch.full((len(lengths), max(lengths)), -1)
    reward_BK = torch.zeros(len(lengths), max(map(len, spans)))
    for row, (row_spans, row_fields) in enumerate(zip(spans, fields, strict=True)):
        for turn, (start, end) in enumerate(row_spans):
            turn_BT[row, start : min(end, lengths[row])] = turn
        scores = row_fields.get(TURN_SCORES) or []
        if row_fields.get(TURN_SPANS):
            if len(scores) > len(row_spans):
                raise ValueError(
                    f"a rollout has {len(scores)} {TURN_SCORES} for {len(row_spans)} {TURN_SPANS}: "
                    "the agent loop must give each turn that it scores its tokens, [start, end]"
                )
            reward_BK[row, : len(scores)] = torch.tensor(scores, dtype=torch.float32)
    are_told = any(row.get(TURN_SPANS) and row.get(TURN_SCORES) for row in fields)
    return Turns(turn_BT, reward_BK, are_told)


def turn_columns(data: TensorDict, extra_fields: Sequence[Any], algorithm: Any) -> TensorDict:
    """The jagged `advantages` and `returns` of B rows under `rest_turn`.

    Args:
        data: Jagged `response_mask`, `rm_scores` and, where there are any, `token_level_rewards`,
            and `uid`, as verl's advantage step left them.
        extra_fields: Of each row.
        algorithm: verl's section `algorithm`; `rest.turn_gamma`, `rest.outcome_weight` and
            `norm_adv_by_std_in_grpo` (default True) are read.
    """
    config = ReSTConfig.from_options(dict(algorithm.get("rest") or {}))
    mask = data["response_mask"]
    rewards = data["token_level_rewards" if "token_level_rewards" in data else "rm_scores"]
    turns = batch_turns(extra_fields, mask.offsets().diff().tolist())
    columns = turn_advantage(
        turns.rewards,
        turns.of_token,
        data.pop("uid").tolist(),
        outcomes=rewards.to_padded_tensor(0.0).sum(dim=-1).float(),
        turn_gamma=config.turn_gamma,
        outcome_weight=config.outcome_weight,
        norm_by_std=algorithm.get("norm_adv_by_std_in_grpo", True),
    )
    # Of a turn are its observations and what rejection took out too; they do not train.
    trains_BT = mask.to_padded_tensor(0)
    nested = [response_to_nested(column * trains_BT, mask) for column in columns]
    return TensorDict(dict(zip(("advantages", "returns"), nested, strict=True)), len(mask))


def refuse_several_outputs(keys: Sequence[str]) -> None:
    """ValueError where a session put out more than one row: nobody says how their turns follow.

    Args:
        keys: TransferQueue's, `<uid>_<session>_<output>`, without verl's padding rows.
    """
    seen: set[str] = set()
    for key in keys:
        session = key.rpartition("_")[0]
        if session in seen:
            raise ValueError(
                f"algorithm.adv_estimator={TURN_ESTIMATOR}: the session {session} put out several "
                "rows, whose turns it cannot put in order. Use grpo or rest for such agent loops"
            )
        seen.add(session)
