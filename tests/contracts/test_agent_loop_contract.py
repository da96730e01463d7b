"""An agent loop as verl's workers make it, run it and store what it returns."""

import asyncio
import inspect
import json
from types import SimpleNamespace

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

from hydra.utils import get_class
from templates import get_model
from verl.experimental.agent_loop import agent_loop
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.workers.rollout.llm_server import (
    FullyAsyncLLMServerClient,
    LLMServerClient,
)
from verl.workers.rollout.replica import TokenOutput

import recipes.own_tools.shop  # noqa: F401 (registers the environment `shop`)
import rest_verl.plugin  # noqa: F401 (verl loads it by itself where it is installed)
from rest_verl.integration.names import AGENT_LOOPS

MODEL = get_model("qwen3")
COUNT = '<tool_call>\n{"name": "count", "arguments": {"item": "tea"}}\n</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "brew", "parameters": {"type": "object"}}}]
TASK = {"stock": {"tea": 3}, "turns": [{"user": "How much tea?", "counted": ["tea"], "orders": {}}]}
CLIENTS = [LLMServerClient, FullyAsyncLLMServerClient]
"""Of the synchronous trainer, and of the asynchronous ones."""

SET = {
    "prompt_ids",
    "response_ids",
    "response_mask",
    "response_logprobs",
    "routed_experts",
    "multi_modal_data",
    "reward_score",
    "num_turns",
    "metrics",
    "extra_fields",
}
"""Fields of AgentLoopOutput that rest_tool_env sets; verl drops a name it does not know."""


def encode(text):
    return MODEL.tokenizer.encode(text, add_special_tokens=False)


def make_client(cls, config, messages):
    """verl's client before a server that says `messages`, with the weights of step 4."""
    remaining, requests = iter(messages), []

    async def remote(**request):
        requests.append(request)
        ids = encode(next(remaining) + MODEL.end)
        return TokenOutput(
            token_ids=ids,
            log_probs=[-0.5] * len(ids),
            stop_reason="completed",
            extra_fields={"global_steps": 4},
        )

    async def acquire(request_id, **_):
        return "server", SimpleNamespace(generate=SimpleNamespace(remote=remote))

    client = cls(config=config)
    client._acquire_server, client._release_server = acquire, lambda *_, **__: None
    return client, requests


class Rollout:
    """One row through verl's own worker: the requests, the loop's output, the row that is put."""

    def __init__(self, config, monkeypatch, name, messages, client=LLMServerClient, **columns):
        self.put, self.outputs = {}, []
        worker_class = agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class
        worker = object.__new__(worker_class)
        worker.config, worker.tools, worker.tokenizer = config, [], MODEL.tokenizer
        worker.processor, worker.dataset_cls, worker.hf_model_type = None, None, MODEL.model_type
        worker.distillation_enabled, worker.mm_processor_kwargs = False, {}
        worker.reward_loop_worker_handles = None
        worker.llm_client, self.requests = make_client(client, config, messages)

        async def put(**given):
            self.put.update(given)

        async def compute_score(outputs, kwargs):
            self.outputs += outputs

        monkeypatch.setattr(agent_loop_tq.tq, "async_kv_batch_put", put)
        monkeypatch.setattr(worker, "_compute_score", compute_score)
        row = {
            "raw_prompt": [{"role": "user", "content": "How much tea?"}],
            "data_source": "contract",
            "index": 0,
            "uid": "a",
            "global_steps": 5,
            **columns,
        }
        trajectory = {"step": 5, "sample_index": 0, "rollout_n": 0, "validate": False}
        sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "logprobs": True}
        asyncio.run(
            worker._run_agent_loop(
                sampling, trajectory=trajectory, trace=False, agent_name=name, session_id=0, **row
            )
        )
        (self.output,), (self.tag,) = self.outputs, self.put["tags"]


@pytest.fixture(scope="module")
def config(compose_verl):
    return compose_verl("+tool_env=bfcl", "actor_rollout_ref.rollout.name=vllm")


