"""How verl finds rest_verl, and where rest_verl waits for verl's registries."""

import inspect
from importlib import import_module
from importlib.metadata import entry_points

import pytest

pytest.importorskip("verl", reason="verl is not installed")
pytest.importorskip("transfer_queue", reason="verl's v1 trainers need TransferQueue")

import verl

from rest_verl.integration.registries import registrations
from rest_verl.integration.when_imported import FAILURES
from rest_verl.plugin import REGISTRATIONS

REGISTERS = {
    "verl.trainer.ppo.core_algos": ("register_policy_loss", "register_adv_est"),
    "verl.trainer.ppo.v1.trainer_base": ("register_trainer",),
    "verl.experimental.reward_loop.reward_manager.registry": ("register",),
    "verl.experimental.agent_loop.agent_loop": ("register",),
}
"""verl's modules, and the decorators in them that take a name."""


@pytest.mark.parametrize("module", REGISTERS)
def test_each_registry_is_in_its_module(module):
    """A module that verl renames would never be imported, and nothing registered, in silence."""
    for name in REGISTERS[module]:
        decorator = getattr(import_module(module), name)
        assert len(inspect.signature(decorator).parameters) == 1
        assert decorator.__module__ == module  # not merely imported there from elsewhere


def test_no_registry_is_missing_above():
    assert set(REGISTERS) == set(REGISTRATIONS)


def test_importing_verls_registries_registers_all():
    for module in REGISTERS:
        import_module(module)
    assert FAILURES == {}
    assert [name for name, is_there in registrations().items() if not is_there] == []


def test_verl_loads_the_entry_points_of_its_group():
    assert '"verl.plugins"' in inspect.getsource(verl)
    ours = [point for point in entry_points(group="verl.plugins") if point.name == "rest_verl"]
    if not ours:
        pytest.skip("rest_verl itself is not installed, only on the path")
    assert ours[0].value == "rest_verl.plugin"  # loaded, not called: importing it has to do
