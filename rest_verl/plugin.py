"""What verl loads (entry point group `verl.plugins`): every registration of rest_verl, in one list.

verl imports this module in the driver and in every Ray worker and swallows what it raises, so
:mod:`rest_verl.integration.doctor` reads the registries back, and the trainers do so again when
they start. A registration waits until verl itself imports the registry: most processes never need
the trainers, and `import verl` stays as quick as without this plugin.
"""

from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.when_imported import when_imported

if runs_on_cpu():
    # At once: verl's engines ask for the platform while they are imported.
    import rest_verl.integration.cpu.platform

    rest_verl.integration.cpu.platform.register()


def register_objective() -> None:
    """The policy loss and the advantage estimator `rest`."""
    from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss

    from rest_verl.integration.advantage import verl_advantage
    from rest_verl.integration.policy_loss import verl_policy_loss

    register_policy_loss("rest")(verl_policy_loss)
    register_adv_est("rest")(verl_advantage)


def register_trainers() -> None:
    """verl's v1 trainers with ResT's weights."""
    from verl.trainer.ppo.v1.trainer_base import register_trainer

    from rest_verl.integration.trainer import (
        ReSTTrainerColocateAsync,
        ReSTTrainerSeparateAsync,
        ReSTTrainerSync,
    )

    for trainer in (ReSTTrainerSync, ReSTTrainerColocateAsync, ReSTTrainerSeparateAsync):
        register_trainer(trainer.trainer_name)(trainer)


def register_reward_manager() -> None:
    """The reward manager `rest`."""
    from verl.experimental.reward_loop.reward_manager.registry import register

    from rest_verl.integration.reward_manager import ReSTRewardManager

    register("rest")(ReSTRewardManager)


def register_agent_loops() -> None:
    """The agent loops, and the environments that rows can name."""
    from verl.experimental.agent_loop.agent_loop import register

    import rest_verl.environments.bfcl  # noqa: F401 (registers the environment)
    from rest_verl.integration.agent_loops.single_turn import ToolTemplateAgentLoop
    from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop

    register("rest_single_turn")(ToolTemplateAgentLoop)
    register("rest_tool_env")(ToolEnvironmentLoop)


REGISTRATIONS = {
    "verl.trainer.ppo.core_algos": register_objective,
    "verl.trainer.ppo.v1.trainer_base": register_trainers,
    "verl.experimental.reward_loop.reward_manager.registry": register_reward_manager,
    "verl.experimental.agent_loop.agent_loop": register_agent_loops,
}
"""Module of verl's that holds a registry -> what enters ours into it."""

for _module, _register in REGISTRATIONS.items():
    when_imported(_module, _register)
