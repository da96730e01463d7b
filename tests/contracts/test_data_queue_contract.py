"""Batches in verl's data queue: the calls, and the tags and columns of a row, padding included."""

import inspect
from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

import transfer_queue as tq
from tensordict import TensorDict
from toy_tokenizers import one_byte_per_token
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.v1 import agent_loop_tq, trainer_base
from verl.workers.utils.padding import response_to_nested

from rest_verl.algorithm.regions import Region
from rest_verl.integration.labelling import RowLabeler
from rest_verl.integration.reward_metrics import reward_metrics
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.integration.samples import sample_steps, staleness_metrics
from rest_verl.integration.trainer import WEIGHT_COLUMN

TAG = {"min_global_steps": 6, "max_global_steps": 8, "seq_len": 5}
SAMPLE = {
    "responses": torch.tensor([1, 2, 3]),
    "response_mask": torch.tensor([1, 0, 1]),
    "rm_scores": torch.tensor([0.0, 0.0, 2.0]),
    "position_ids": torch.arange(5),
    "extra_fields": {"reward_extra_info": {"format": 1.0}},
}


def jagged(*rows):
    return torch.nested.as_nested_tensor(list(map(torch.tensor, rows)), layout=torch.jagged)


def test_the_calls():
    """As the trainers call them, by name."""
    where = {"keys": ["a"], "partition_id": "train"}
    inspect.signature(tq.kv_batch_get).bind(**where, select_fields=["entropy", WEIGHT_COLUMN])
    inspect.signature(tq.kv_batch_put).bind(**where, fields=None)
    assert inspect.signature(tq.kv_batch_put).return_annotation is tq.KVBatchMeta


def test_a_batch_says_where_its_rows_are():
    assert {"keys", "tags", "partition_id"} <= {field.name for field in fields(tq.KVBatchMeta)}
    batch = tq.KVBatchMeta(keys=["a", "b"], tags=[TAG, {}], partition_id="train")
    assert len(batch) == 2
    assert batch.tags == [TAG, {}]
    with pytest.raises(ValueError, match="same length"):  # a tag for each key
        tq.KVBatchMeta(keys=["a"], tags=[])


def test_a_column_is_as_jagged_as_the_mask():
    mask = jagged([1, 0, 1], [1])
    column = response_to_nested(torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]), mask)
    assert [row.tolist() for row in column.unbind()] == [[1.0, 2.0, 3.0], [4.0]]
    assert column.to_padded_tensor(0.0).tolist() == [[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]


def test_a_padding_row_is_marked_masked_and_has_its_models_version():
    row, tag = padding_utils.construct_minimal_padding_template(SAMPLE, TAG, eos_token_id=7)
    assert row["responses"].tolist() == [7]
    assert row["response_mask"].tolist() == row["rm_scores"].tolist() == [0]
    assert tag["is_padding"] is True
    assert "is_padding" not in TAG
    # A padding row has a version like any other, and the weights' clock reads it.
    assert sample_steps([TAG, tag], current=9).tolist() == [7, 7]
    # In the metrics it counts for nothing, though it keeps the reward's parts of a real row.
    assert row["extra_fields"] == SAMPLE["extra_fields"]
    assert staleness_metrics(sample_steps([tag], 9), [tag]) == {}
    is_padding = [mark.get("is_padding", False) for mark in (TAG, tag)]
    metrics = reward_metrics([2.0, 0.0], [SAMPLE["extra_fields"], row["extra_fields"]], is_padding)
    assert metrics == {"reward/total/mean": 2.0, "reward/format/mean": 1.0}


def test_a_rows_own_columns_tell_its_syntax():
    """verl puts a data set's columns beside what was sampled; the labels go by them."""
    text = b'<tool_call>{"name": "f", "parameters": {}}</tool_call>'
    infos = [{"syntax": "toolrl", "index": 0}, {"syntax": "", "tools": "[]"}]
    rows = [
        {
            "prompts": torch.tensor([1]),
            "responses": torch.tensor(list(text)),
            "response_mask": torch.ones(len(text), dtype=torch.long),
            "extra_info": info,
            "reward_model": {"ground_truth": "", "style": "rule"},
        }
        for info in infos
    ]
    tokenizer = one_byte_per_token()
    labeler = RowLabeler(tokenizer, RunSyntaxes("qwen3_coder", tokenizer))
    sampled = agent_loop_tq.list_of_dict_to_tensordict(rows).select(*labeler.columns)
    assert [Region.NAME in row for row in labeler.label(sampled)] == [True, False]


def test_entropies_lie_beside_the_old_log_probabilities(compose_verl, monkeypatch):
    """Both of the old policy, and of the response alone: what the weights are made of."""
    put = {}
    columns = {  # over prompt (2 and 1 tokens) and response (2 and 1), as a model puts them out
        "entropy": jagged([9.0, 0.1, 0.2, 9.0], [0.3, 9.0]),
        "log_probs": jagged([9.0, -1.0, -2.0, 9.0], [-3.0, 9.0]),
        "response_mask": jagged([1, 1], [1]),
    }

    def get(keys, partition_id, select_fields):
        return TensorDict({name: columns[name] for name in select_fields}, batch_size=len(keys))

    def store(keys, partition_id, fields):
        put.update(
            {name: [row.tolist() for row in value.unbind()] for name, value in fields.items()}
        )
        return tq.KVBatchMeta(keys=keys, tags=[TAG, TAG], partition_id=partition_id)

    monkeypatch.setattr(trainer_base.tq, "kv_batch_get", get)
    monkeypatch.setattr(trainer_base.tq, "kv_batch_put", store)
    trainer = object.__new__(trainer_base.get_trainer_cls("sync"))
    trainer.config = compose_verl("actor_rollout_ref.rollout.calculate_log_probs=False")
    trainer.actor_rollout_wg = SimpleNamespace(compute_log_prob=lambda batch: batch)
    batch = tq.KVBatchMeta(keys=["a", "b"], tags=[TAG, TAG], partition_id="train")
    assert trainer._compute_old_log_prob(batch, {}).keys == ["a", "b"]
    assert batch.extra_info["calculate_entropy"] is True
    assert put["entropy"] == [pytest.approx([0.1, 0.2]), pytest.approx([0.3])]
    assert put["old_log_probs"] == [[-1.0, -2.0], [-3.0]]


def test_in_bypass_mode_there_are_none(compose_verl, monkeypatch):
    """Why check_config refuses it."""
    put = {}
    rows = TensorDict({"rollout_log_probs": jagged([-1.0])}, batch_size=1)
    monkeypatch.setattr(trainer_base.tq, "kv_batch_get", lambda **_: rows)
    monkeypatch.setattr(trainer_base.tq, "kv_batch_put", lambda **given: put.update(given))
    trainer = object.__new__(trainer_base.get_trainer_cls("sync"))
    trainer.config = compose_verl("algorithm.rollout_correction.bypass_mode=True")
    batch = tq.KVBatchMeta(keys=["a"], tags=[TAG], partition_id="train")
    trainer._compute_old_log_prob(batch, {})
    assert set(put["fields"].keys()) == {"old_log_probs"}
