"""verl's own training configuration, composed once and overridden as a command line would."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

# The paper's batch on one node; every test overrides from here.
RECIPE = {
    "algorithm.adv_estimator": "grpo",
    "actor_rollout_ref.model.path": "Qwen/Qwen3-4B",
    "actor_rollout_ref.actor.use_dynamic_bsz": True,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.rollout.name": "vllm",
    "actor_rollout_ref.rollout.n": 4,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
    "data.train_batch_size": 512,
    "data.max_prompt_length": 2048,
    "data.max_response_length": 2048,
    "trainer.n_gpus_per_node": 8,
    "trainer.total_training_steps": 105,
}


def with_overrides(config: DictConfig, overrides: dict[str, object]) -> DictConfig:
    """A copy of the config with the dotted settings in it, absent ones added."""
    changed = config.copy()
    for name, value in overrides.items():
        OmegaConf.update(changed, name, value, force_add=True)
    return changed


@pytest.fixture(scope="session")
def composed() -> DictConfig:
    package = find_spec("verl")
    if package is None or package.origin is None:
        pytest.skip("verl is not installed")
    GlobalHydra.instance().clear()
    folder = Path(package.origin).parent / "trainer" / "config"
    overrides = [f"{name}={value}" for name, value in RECIPE.items()]
    with initialize_config_dir(str(folder), version_base=None):
        return compose("ppo_trainer", overrides=overrides)


@pytest.fixture
def config(
    composed: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, object]], DictConfig]:
    """Makes the recipe's configuration with overrides, for the default GPU."""
    monkeypatch.delenv("REST_GPU", raising=False)
    return lambda overrides: with_overrides(composed, overrides)
