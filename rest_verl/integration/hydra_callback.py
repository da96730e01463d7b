"""Settles and checks the configuration in the driver, before Ray or a worker starts.

`+rest=<preset>` adds it to `hydra.callbacks`. Hydra turns exceptions of callbacks into warnings,
hence SystemExit.
"""

import copy
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.overrides import refuse_near_misses
from rest_verl.integration.provenance import USERS_OWN, settle_users_own
from rest_verl.integration.run_checks import AT_START, examine
from rest_verl.integration.run_record import bring_files
from rest_verl.integration.verl_checks import reason, verls_own


class CheckConfig(Callback):
    """Lets the user's own settings win over the preset's; stops a run that cannot work."""

    def on_run_start(self, config: DictConfig, config_name: str | None = None, **_: Any) -> None:
        """Before Hydra copies the configuration for the job."""
        lines = _settled(config, str(config_name))
        with _stops_the_run():
            lines += bring_files(config, str(config_name), _overrides(config))
        print("\n".join(lines), flush=True)

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """One message and exit code 1 where the dry run would refuse the command."""
        if OmegaConf.select(config, "hydra.mode") == RunMode.MULTIRUN:
            _refuse_unsettled(config)
        with _stops_the_run():
            refuse_near_misses(config.hydra.overrides.task, verls_own())
            found = examine(config, AT_START)
        for warning in found.warnings:
            print(f"[rest] warning: {warning}", flush=True)


@contextmanager
def _stops_the_run() -> Iterator[None]:
    """Whatever is raised within ends the program: unchecked, no run is to start."""
    try:
        yield
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        raise SystemExit(f"rest_verl: {reason(error)}") from error


def _overrides(config: DictConfig) -> list[str]:
    return [*config.hydra.overrides.hydra, *config.hydra.overrides.task]


def _settled(config: DictConfig, config_name: str) -> list[str]:
    try:
        return settle_users_own(config, config_name, _overrides(config))
    except Exception as error:  # else the preset would win in silence
        keys = " and ".join(USERS_OWN)
        raise SystemExit(
            f"rest_verl: cannot tell where {keys} come from: {type(error).__name__}: {error}"
        ) from error


def _refuse_unsettled(config: DictConfig) -> None:
    """Under --multirun Hydra composes each job anew, and nobody may change it before its start."""
    settled = copy.deepcopy(config)
    lines = _settled(settled, config.hydra.job.config_name)
    for key, line in zip(USERS_OWN, lines, strict=True):
        value = OmegaConf.select(settled, key)
        if OmegaConf.select(config, key) != value:
            raise SystemExit(
                f"rest_verl: {line.removeprefix('[rest] ')} cannot be kept under --multirun: "
                f"set {key}={value} on the command line"
            )
