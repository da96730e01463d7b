"""Where a ResT run puts its files, and what it writes down of itself there.

`+rest=<preset>` adds what `rest-verl report` and `view` read, as far as the user has set nothing of
it: verl's file logger beside the other loggers, and the answers of validations. Rollouts are not
dumped unasked: at every step that costs time and, over a long run, gigabytes.
"""

from __future__ import annotations

import datetime
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rest_verl.algorithm.clock import Clock
from rest_verl.files.atomic import write_atomically
from rest_verl.files.run_folder import (
    CHECKPOINTS,
    CONFIG_FILE,
    METRICS_FILES,
    ROLLOUTS,
    VALIDATION,
    write_about,
)
from rest_verl.integration.agent_loops.options import OPTIONS_PATH
from rest_verl.integration.provenance import set_by_user, set_option
from rest_verl.integration.run_syntax import TEMPLATE_KWARGS
from rest_verl.integration.versions import commits, package_versions

LOGGER, VALIDATIONS = "trainer.logger", "trainer.validation_data_dir"
_ENVIRONMENT = "ray_kwargs.ray_init.runtime_env.env_vars"
_PATH, _ROOT = "VERL_FILE_LOGGER_PATH", "VERL_FILE_LOGGER_ROOT"  # verl's variables
_SECRET = re.compile(r"[A-Z0-9_]*(KEY|TOKEN|SECRET|PASSWORD)[A-Z0-9_]*")
"""Environment variables whose values are nobody's business."""


def run_folder(config: Any) -> Path:
    """The folder that holds the run's checkpoints, or a `checkpoints` of them."""
    folder = Path(str(config.trainer.default_local_dir)).expanduser().absolute()
    return folder.parent if folder.name == CHECKPOINTS else folder


def bring_files(config: DictConfig, config_name: str, overrides: Sequence[str]) -> list[str]:
    """Sets what a report and a view read where the user has not.

    Args:
        config: The composed configuration, with its `hydra` section; changed in place.
        config_name: The primary configuration's name.
        overrides: As Hydra got them.

    Returns:
        One line an option that was set, for the start of the log.
    """
    users = set_by_user(config, config_name, overrides, (LOGGER, VALIDATIONS))
    folder = run_folder(config)
    brought: dict[str, Any] = {}
    if VALIDATIONS not in users:
        brought[VALIDATIONS] = str(folder / VALIDATION)
    if LOGGER not in users and isinstance(own := OmegaConf.select(config, LOGGER), Sequence):
        brought[LOGGER] = [*own, *(["file"] if "file" not in own else [])]
        variables = OmegaConf.select(config, _ENVIRONMENT) or {}
        if not {_PATH, _ROOT} & {*variables, *os.environ}:
            brought[f"{_ENVIRONMENT}.{_PATH}"] = str(folder / METRICS_FILES[1])
    for key, value in brought.items():
        set_option(config, key, value)
    return [f"[rest] {key}={value} (from +rest)" for key, value in brought.items()]


def write_run(config: DictConfig, trainer: str, clock: Clock, steps: int) -> None:
    """Writes `config.yaml` and `run.json` into the run's folder.

    Args:
        config: verl's, as it trains.
        trainer: The trainer's name.
        clock: The run's.
        steps: That the run will do.
    """
    folder = run_folder(config)
    write_atomically(folder / CONFIG_FILE, _as_yaml(config, trainer))
    places = {
        "metrics": _metrics_file(config),
        ROLLOUTS: config.trainer.get("rollout_data_dir"),
        VALIDATION: config.trainer.get("validation_data_dir"),
        CHECKPOINTS: config.trainer.default_local_dir,
    }
    about = {
        "trainer": trainer,
        "preset": config.algorithm.rest.preset,
        "rest": _plain(config.algorithm.rest),
        "model": _model(config),
        "steps": steps,
        "clock": clock.state(),
        "chat_template_kwargs": _plain(OmegaConf.select(config, TEMPLATE_KWARGS)) or {},
        "tool_env": _plain(OmegaConf.select(config, OPTIONS_PATH)) or {},
        "train_files": _plain(config.data.train_files),
        "val_files": _plain(config.data.val_files),
        "files": {name: _inside(folder, path) for name, path in places.items() if path},
    }
    start = {
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "packages": package_versions(),
        "commits": commits(),
    }
    write_about(folder, about, start)


def _as_yaml(config: DictConfig, trainer: str) -> str:
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain["trainer"]["v1"]["trainer_mode"] = trainer  # the config has verl's name of it by now
    return OmegaConf.to_yaml(OmegaConf.create(_without_secrets(plain)))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "(left out)" if _SECRET.fullmatch(str(key)) else _without_secrets(item)
            for key, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _metrics_file(config: DictConfig) -> str | None:
    """Where verl's file logger, which lives in this process, will write; None: it is not used."""
    if "file" not in config.trainer.logger:
        return None
    trainer = config.trainer
    usual = Path(os.environ.get(_ROOT, ".")).expanduser() / trainer.project_name
    return os.environ.get(_PATH) or str(usual / f"{trainer.experiment_name}.jsonl")


def _model(config: DictConfig) -> str:
    """The starting model's folder, or its name on the hub."""
    path = str(config.actor_rollout_ref.model.path)
    return str(Path(path).absolute()) if Path(path).is_dir() else path


def _inside(folder: Path, path: str) -> str:
    """Relative to the run's folder where it lies there, so that the folder can be moved."""
    full = Path(path).expanduser().absolute()
    return str(full.relative_to(folder)) if full.is_relative_to(folder) else str(full)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
