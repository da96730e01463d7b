"""Reads verl's registries back: is all of rest_verl in them?"""

from rest_verl.integration.names import (
    ADVANTAGE_ESTIMATOR,
    AGENT_LOOPS,
    POLICY_LOSS,
    REWARD_MANAGER,
    TRAINERS,
    TURN_ESTIMATOR,
)


def registrations() -> dict[str, bool]:
    """What rest_verl registers, and whether it is where verl looks it up."""
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry
    from verl.experimental.reward_loop.reward_manager import registry as reward_managers
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    return {
        f"policy loss {POLICY_LOSS}": POLICY_LOSS in POLICY_LOSS_REGISTRY,
        **{
            f"advantage estimator {name}": name in ADV_ESTIMATOR_REGISTRY
            for name in (ADVANTAGE_ESTIMATOR, TURN_ESTIMATOR)
        },
        **{f"trainer {name}": name in TRAINER_REGISTRY for name in TRAINERS},
        f"reward manager {REWARD_MANAGER}": REWARD_MANAGER in reward_managers.REWARD_MANAGER,
        **{f"agent loop {name}": name in _agent_loop_registry for name in AGENT_LOOPS},
    }


def require_registered() -> None:
    """RuntimeError naming what is missing from verl's registries (asked by the trainers)."""
    missing = [name for name, present in registrations().items() if not present]
    if missing:
        raise RuntimeError(
            f"verl has not loaded all of rest_verl: {', '.join(missing)} missing. "
            "Run `rest-verl doctor` in this environment"
        )
