"""verl's checkpoint engine `gloo`: weights from the trainer to samplers of their own, over TCP.

Chosen by `actor_rollout_ref.rollout.checkpoint_engine.{backend=gloo,
custom_backend_module=rest_verl.integration.cpu.checkpoint_engine}`; verl's own engines need an
accelerator or a network library. Every exchange has a process group of its own, so samplers may
come and go.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from typing import Any

import ray
import torch
from torch import Tensor
from torch.distributed import ProcessGroupGloo, TCPStore
from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry

TIMEOUT = timedelta(minutes=10)


@CheckpointEngineRegistry.register("gloo")
class GlooCheckpointEngine(CheckpointEngine):
    """Broadcasts the weights one by one, each announced through the store: name, shape, dtype.

    See CheckpointEngine for what each method means.

    Args:
        bucket_size: verl passes it to every engine; a weight here is sent as it is.
        is_master: Whether this is the actor of rank 0, which sends.
    """

    def __init__(self, bucket_size: int, is_master: bool = False) -> None:
        self.is_master = is_master
        self.store: TCPStore | None = None
        self.group: ProcessGroupGloo | None = None

    def prepare(self) -> dict[str, Any]:
        if not self.is_master:
            return {}
        host = ray.util.get_node_ip_address()
        self.store = TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=TIMEOUT)
        return {"host": host, "port": self.store.port}

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[dict[str, Any]]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Rank 0 sends, ranks 1 and up receive; the other actors have rank -1 and stay out."""
        size, address = 1 + rollout_world_size, metadata[0]

        def arguments(ranks: list[int]) -> dict[str, list[Any]]:
            each = len(ranks)
            return {"rank": ranks, "world_size": [size] * each, "address": [address] * each}

        actors = [0] + [-1] * (actor_wg_world_size - 1)
        return arguments(actors), arguments(list(range(1, size)))

    def init_process_group(  # type: ignore[override]  # build_topology names the arguments
        self, rank: int, world_size: int, address: dict[str, Any]
    ) -> None:
        if rank < 0:
            return
        if self.store is None:
            host, port = address["host"], address["port"]
            self.store = TCPStore(host, port, wait_for_workers=False, timeout=TIMEOUT)
        self.group = ProcessGroupGloo(self.store, rank, world_size, TIMEOUT)

    def finalize(self) -> None:
        self.group = self.store = None

    async def send_weights(
        self, weights: Generator[tuple[str, Tensor], None, None], global_steps: int | None = None
    ) -> None:
        number = 0
        for name, weight in weights:  # to the end even without a group: making one is collective
            if self.group is not None:
                self._announce(number, [name, list(weight.shape), str(weight.dtype)])
                await self._broadcast(weight.detach().contiguous())
                number += 1
        if self.group is not None:
            self._announce(number, None)

    async def receive_weights(  # type: ignore[override]  # verl's hint is of no async generator
        self, global_steps: int | None = None
    ) -> AsyncGenerator[tuple[str, Tensor], None]:
        assert self.store is not None, "receive_weights before init_process_group"
        number = 0
        while announced := json.loads(await asyncio.to_thread(self.store.get, f"weight/{number}")):
            name, shape, dtype = announced
            weight = torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
            await self._broadcast(weight)
            yield name, weight
            number += 1

    def _announce(self, number: int, what: list[Any] | None) -> None:
        """Says what comes next; None: nothing more."""
        assert self.store is not None, "a group has its store"
        self.store.set(f"weight/{number}", json.dumps(what))

    async def _broadcast(self, weight: Tensor) -> None:
        assert self.group is not None, "called with a group only"
        await asyncio.to_thread(self.group.broadcast(weight, 0).wait)  # type: ignore[attr-defined]