SHOP = {"extra_info": {"environment": "shop", "task": json.dumps(TASK)}}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_conversation_through_verls_worker(config, monkeypatch, client):
    rollout = Rollout(config, monkeypatch, "rest_tool_env", [COUNT, "Three."], client, **SHOP)
    assert rollout.output.model_fields_set >= SET
    fields = rollout.put["fields"]
    assert rollout.put["keys"] == ["a_0_0"]
    columns = {name: fields[name][0] for name in ("responses", "response_mask", "rm_scores")}
    assert {len(column) for column in columns.values()} == {rollout.tag["response_len"]}
    assert columns["response_mask"].unique().tolist() == [0, 1]  # observation and sampled
    assert columns["rm_scores"].nonzero().tolist() == [[rollout.tag["response_len"] - 1]]
    assert len(fields["rollout_log_probs"][0]) == rollout.tag["response_len"]
    # The version that the weights' clock reads, from the server through TokenOutput and back.
    assert (rollout.tag["min_global_steps"], rollout.tag["max_global_steps"]) == (4, 4)
    assert rollout.output.num_turns == 4  # user, call, observation, answer
    assert rollout.output.extra_fields["reward_extra_info"]["score"] == rollout.output.reward_score


def test_what_the_server_is_asked(config, monkeypatch):
    rollout = Rollout(config, monkeypatch, "rest_tool_env", [COUNT, "Three."], priority=2, **SHOP)
    first, second = rollout.requests
    assert {"request_id", "prompt_ids", "sampling_params", "priority"} <= set(first)
    assert second["prompt_ids"][: len(first["prompt_ids"])] == first["prompt_ids"]
    assert second["sampling_params"]["max_tokens"] < first["sampling_params"]["max_tokens"]


def test_a_rollout_without_room_has_the_same_columns(config, monkeypatch):
    """verl makes one table of a batch's rows."""
    usual = Rollout(config, monkeypatch, "rest_tool_env", [COUNT, "Three."], **SHOP)
    long = [{"role": "user", "content": "tea " * 2000}]
    full = Rollout(config, monkeypatch, "rest_tool_env", [], **SHOP, raw_prompt=long)
    assert full.requests == []
    assert full.tag["min_global_steps"] == 4  # of step 5
    assert set(full.put["fields"].keys()) == set(usual.put["fields"].keys())
    parts = [list(r.output.extra_fields["reward_extra_info"]) for r in (usual, full)]
    assert parts[0] == parts[1]


@pytest.mark.parametrize("client", CLIENTS)
def test_one_answer_through_verls_worker(config, monkeypatch, client):
    """verl's own loop asks for the prompt through the method that ours extends."""
    rows = [{"tools": json.dumps(TOOLS)}, {}]
    prompts = []
    for extra_info in rows:
        rollout = Rollout(
            config, monkeypatch, "rest_single_turn", ["Hm."], client, extra_info=extra_info
        )
        assert rollout.tag["min_global_steps"] == 4
        prompts.append(MODEL.tokenizer.decode(rollout.requests[0]["prompt_ids"]))
    assert ['"brew"' in prompt for prompt in prompts] == [True, False]
    assert "tools" in inspect.signature(SingleTurnAgentLoop.ct_build_initial_tokens).parameters


@pytest.mark.parametrize("name", AGENT_LOOPS)
def test_registered_loops_are_verls(name):
    cls = get_class(agent_loop._agent_loop_registry[name]["_target_"])
    assert issubclass(cls, agent_loop.AgentLoopBase)
    assert inspect.iscoroutinefunction(inspect.unwrap(cls.run))
    inspect.signature(cls.run).bind(None, {}, raw_prompt=[], session_id=0)


def test_fields_that_are_read_or_set():
    assert set(agent_loop.AgentLoopOutput.model_fields) >= SET
    assert set(agent_loop.AgentLoopMetrics.model_fields) >= {
        "generate_sequences",
        "tool_calls",
        "num_preempted",
    }
    assert set(TokenOutput.model_fields) >= {
        "token_ids",
        "log_probs",
        "routed_experts",
        "stop_reason",
        "num_preempted",
        "extra_fields",
    }
