"""verl's actor worker for separate_async, keeping the old policy's weights as a copy.

Where parameters are synchronised every few updates, verl sets the old policy's weights aside with
`.cpu()`, which on a CPU copies nothing: the updates would change them too.
"""

from collections.abc import Callable
from typing import Any

import ray
import torch
from verl.experimental.separation.engine_workers import DetachActorWorker
from verl.trainer.ppo.utils import Role

ACTOR_ROLES = (Role.Actor, Role.ActorRollout, Role.ActorRolloutRef)


class CopyingActorWorker(DetachActorWorker):
    """DetachActorWorker whose saved weights share no memory with the model (FSDP2 only)."""

    @property
    def copy_handler(self) -> Callable[[torch.nn.Module], Any]:
        save = super().copy_handler

        def copy(module: torch.nn.Module) -> Any:
            shards, spec = save(module)
            return {name: (shard.clone(), rule) for name, (shard, rule) in shards.items()}, spec

        return copy


def use_copying_workers(workers: dict[Role, Any]) -> None:
    """Puts CopyingActorWorker where verl's trainer chose its actor, in place."""
    for role in ACTOR_ROLES:
        if role in workers:
            workers[role] = ray.remote(CopyingActorWorker)
