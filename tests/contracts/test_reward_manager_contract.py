"""A reward manager as verl's reward loop makes and calls it."""

import ast
import asyncio
import inspect
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from templates import get_model
from verl import DataProto
from verl.experimental.agent_loop import agent_loop
from verl.experimental.reward_loop.reward_manager import (
    get_reward_manager_cls,
    register,
)
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.reward_score import default_compute_score

import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.integration.scorers import VERLS_MANAGERS, VERLS_SOURCES
from rest_verl.integration.value_checks import GROUP_ESTIMATORS

TOKENIZER = get_model("qwen3").tokenizer
CALL = json.dumps({"name": "add", "parameters": {"x": 1}})
RIGHT = f"<think>so</think>\n<tool_call>\n{CALL}\n</tool_call>"
ROW = {
    "raw_prompt": [{"role": "user", "content": "add"}],
    "data_source": "contract",
    "reward_model": {"ground_truth": RIGHT, "style": "rule"},
    "extra_info": {"index": 0},
    "global_steps": 3,
    "uid": "a",
    "session_id": 0,
}
"""The columns of a row, with what verl adds to them."""


@pytest.fixture(scope="module")
def config(compose_verl):
    return compose_verl("reward.reward_manager.name=rest")


def make_manager(config):
    """As verl's reward worker does; call it where an event loop runs."""
    return load_reward_manager(
        config, TOKENIZER, reward_router_address=None, reward_model_tokenizer=None
    )


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


def output_of(text):
    """What an agent loop without a reward of its own hands to verl."""
    ids = encode(text)
    return agent_loop.AgentLoopOutput(
        prompt_ids=encode("add"),
        response_ids=ids,
        response_mask=[1] * len(ids),
        num_turns=2,
        metrics=agent_loop.AgentLoopMetrics(),
        extra_fields={},
    )


def scored_by_verl(config, *texts):
    """verl's own scoring of a session whose outputs have these texts; what the manager got, too."""
    outputs, given = list(map(output_of, texts)), []

    async def score():
        manager = make_manager(config)

        async def remote(data):
            given.append(data)
            return await manager.run_single(data)

        worker = object.__new__(agent_loop.AgentLoopWorker)
        worker.processor, worker.mm_processor_kwargs = None, {}
        reward_worker = SimpleNamespace(compute_score=SimpleNamespace(remote=remote))
        worker.reward_loop_worker_handles = [reward_worker]
        await worker._compute_score(outputs, kwargs=ROW)

    asyncio.run(score())
    return outputs, given[0]


def test_the_name_is_found_and_constructed_by_verl(config):
    async def made():
        return make_manager(config)

    manager = asyncio.run(made())
    assert type(manager) is get_reward_manager_cls("rest")
    assert isinstance(manager, RewardManagerBase)
    assert manager.config is config
    assert manager.tokenizer is TOKENIZER
    assert callable(manager.compute_score)  # verl's default, which ours leaves alone


def test_the_base_class_takes_what_ours_passes_on():
    _, *parameters = inspect.signature(RewardManagerBase.__init__).parameters
    assert parameters == ["config", "tokenizer", "compute_score"]
    assert inspect.iscoroutinefunction(RewardManagerBase.run_single)
    assert RewardManagerBase.__abstractmethods__ == {"run_single"}


def test_one_session_as_verl_hands_it_over(config):
    """The columns that ours reads, in the place where it reads them."""
    _, data = scored_by_verl(config, "?", RIGHT)
    assert isinstance(data, DataProto)
    assert len(data) == 2
    item = data[-1]  # the last output
    length = len(encode(RIGHT))
    assert item.batch["responses"][:length].tolist() == encode(RIGHT)
    assert int(item.batch["attention_mask"][-item.batch["responses"].shape[-1] :].sum()) == length
    row = item.non_tensor_batch
    assert row["reward_model"]["ground_truth"] == RIGHT
    assert int(row["global_steps"]) == 3
    assert row["extra_info"] == {"index": 0}


def test_verl_takes_the_score_and_its_parts(config):
    outputs, _ = scored_by_verl(config, RIGHT)
    reward, parts = outputs[-1].reward_score, outputs[-1].extra_fields["reward_extra_info"]
    assert isinstance(reward, float)
    assert reward == parts["score"] == 4.0
    row = outputs[-1].as_dict()
    assert row["rm_scores"].nonzero().tolist() == [[len(encode(RIGHT)) - 1]]
    assert row["extra_fields"]["reward_extra_info"] == parts


def test_every_answer_has_the_same_parts(config):
    """verl takes the names of the columns from the first row of a batch."""
    texts = [RIGHT, "", "?", "<tool_call>{</tool_call>", "<tool_call>" * 3, RIGHT[:-9]]
    parts = [
        scored_by_verl(config, text)[0][-1].extra_fields["reward_extra_info"] for text in texts
    ]
    assert {tuple(part) for part in parts} == {tuple(parts[0])}
    assert all(type(value) is float for part in parts for value in part.values())
    assert [part["score"] == 4.0 for part in parts] == [True] + [False] * 5


def test_registration():
    ours = get_reward_manager_cls("rest")
    assert register("rest")(ours) is ours  # loaded again: no harm
    with pytest.raises(ValueError, match="already been registered"):
        register("rest")(RewardManagerBase)


def test_the_data_sources_that_verls_own_function_scores():
    tree = ast.parse(inspect.getsource(default_compute_score))
    sources, prefixes = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and getattr(node.left, "id", "") == "data_source":
            sources |= {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "startswith":
            prefixes |= {argument.value for argument in node.args}
    assert sources == set(VERLS_SOURCES)
    assert prefixes == {"aime"}
    with pytest.raises(NotImplementedError):
        default_compute_score("bfcl/simple_python", "an answer", "a ground truth")


def test_the_managers_that_ask_a_function():
    assert set(VERLS_MANAGERS) == {*REWARD_MANAGER} - {"rest"}


def test_estimators_that_compare_a_group_are_verls_or_ours():
    assert set(GROUP_ESTIMATORS) == {*ADV_ESTIMATOR_REGISTRY} - {
        *("gae", "reinforce_plus_plus", "remax")
    }
