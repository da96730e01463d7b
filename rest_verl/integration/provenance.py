"""Who set an option: the command line, a configuration file of the user's, verl, or `+rest`.

Hydra puts a group that the command line adds behind the user's own files, so `+rest=<preset>`
would win over what they say. What belongs to the user, the trainer's mode and the loss's mean, is
put back here before the run starts.
"""

import importlib.resources
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from rest_verl.integration.names import TRAINERS

TRAINER_MODE = "trainer.v1.trainer_mode"
AGGREGATION = "actor_rollout_ref.actor.loss_agg_mode"
USERS_OWN = (TRAINER_MODE, AGGREGATION)
"""What `+rest=<preset>` sets, but a user's own setting decides."""

_GROUP = "rest/"
_VERLS = ("pkg://verl.", "pkg://rest_verl.")


class Setting(NamedTuple):
    """The last word on an option, `+rest` not counted."""

    value: Any
    source: str
    """`command line`, or the path of a file."""


def settle_users_own(config: DictConfig, config_name: str, overrides: Sequence[str]) -> list[str]:
    """Puts the user's own settings back in place; says where each of `USERS_OWN` comes from.

    A mode of verl's trainers in a file becomes that of ResT's trainer of the same kind. What the
    command line sets stands as it is.

    Args:
        config: The composed configuration, with its `hydra` section; changed in place.
        config_name: The primary configuration's name.
        overrides: As Hydra got them.

    Returns:
        One line an option, for the start of the log.
    """
    found = _last_settings(config, config_name, overrides, USERS_OWN)
    lines = []
    for key in USERS_OWN:
        if _is_on_command_line(key, overrides):
            source = "command line"
        elif key in found:
            value, source = found[key]
            set_option(config, key, value)
            mode = OmegaConf.select(config, key)  # the file's value may refer to another
            if key == TRAINER_MODE and f"rest_{mode}" in TRAINERS:
                set_option(config, key, f"rest_{mode}")
                source = f"{source}: {mode}"
        else:
            source = "+rest"
        lines.append(f"[rest] {key}={OmegaConf.select(config, key)} (from {source})")
    return lines


def set_by_user(
    config: DictConfig, config_name: str, overrides: Sequence[str], keys: Sequence[str]
) -> set[str]:
    """Those of `keys` that the command line or a file of the user's sets."""
    found = _last_settings(config, config_name, overrides, keys)
    return {key for key in keys if key in found or _is_on_command_line(key, overrides)}


def set_option(config: DictConfig, key: str, value: Any) -> None:
    """Sets an option of a composed configuration, whether it has that or not."""
    with flag_override(config, ["struct", "readonly"], False):
        OmegaConf.update(config, key, value, force_add=True)


def _last_settings(
    config: DictConfig, config_name: str, overrides: Sequence[str], keys: Sequence[str]
) -> dict[str, Setting]:
    """By option, what a user's own file says last, unless a file of verl's comes after it."""
    sources = [f"{source.schema}://{source.path}" for source in config.hydra.runtime.config_sources]
    found: dict[str, Setting] = {}
    for path, package in _files(config_name, overrides):
        if path.startswith(_GROUP):
            continue
        source, content = _read(path, sources)
        for key in keys:
            value = _select(content, package, key)
            if value is None:
                continue
            if _is_users(source):
                found[key] = Setting(value, f"{source.removeprefix('file://')}/{path}.yaml")
            else:
                found.pop(key, None)
    return found


def _files(config_name: str, overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(path without suffix, package) of every file that is composed, in Hydra's order."""
    loader = GlobalHydra.instance().config_loader()
    defaults = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults
    for default in defaults:
        if default.config_path and not default.config_path.startswith("hydra/"):
            path = posixpath.normpath(default.config_path.removesuffix(".yaml"))
            yield path, default.package or ""


def _read(path: str, sources: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    """The first source that has the file, and what the file holds; nothing where none has it."""
    for source in sources:
        schema, _, place = source.partition("://")
        if schema == "file":
            file: Any = Path(place) / f"{path}.yaml"
        elif schema == "pkg":
            try:
                file = importlib.resources.files(place).joinpath(f"{path}.yaml")
            except (ValueError, ModuleNotFoundError, TypeError):  # Hydra passes over it as well
                continue
        else:
            continue
        if file.is_file():
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            return source, content if isinstance(content, Mapping) else {}
    return "", {}


def _is_users(source: str) -> bool:
    if source.startswith("file://"):
        verl = Path(str(importlib.resources.files("verl"))).resolve()
        return not Path(source.removeprefix("file://")).resolve().is_relative_to(verl)
    return bool(source) and not source.startswith(_VERLS)


def _select(content: Mapping[str, Any], package: str, key: str) -> Any:
    """The option's value in a file that Hydra puts under `package`; None where it has none."""
    inside = f"{package}." if package else ""
    if not key.startswith(inside):
        return None
    value: Any = content
    for part in key[len(inside) :].split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_on_command_line(key: str, overrides: Sequence[str]) -> bool:
    """Whether an override sets the option, by itself or within a dict."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        name, value = override.key_or_group, override.value()
        if name == key or (isinstance(value, Mapping) and _select(value, name, key) is not None):
            return True
    return False
