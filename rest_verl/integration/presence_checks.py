"""Is all here that the run names? Asked at the start only: a dry run may come before the data.

Not asked of runs on a cluster, which may have their files on other machines.
"""

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from rest_verl.integration.data_files import CUSTOM_CLASS, named_files
from rest_verl.integration.run_syntax import MODEL


def model_is_here(config: DictConfig) -> str | None:
    """Is a model that is named by a path a folder?"""
    model = str(OmegaConf.select(config, MODEL))
    is_path = model.startswith(("/", "./", "../", "~"))
    if _is_elsewhere(config) or not is_path or Path(model).expanduser().is_dir():
        return None
    return (
        f"{MODEL}={model}: no such folder. Name a folder with a model, or one of the Hugging Face "
        "hub by its name (Qwen/Qwen3-4B)"
    )


def files_are_here(config: DictConfig) -> str | None:
    """Are there files of those names?"""
    if _is_elsewhere(config) or OmegaConf.select(config, CUSTOM_CLASS):
        return None
    for setting, path in named_files(config):
        if not path.exists():
            return f"{setting}={path}: no such file"
    return None


def _is_elsewhere(config: DictConfig) -> bool:
    return bool(os.environ.get("RAY_ADDRESS")) or OmegaConf.select(config, "trainer.nnodes") != 1
