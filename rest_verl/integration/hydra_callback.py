"""Refuses an unworkable configuration in the driver, before Ray or a worker starts.

`+rest=<preset>` adds it to `hydra.callbacks`. Hydra turns exceptions of callbacks into warnings,
hence SystemExit.
"""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from rest_verl.integration.checks import ReSTConfigError, check_config


class CheckConfig(Callback):
    """Stops the run with one message and exit code 1 when check_config refuses the config."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            check_config(config)
        except ReSTConfigError as error:
            raise SystemExit(f"rest_verl: {error}") from None
