"""What verl loads (entry point group `verl.plugins`): every registration of rest_verl, in one list.

verl imports this module in the driver and in every Ray worker and swallows what it raises, so
:mod:`rest_verl.integration.doctor` reads the registries back, and the trainers do so again when
they start.
"""

from rest_verl.integration.chosen_platform import runs_on_cpu

if runs_on_cpu():
    # Before any import below: verl's engines ask for the platform while they are imported.
    import rest_verl.integration.cpu.platform

    rest_verl.integration.cpu.platform.register()

from verl.experimental.agent_loop.agent_loop import register as register_agent_loop
from verl.experimental.reward_loop.reward_manager import register as register_reward_manager
from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss
from verl.trainer.ppo.v1.trainer_base import register_trainer

import rest_verl.environments.bfcl
from rest_verl.integration.advantage import verl_advantage
from rest_verl.integration.agent_loops.single_turn import ToolTemplateAgentLoop
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop
from rest_verl.integration.policy_loss import verl_policy_loss
from rest_verl.integration.reward_manager import ReSTRewardManager
from rest_verl.integration.trainer import (
    ReSTTrainerColocateAsync,
    ReSTTrainerSeparateAsync,
    ReSTTrainerSync,
)

register_policy_loss("rest")(verl_policy_loss)
register_adv_est("rest")(verl_advantage)
register_trainer("rest_sync")(ReSTTrainerSync)
register_trainer("rest_colocate_async")(ReSTTrainerColocateAsync)
register_trainer("rest_separate_async")(ReSTTrainerSeparateAsync)
register_reward_manager("rest")(ReSTRewardManager)
register_agent_loop("rest_single_turn")(ToolTemplateAgentLoop)
register_agent_loop("rest_tool_env")(ToolEnvironmentLoop)
