"""What verl loads (entry point group `verl.plugins`): every registration of rest_verl, in one list.

verl imports this module in the driver and in every Ray worker and swallows what it raises, so
:mod:`rest_verl.integration.doctor` reads the registries back, and the trainers do so again when
they start. A registration waits until verl itself imports the registry: most processes never need
the trainers, and `import verl` stays as quick as without this plugin.
"""

from functools import partial
from importlib import import_module

from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.when_imported import when_imported

REGISTRATIONS = {
    "verl.trainer.ppo.core_algos": (
        "rest_verl.integration.policy_loss",
        "rest_verl.integration.advantage",
    ),
    "verl.trainer.ppo.v1.trainer_base": ("rest_verl.integration.trainer",),
    "verl.experimental.reward_loop.reward_manager.registry": (
        "rest_verl.integration.reward_manager",
    ),
    "verl.experimental.agent_loop.agent_loop": (
        "rest_verl.environments.bfcl",  # which rows name; not verl's, but needed with the loop
        "rest_verl.integration.agent_loops.single_turn",
        "rest_verl.integration.agent_loops.tool_env",
    ),
}
"""Module of verl's that holds a registry -> modules of ours that enter themselves into it."""


def _import_all(names: tuple[str, ...]) -> None:
    for name in names:
        import_module(name)


if runs_on_cpu():
    # At once: verl's engines ask for the platform while they are imported.
    import rest_verl.integration.cpu.platform

    rest_verl.integration.cpu.platform.register()

for _registry, _modules in REGISTRATIONS.items():
    when_imported(_registry, partial(_import_all, _modules))
