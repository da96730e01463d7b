"""Dumps of a run, written by verl's own code: rows as the agent loop puts them into the queue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl import DataProto
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from rest_verl.integration.reward_manager import ReSTRewardManager


def queue_row(
    prompt_ids: list[int],
    token_ids: list[int],
    score: float,
    *,
    mask: list[int] | None = None,
    parts: dict[str, float] | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """One response's fields; `columns` are the data set's and others."""
    rewards = torch.zeros(len(token_ids))
    rewards[-1] = score
    return {
        "prompts": torch.tensor(prompt_ids),
        "responses": torch.tensor(token_ids),
        "response_mask": torch.tensor(mask or [1] * len(token_ids)),
        "rm_scores": rewards,
        "num_turns": 2,
        "extra_fields": {"reward_extra_info": parts or {}},
        **columns,
    }


class Dumper:
    """A trainer of verl's as far as it dumps, over rows in memory."""

    def __init__(self, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._trainer: Any = object.__new__(PPOTrainerSync)
        self._trainer.tokenizer = tokenizer
        self._patch = monkeypatch

    def rollouts(self, folder: Path, step: int, rows: dict[str, dict[str, Any]]) -> Path:
        """`<step>.jsonl` of `trainer.rollout_data_dir`, of rows by their keys."""
        data = _queued(list(rows.values()))

        def get(keys: Any, partition_id: str, select_fields: list[str]) -> TensorDict:
            return data.select(*select_fields)

        self._patch.setattr(trainer_base, "tq", SimpleNamespace(kv_batch_get=get))
        self._trainer.global_steps = step
        self._trainer._init_dump_executor()
        batch = KVBatchMeta(keys=list(rows), tags=[{} for _ in rows], partition_id="train")
        self._trainer._log_rollout_data(batch, {}, str(folder))
        self._trainer._shutdown_dump_executor()
        return folder / f"{step}.jsonl"

    def validation(self, folder: Path, step: int, rows: dict[str, dict[str, Any]]) -> Path:
        """The same of `trainer.validation_data_dir`, with the reward's parts."""
        decode = self._trainer.tokenizer.decode
        values = list(rows.values())
        scores = [float(row["rm_scores"].sum()) for row in values]
        infos = [row["extra_fields"]["reward_extra_info"] for row in values]
        extra: dict[str, list[Any]] = {"reward": scores}
        extra |= {part: [info[part] for info in infos] for part in infos[0]}
        PPOTrainerSync._write_generations(
            [decode(row["prompts"], skip_special_tokens=True) for row in values],
            [decode(row["responses"], skip_special_tokens=True) for row in values],
            [row["reward_model"]["ground_truth"] for row in values],
            scores,
            {**extra, "uid": list(rows)},
            str(folder),
            step,
        )
        return folder / f"{step}.jsonl"


def save_batch(folder: Path, step: int, rows: dict[str, dict[str, Any]]) -> Path:
    """`tq_batch.pt` of `skip.rollout_tq`."""
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"min_global_steps": step - 1, "max_global_steps": step - 1}
    payload = {
        "tensordict": _queued(list(rows.values())),
        "tags": [dict(versions) for _ in rows],
        "keys": list(rows),
        "global_steps": step,
    }
    torch.save(payload, folder / "tq_batch.pt")
    return folder / "tq_batch.pt"


def _queued(rows: list[dict[str, Any]]) -> TensorDict:
    """The rows as the queue gives them back: tensors jagged, other columns as stacks."""
    stacks = [{k: v for k, v in row.items() if not isinstance(v, torch.Tensor)} for row in rows]
    queued = list_of_dict_to_tensordict(stacks)
    for name, value in rows[0].items():
        if isinstance(value, torch.Tensor):
            column = [row[name] for row in rows]
            queued[name] = torch.nested.as_nested_tensor(column, layout=torch.jagged)
    return queued


def scored(
    tokenizer: Any, row: dict[str, Any], options: dict[str, Any], syntax: str = "auto"
) -> dict[str, Any]:
    """The row with the reward that verl's manager `rest` gives it."""
    config = OmegaConf.create(
        {
            "reward": {"custom_reward_function": {"path": None, "reward_kwargs": options}},
            "algorithm": {"rest": {"syntax": syntax}},
        }
    )
    ids = torch.cat([row["prompts"], row["responses"]])[None]
    columns = {
        name: np.array([row[name]], dtype=object)
        for name in ("reward_model", "global_steps", "extra_info", "validate")
        if name in row
    }
    data = DataProto.from_dict(
        tensors={
            "input_ids": ids,
            "responses": row["responses"][None],
            "attention_mask": torch.ones_like(ids),
        },
        non_tensors=columns,
    )
    result = asyncio.run(ReSTRewardManager(config, tokenizer).run_single(data))
    row["rm_scores"][-1] = result["reward_score"]
    row["extra_fields"] = {"reward_extra_info": result["reward_extra_info"]}
    return row
