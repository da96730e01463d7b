"""The inputs that verl's v1 trainers do not give an estimator of advantages.

GDPO (arXiv 2601.05242) wants the parts of the reward, the optimal token baselines want the sum of
the squared probabilities at each token. verl's old trainer handed both over; its v1 trainers do
not, though the parts are in TransferQueue, and the actor's workers write the sums there when asked.
`EstimatorInputs` asks, and hands over. The estimators stay verl's, called as its old trainer did;
`rest_turn` is ours, and gets the turns of each rollout.

Rewards, their KL penalty and rollout correction stay with verl's step. It runs under an estimator
that needs nothing more, and its advantages are then replaced. As with any estimator but verl's
`grpo`, each output of a session is a row of its own in its prompt's group.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.protocol import DataProto
from verl.trainer.ppo.core_algos import AdvantageEstimator
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.workers.utils.padding import response_from_nested, response_to_nested

from rest_verl.integration.estimator_checks import COMPLETED_ESTIMATORS, GDPO, TOKEN_BASELINES
from rest_verl.integration.names import TURN_ESTIMATOR
from rest_verl.integration.turn_credit import (
    NO_TURNS,
    batch_turns,
    refuse_several_outputs,
    turn_columns,
)

# Shape letters: B responses, T response tokens of the longest.

SQUARES = "sum_pi_squared"
STAND_IN = "rest"
COLUMNS = [
    "uid",
    "response_mask",
    "rm_scores",
    "token_level_rewards",
    "old_log_probs",
    "rollout_is_weights",
]


class EstimatorInputs:
    """Gives verl's estimators what they lack; put it before a verl v1 trainer class."""

    estimator: str | None = None
    """The run's estimator if it is `rest_turn` or one of `COMPLETED_ESTIMATORS`."""
    has_looked_for_turns = False

    def __init__(self, config: DictConfig) -> None:
        self.estimator = completed_estimator(config)
        super().__init__(config)  # type: ignore[call-arg]

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        if self.estimator in TOKEN_BASELINES:
            batch.extra_info[f"calculate_{SQUARES}"] = True
        batch = super()._compute_old_log_prob(batch, metrics=metrics)  # type: ignore[misc]
        # A reference policy in the same workers would put its own in their place.
        batch.extra_info.pop(f"calculate_{SQUARES}", None)
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict) -> KVBatchMeta:
        if self.estimator is None:
            return super()._compute_advantage(batch, metrics=metrics)  # type: ignore[misc]
        algorithm = self.config.algorithm  # type: ignore[attr-defined]
        with _stand_in(algorithm):
            batch = super()._compute_advantage(batch, metrics=metrics)  # type: ignore[misc]
        own = SQUARES if self.estimator in TOKEN_BASELINES else "extra_fields"
        where = {"keys": batch.keys, "partition_id": batch.partition_id}
        data = tq.kv_batch_get(**where, select_fields=[*COLUMNS, own])
        if self.estimator == TURN_ESTIMATOR:
            fields = self._credit_turns(data, batch)
        else:
            fields = estimate(self.estimator, data, batch.keys, algorithm)
        return tq.kv_batch_put(**where, fields=fields)

    def _credit_turns(self, data: TensorDict, batch: KVBatchMeta) -> TensorDict:
        rows = zip(batch.keys, batch.tags, strict=True)
        refuse_several_outputs([key for key, tag in rows if not tag.get("is_padding", False)])
        extra_fields = data.pop("extra_fields").tolist() if "extra_fields" in data else []
        if not self.has_looked_for_turns:
            self.has_looked_for_turns = True
            lengths = data["response_mask"].offsets().diff().tolist()
            if not batch_turns(extra_fields, lengths).are_told:
                print(NO_TURNS, flush=True)
        return turn_columns(data, extra_fields, self.config.algorithm)  # type: ignore[attr-defined]


def completed_estimator(config: DictConfig) -> str | None:
    """The estimator of verl's config if verl's step alone does not do for it, else None."""
    name = OmegaConf.select(config, "algorithm.adv_estimator")
    return name if name in (TURN_ESTIMATOR, *COMPLETED_ESTIMATORS) else None


@contextmanager
def _stand_in(algorithm: DictConfig) -> Iterator[None]:
    """Within, verl's trainer finds an estimator that asks for nothing."""
    name = algorithm.adv_estimator
    algorithm.adv_estimator = STAND_IN
    try:
        yield
    finally:
        algorithm.adv_estimator = name


def estimate(estimator: str, data: TensorDict, keys: Sequence[str], algorithm: Any) -> TensorDict:
    """The estimator's jagged `advantages` and `returns` of B rows.

    Args:
        estimator: One of `COMPLETED_ESTIMATORS`.
        data: Jagged `COLUMNS` as verl's advantage step left them (the weights of rollout
            correction and `token_level_rewards` where there are any), `uid`, and for gdpo the
            dicts `extra_fields`, for the others `sum_pi_squared` of prompt and response.
        keys: TransferQueue's keys of the rows, for messages.
        algorithm: verl's section `algorithm`.

    Raises:
        ValueError: a part of the reward is missing or no finite number, or `sum_pi_squared` is
            missing.
    """
    mask = data["response_mask"]
    non_tensors = {"uid": np.array(data.pop("uid").tolist(), dtype=object)}
    if estimator == GDPO:
        extra_fields = data.pop("extra_fields").tolist() if "extra_fields" in data else []
        infos = [row.get("reward_extra_info") or {} for row in extra_fields] or [{}] * len(keys)
        for part in algorithm.gdpo_reward_keys:
            non_tensors[part] = reward_part(part, infos, keys)
    elif SQUARES in data:
        data[SQUARES] = response_from_nested(data[SQUARES], mask)
    else:
        raise ValueError(
            f"algorithm.adv_estimator={estimator}: the actor's workers wrote no {SQUARES} beside "
            "the old log-probabilities; their engine does not compute it. Use grpo or rest"
        )
    padded = data.to_padded_tensor()
    if "token_level_rewards" not in padded:
        padded["token_level_rewards"] = padded["rm_scores"]
    if SQUARES in padded:
        padded[SQUARES] = padded[SQUARES].float()
    # All that gdpo reads of these two is where a response ends.
    padded["prompts"] = mask.values().new_empty(len(keys), 0)
    positions_T = torch.arange(padded["response_mask"].shape[1])
    padded["attention_mask"] = positions_T < mask.offsets().diff()[:, None]
    batch = compute_advantage(
        DataProto(batch=padded, non_tensor_batch=non_tensors),
        adv_estimator=AdvantageEstimator(estimator),
        config=algorithm,
    ).batch
    columns = {name: response_to_nested(batch[name], mask) for name in ("advantages", "returns")}
    return TensorDict(columns, batch_size=len(keys))


def reward_part(part: str, infos: Sequence[dict[str, Any]], keys: Sequence[str]) -> np.ndarray:
    """One part of the reward of B rows, float64.

    Args:
        part: Its name.
        infos: verl's `reward_extra_info` of each row.
        keys: The rows' names in a message.

    Raises:
        ValueError: a row lacks it, or it is no finite number.
    """
    for key, info in zip(keys, infos, strict=True):
        value = info.get(part)
        if not isinstance(value, Real) or not isfinite(value):
            what = f"is {value!r}, no finite number" if part in info else "is missing"
            raise ValueError(
                f"algorithm.gdpo_reward_keys: {part} {what} among the parts of row {key}'s "
                f"reward, which are: {', '.join(info) or 'none'}. The reward has to return every "
                "one of them for every answer"
            )
    return np.array([float(info[part]) for info in infos])
