"""verl's reward manager `rest`: the schedule's step, what it reads of a response, its options."""

import asyncio
import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from toy_tokenizers import byte_level, one_byte_per_token
from verl import DataProto

from rest_verl.integration.reward_manager import ReSTRewardManager, is_validation
from rest_verl.integration.reward_options import reward_config_from
from rest_verl.integration.template_syntax import NoSyntax
from rest_verl.integration.validation_mark import VALIDATION_MARK
from rest_verl.rewards import RewardConfig

CALL = {"name": "add", "parameters": {"x": 1}}
RIGHT = f"<think>so</think>\n<tool_call>\n{json.dumps(CALL)}\n</tool_call>"
WRONG = "?"


def manager(path=None, tokenizer=None, syntax="auto", **options) -> ReSTRewardManager:
    reward = {"custom_reward_function": {"path": path, "reward_kwargs": options}}
    config = OmegaConf.create({"reward": reward, "algorithm": {"rest": {"syntax": syntax}}})
    return ReSTRewardManager(config, tokenizer or one_byte_per_token())


def session(*texts: str, prompt: str = "ask", garbage: str = "", **columns) -> DataProto:
    """Rows of one session: left-padded prompt, the text, then ids that attention leaves out."""
    width, padding = max(map(len, texts)) + len(garbage), 2
    start = padding + len(prompt)
    inputs = torch.zeros(len(texts), start + width, dtype=torch.long)
    attention = torch.zeros_like(inputs)
    attention[:, padding:start] = 1
    for i, text in enumerate(texts):
        ids = torch.tensor(list((prompt + text + garbage).encode()))
        inputs[i, padding : padding + len(ids)] = ids
        attention[i, start : start + len(text)] = 1
    rows = {"reward_model": {"ground_truth": RIGHT, "style": "rule"}, "global_steps": 0, **columns}
    return DataProto.from_dict(
        tensors={
            "input_ids": inputs,
            "responses": inputs[:, start:],
            "attention_mask": attention,
        },
        non_tensors={
            name: np.array([value] * len(texts), dtype=object) for name, value in rows.items()
        },
    )


def score(manager: ReSTRewardManager, data: DataProto) -> float:
    return asyncio.run(manager.run_single(data))["reward_score"]


def test_result_is_what_verl_expects():
    result = asyncio.run(manager().run_single(session(RIGHT)))
    assert result == {
        "reward_score": 4.0,
        "reward_extra_info": {
            "score": 4.0,
            "format": 1.0,
            "correctness": 3.0,
            "format_ok": 1.0,
            "name_match": 1.0,
            "exact_match": 1.0,
            "num_calls": 1.0,
            "tags_valid": 1.0,
            "calls_parse": 1.0,
            "unclosed": 0.0,
            "no_call": 0.0,
            "calls_repeated": 0.0,
            "cut_off": 1.0,  # no token ends it
        },
    }


def test_response_ends_where_attention_ends():
    assert score(manager(), session(RIGHT, garbage="</tool_call> more")) == 4.0
    # the same text within attention is a malformed answer
    assert score(manager(), session(RIGHT + "</tool_call> more")) < 4.0


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("<think>\n", 4.0), ("ask", 3.0), ("<think>\n</think>\n\n", 3.0)],
)
def test_a_thought_that_the_prompt_opened_counts_as_the_answers(prompt, expected):
    answer = RIGHT.removeprefix("<think>")  # ToolRL's format wants its own thought
    assert score(manager(), session(answer, prompt=prompt)) == expected


def test_tags_that_are_special_tokens_are_read():
    tokenizer = byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<tool_call>", "</tool_call>"]})
    data = session("?")
    ids = torch.tensor([[*tokenizer.encode(RIGHT), tokenizer.eos_token_id]])
    data.batch = TensorDict(
        {"input_ids": ids, "responses": ids, "attention_mask": torch.ones_like(ids)}, batch_size=1
    )
    assert "<tool_call>" not in tokenizer.decode(ids[0], skip_special_tokens=True)
    assert score(manager(tokenizer=tokenizer), data) == 4.0


TRUTH = {
    "format": "chat_template",
    "expect": "calls",
    "calls": [{"name": "add", "parameters": {"x": [1]}}],
}
ROW = {"reward_model": {"ground_truth": json.dumps(TRUTH)}}


def test_a_row_is_read_by_the_syntax_that_it_asks_for_or_by_the_models_own():
    text = RIGHT.removeprefix("<think>so</think>")
    assert score(manager(syntax="hermes"), session(text, **ROW)) == 4.0
    assert score(manager(), session(text, **ROW, extra_info={"syntax": "hermes"})) == 4.0
    with pytest.raises(NoSyntax, match=r"no chat template.*algorithm\.rest\.syntax=<name>"):
        score(manager(), session(text, **ROW))


def test_last_response_of_a_session_counts():
    assert score(manager(), session(WRONG, RIGHT)) == 4.0
    assert score(manager(), session(RIGHT, WRONG)) == -3.0


# p = step / 150: format_min min(-2 + 2p, -1), correctness_min -min(2 + p, 3)
@pytest.mark.parametrize(("step", "expected"), [(0, -4.0), (75, -3.5), (150, -4.0), (900, -4.0)])
def test_training_follows_the_schedule(step, expected):
    scheduled = manager(preset="toolrl_scheduled")
    assert score(scheduled, session(WRONG, global_steps=step)) == pytest.approx(expected)


def test_options_change_the_schedule():
    scheduled = manager(preset="toolrl_scheduled", horizon=10)
    assert score(scheduled, session(WRONG, global_steps=5)) == pytest.approx(-3.5)


@pytest.mark.parametrize(
    "columns",
    [
        {VALIDATION_MARK: True},
        {"extra_info": {"split": "validation"}},
        {"extra_info": {"split": "test"}},
        {VALIDATION_MARK: True, "extra_info": {"split": "train"}},
    ],
)
def test_validation_is_on_the_fixed_scale(columns):
    scheduled = manager(preset="toolrl_scheduled")
    assert score(scheduled, session(WRONG, global_steps=75, **columns)) == -3.0


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, False),
        ({"extra_info": None}, False),
        ({"extra_info": {"index": 3}}, False),
        ({"extra_info": {"split": "train"}}, False),
        ({VALIDATION_MARK: False, "extra_info": {}}, False),
        ({VALIDATION_MARK: True}, True),
        ({"extra_info": {"split": "val"}}, True),
    ],
)
def test_is_validation(row, expected):
    assert is_validation(row) is expected


def test_a_second_reward_function_is_refused():
    with pytest.raises(ValueError, match=r"path=mine\.py is set as well: remove it.*name=naive"):
        manager(path="mine.py")


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match=r"unknown reward options horizn; did you mean horizon\?"):
        manager(horizn=10)


def test_options_may_be_left_out():
    config = OmegaConf.create({"reward": {"custom_reward_function": {"path": None}}})
    assert reward_config_from(config) == RewardConfig()
    config.reward.custom_reward_function.reward_kwargs = None
    assert reward_config_from(config) == RewardConfig()


def test_a_malformed_ground_truth_names_its_row():
    data = session(
        WRONG,
        reward_model={"ground_truth": "{", "style": "rule"},
        data_source="bfcl_v4/simple_python",
        extra_info={"id": "simple_python_1", "syntax": "toolrl"},
    )
    with pytest.raises(ValueError, match=r"^bfcl_v4/simple_python, row simple_python_1: "):
        score(manager(), data)
