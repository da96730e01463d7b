"""What several contract tests need: verl's own training configuration, composed by Hydra."""

from copy import deepcopy
from functools import cache

import pytest


@pytest.fixture(scope="session")
def compose_verl():
    """A function of the command line's overrides: the configuration that `main_ppo` would get."""
    hydra = pytest.importorskip("hydra", reason="hydra is not installed")
    from hydra.core.global_hydra import GlobalHydra

    @cache
    def composed(*overrides, **options):
        GlobalHydra.instance().clear()
        with hydra.initialize_config_module("verl.trainer.config", version_base=None):
            return hydra.compose("ppo_trainer", overrides=list(overrides), **options)

    return lambda *overrides, **options: deepcopy(composed(*overrides, **options))
