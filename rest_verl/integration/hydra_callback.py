"""Settles and checks the configuration in the driver, before Ray or a worker starts.

`+rest=<preset>` adds it to `hydra.callbacks`. Hydra turns exceptions of callbacks into warnings,
hence SystemExit.
"""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from rest_verl.integration.checks import ReSTConfigError, check_config
from rest_verl.integration.provenance import settle_users_own


class CheckConfig(Callback):
    """Lets the user's own settings win over the preset's; stops a run that ResT cannot train."""

    def on_run_start(self, config: DictConfig, config_name: str | None = None, **_: Any) -> None:
        """Before Hydra copies the configuration for the job."""
        overrides = [*config.hydra.overrides.hydra, *config.hydra.overrides.task]
        print("\n".join(settle_users_own(config, str(config_name), overrides)), flush=True)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """One message and exit code 1 where check_config refuses the configuration."""
        try:
            check_config(config)
        except ReSTConfigError as error:
            raise SystemExit(f"rest_verl: {error}") from None
