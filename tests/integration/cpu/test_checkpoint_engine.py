"""The gloo checkpoint engine: weights arrive as they were sent, in other processes."""

import asyncio
import multiprocessing
import threading
from typing import Any

import pytest
import torch

KINDS = (multiprocessing.get_context("spawn").Process, threading.Thread)
"""One sampler in a process of its own; the second need not import all of verl again."""


def weights(update: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(update)
    return {
        "embed.weight": torch.randn(300, 7),
        "half": torch.randn(5, dtype=torch.bfloat16),
        "transposed": torch.randn(3, 4).T,  # not contiguous
        "scale": torch.tensor(1.5 + update),  # no axis
        "none": torch.empty(0, 4),
        "ids": torch.arange(6).reshape(2, 3),
        "learnt": torch.nn.Parameter(torch.ones(2)),
    }


def same(got: dict[str, torch.Tensor], sent: dict[str, torch.Tensor]) -> bool:
    return list(got) == list(sent) and all(
        got[name].dtype == sent[name].dtype and torch.equal(got[name], sent[name]) for name in sent
    )


async def collect(engine: Any) -> dict[str, torch.Tensor]:
    return {name: weight async for name, weight in engine.receive_weights()}


def sampler(orders: Any) -> None:
    from rest_verl.integration.cpu.checkpoint_engine import GlooCheckpointEngine

    engine = GlooCheckpointEngine(bucket_size=16)
    for update in range(2):
        assert engine.prepare() == {}
        orders.send("ready")
        engine.init_process_group(**orders.recv())
        orders.send(same(asyncio.run(collect(engine)), weights(update)))
        engine.finalize()


def test_every_sampler_gets_every_weight_at_every_update() -> None:
    from verl.checkpoint_engine.base import CheckpointEngineRegistry

    from rest_verl.integration.cpu.checkpoint_engine import GlooCheckpointEngine

    engine = CheckpointEngineRegistry.new("gloo", bucket_size=16, is_master=True)
    assert isinstance(engine, GlooCheckpointEngine)
    ends = [multiprocessing.Pipe() for _ in KINDS]
    samplers = [
        kind(target=sampler, args=(end,), daemon=True)
        for kind, (_, end) in zip(KINDS, ends, strict=True)
    ]
    for started in samplers:
        started.start()
    orders = [end for end, _ in ends]

    def answers() -> list[Any]:
        assert all(end.poll(90) for end in orders), "a sampler does not answer"
        return [end.recv() for end in orders]

    for update in range(2):
        metadata = [engine.prepare(), *({} for _ in orders)]
        actors, others = engine.build_topology(1, len(KINDS), metadata)
        assert answers() == ["ready", "ready"]
        for i, end in enumerate(orders):
            end.send({name: values[i] for name, values in others.items()})
        engine.init_process_group(**{name: values[0] for name, values in actors.items()})
        asyncio.run(engine.send_weights(iter(weights(update).items()), global_steps=update))
        assert answers() == [True, True]
        engine.finalize()
        assert engine.group is None
    for started in samplers:
        started.join(30)
        assert not started.is_alive()


def test_one_actor_sends_and_the_others_make_their_part_of_every_weight() -> None:
    from rest_verl.integration.cpu.checkpoint_engine import GlooCheckpointEngine

    address = {"host": "h", "port": 1}
    actors, samplers = GlooCheckpointEngine.build_topology(3, 2, [address, {}, {}, {}, {}])
    assert actors == {"rank": [0, -1, -1], "world_size": [3] * 3, "address": [address] * 3}
    assert samplers == {"rank": [1, 2], "world_size": [3] * 2, "address": [address] * 2}

    bystander = GlooCheckpointEngine(bucket_size=16)
    bystander.init_process_group(**{name: values[1] for name, values in actors.items()})
    made = iter(weights(0).items())
    asyncio.run(bystander.send_weights(made))
    assert next(made, None) is None
    bystander.finalize()


def test_a_sampler_that_is_not_connected_says_so() -> None:
    from rest_verl.integration.cpu.checkpoint_engine import GlooCheckpointEngine

    with pytest.raises(AssertionError, match="before init_process_group"):
        asyncio.run(anext(GlooCheckpointEngine(bucket_size=16).receive_weights()))
