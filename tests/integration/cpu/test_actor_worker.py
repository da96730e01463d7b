"""The old policy's weights, set aside on a CPU, do not follow the updates."""

import pytest
import torch
from torch import nn

from rest_verl.integration.cpu import actor_worker
from rest_verl.integration.cpu.actor_worker import CopyingActorWorker, use_copying_workers


def verls_save(module: nn.Module):
    """verl's: `.cpu()` of a tensor that is there already is the tensor itself."""
    return {name: (value.detach().cpu(), "rule") for name, value in module.named_parameters()}, "s"


def test_saved_weights_are_copies(monkeypatch):
    monkeypatch.setattr(
        actor_worker.DetachActorWorker, "copy_handler", property(lambda self: verls_save)
    )
    worker = object.__new__(CopyingActorWorker)
    module = nn.Linear(2, 1)
    before = module.weight.detach().clone()
    aliased, _ = verls_save(module)
    saved, spec = worker.copy_handler(module)
    with torch.no_grad():
        module.weight.add_(1.0)
    assert torch.equal(aliased["weight"][0], before + 1)  # why the worker is needed
    assert torch.equal(saved["weight"][0], before)
    assert saved["weight"][1] == "rule"
    assert spec == "s"


@pytest.mark.parametrize("role", actor_worker.ACTOR_ROLES)
def test_the_actor_of_any_role_is_replaced_and_nothing_else(monkeypatch, role):
    monkeypatch.setattr(actor_worker.ray, "remote", lambda cls: ("remote", cls))
    workers = {role: "verl's actor", actor_worker.Role.Critic: "verl's critic"}
    use_copying_workers(workers)
    copying = ("remote", CopyingActorWorker)
    assert workers == {role: copying, actor_worker.Role.Critic: "verl's critic"}
