"""verl's reward manager `rest`: the tool-call reward, with its schedule tied to the training step.

Chosen by `reward.reward_manager.name=rest`. Its options are those of RewardConfig, given as
`+reward.custom_reward_function.reward_kwargs.{preset,horizon,...}`.
"""

from typing import Any

from omegaconf import DictConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.experimental.reward_loop.reward_manager.registry import register

from rest_verl.integration.reward_options import reward_config_from, schedule_step
from rest_verl.integration.run_syntax import row_readers
from rest_verl.integration.validation_mark import VALIDATION_MARK
from rest_verl.rewards import tool_call_reward

VALIDATION_SPLITS = frozenset({"validation", "val", "test"})


def is_validation(row: dict[str, Any]) -> bool:
    """True for a row that a `rest_*` trainer marked, or whose `extra_info.split` says so.

    The second is for other trainers.
    """
    split = (row.get("extra_info") or {}).get("split")
    return bool(row.get(VALIDATION_MARK)) or split in VALIDATION_SPLITS


@register("rest")
class ReSTRewardManager(RewardManagerBase):
    """Scores the last response of a session; validation always on the fixed scale."""

    tokenizer: Any

    def __init__(
        self, config: DictConfig, tokenizer: Any, compute_score: Any = None, **_: Any
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self.reward_config = reward_config_from(config)
        self.schedule_step = schedule_step(config)
        self.readers = row_readers(config, tokenizer)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """One session → {"reward_score", "reward_extra_info"}; never raises on model text."""
        item = data[-1]
        row = item.non_tensor_batch
        ids = item.batch["responses"]
        length = int(item.batch["attention_mask"][-ids.shape[-1] :].sum())
        ground_truth, extra_info = row["reward_model"]["ground_truth"], row.get("extra_info")
        reader = self.readers.of_row(extra_info, ground_truth)
        sampled = item.batch["input_ids"][item.batch["attention_mask"].bool()].numpy()
        answer = ids[:length].numpy()
        try:
            result = tool_call_reward(
                reader.text(answer),
                ground_truth,
                step=None if is_validation(row) else self.schedule_step(int(row["global_steps"])),
                config=self.reward_config,
                syntax=reader.syntax,
                think_is_open=reader.think_is_open(sampled[: len(sampled) - length]),
                tools=reader.syntax.types_of(extra_info),
            )
        except ValueError as error:  # the data's fault: say which row
            info = row.get("extra_info") or {}
            name = info.get("id", info.get("index", "without id"))
            raise ValueError(f"{row.get('data_source')}, row {name}: {error}") from error
        parts = {**result.as_dict(), "cut_off": float(reader.is_cut_off(answer))}
        return {"reward_score": result.score, "reward_extra_info": parts}
