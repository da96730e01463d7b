"""What is wrong with Hydra overrides, in words that name the override and the mend.

Behind a `+` Hydra takes any key, and verl's configuration has no schema: `shuffle=Flase` is a text.
What Hydra does refuse, it refuses without saying which of the overrides it could not read.
"""

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from rest_verl.options.names import did_you_mean, is_unknown

_KEY_NOT_THERE = re.compile(r"full_key: (\S+)")
_GROUP_LACKS = re.compile(
    r"Could not find '(\w+)/(\w+)'\s+Available options in '\1':((?:\s+\w+\n)+)"
)
"""Of Hydra's message: a group, what was asked of it, and what it has."""
_FREE_SECTIONS = (
    "ray_kwargs.ray_init",  # arguments of ray.init
    "actor_rollout_ref.model.override_config",  # the model's own configuration
)
"""Where a key that looks like another one is most likely meant."""
_IN_QUOTES = r'"[^"]*"|\'[^\']*\''
_IN_LIST = re.compile(rf"{_IN_QUOTES}|[^\[\]{{}},\"']+")
_IN_DICT = re.compile(rf"{_IN_QUOTES}|[^\[\]{{}},:\"']+")
"""The texts of a nested value, each with its quotes if it has some."""


class UnreadableOverride(ValueError):
    """An argument that Hydra cannot read; the message names it and the mend."""


def refuse_unreadable(overrides: Iterable[str]) -> None:
    """Refuses what Hydra's grammar has no reading for, such as `name=a=b`.

    Args:
        overrides: Hydra overrides, as given.

    Raises:
        UnreadableOverride: one of them cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_override(override)
        except HydraException as error:
            raise UnreadableOverride(_unreadable(override, error)) from None


def overrides_among(arguments: Sequence[str]) -> list[str]:
    """The arguments of a Hydra program that can only be overrides.

    What stands behind an option is left out: it may be the option's value.
    """
    before = ["", *arguments]
    return [
        argument
        for option, argument in zip(before, arguments, strict=False)
        if not argument.startswith("-") and (not option.startswith("-") or "=" in option)
    ]


def _unreadable(override: str, error: Exception) -> str:
    key, _, value = override.partition("=")
    outside = re.sub(_IN_QUOTES, "", value)
    mend = _quoted(key, value)
    if "=" in outside and not {'"', "'"} & set(outside):
        mend = mend or """KEY='"a=b"'"""
        reason = 'Hydra takes no "=" inside a value without quotes'
    else:
        reason = " ".join(str(error).partition("See https://")[0].split())
        reason = f"Hydra cannot read it ({reason})"
    return f"{override}: {reason}" + (f"; in a shell write {mend}" if mend else "")


def _quoted(key: str, value: str) -> str:
    """The override for a shell, with quotes that Hydra takes; "" where they do not help."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    def with_quotes(text: re.Match[str]) -> str:
        return f'"{text[0]}"' if "=" in text[0] and text[0][0] not in "\"'" else text[0]

    texts = {"[": _IN_LIST, "{": _IN_DICT}.get(value[:1])
    quoted = texts.sub(with_quotes, value) if texts else f'"{value}"'
    try:
        read = OverridesParser.create().parse_override(f"{key}={quoted}").value()
    except HydraException:
        return ""
    if not value or not (texts or read == value):
        return ""
    return f"{key}={shlex.quote(quoted)}"


def composition_error(error: Exception, usual: DictConfig) -> str:
    """Hydra's message in one line; for an unknown key or preset, the nearest known one.

    Args:
        error: What composition raised.
        usual: verl's configuration without overrides.
    """
    text = str(error)
    if group := _GROUP_LACKS.search(text):
        return f"+{group[1]}={group[2]}: {is_unknown(group[2], group[3].split())}"
    match = _KEY_NOT_THERE.search(f"{text}\n{error.__cause__}")
    if match is None or isinstance(error, InterpolationResolutionError):
        return " ".join(text.split())
    key = match[1]
    nearest = did_you_mean(key, (path for path, _ in _leaves(usual))).strip()
    mend = nearest or "see verl's ppo_trainer.yaml"
    return f"{key}: verl has no such option; {mend}"


def check_values(config: DictConfig, usual: DictConfig) -> None:
    """Refuses other things where verl's own configuration has a number or a truth value.

    Args:
        config: The configuration to check.
        usual: verl's own.

    Raises:
        ValueError: naming the option, its value and what it must be.
    """
    plain = dict(_leaves(usual))
    for path, value in _leaves(config):
        default = plain.get(path)
        if value is None or default is None:  # a wrong reference is named at its source
            continue
        if isinstance(default, bool):
            wrong, wanted = not isinstance(value, bool), "True or False"
        elif isinstance(default, int | float):
            wrong = isinstance(value, bool) or not isinstance(value, int | float)
            wanted = "a number"
        else:
            continue
        if wrong:
            raise ValueError(f"{path}={value}: must be {wanted} (verl's own value: {default})")


def refuse_near_misses(overrides: list[str], usual: DictConfig) -> None:
    """Refuses `+section.key` where verl has an option of nearly that name (`++` lets it pass).

    Args:
        overrides: Hydra overrides, as given.
        usual: verl's own configuration.

    Raises:
        ValueError: naming the key and the one that was probably meant.
    """
    for override in overrides:
        if not override.startswith("+") or override.startswith("++"):
            continue
        parent, _, name = override[1:].partition("=")[0].rpartition(".")
        section = OmegaConf.select(usual, parent) if parent else None
        if not isinstance(section, DictConfig) or parent in _FREE_SECTIONS:
            continue
        if "_target_" in section:
            continue  # its keys are checked against that dataclass
        near = difflib.get_close_matches(name, [str(other) for other in section], n=1, cutoff=0.85)
        if near and near[0] != name:
            raise ValueError(
                f"+{parent}.{name}: verl has no such option; did you mean {parent}.{near[0]}? "
                f"(++{parent}.{name} passes)"
            )


def _leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of all that is no section; None for one that refers to another."""
    for key in map(str, config):
        path = f"{prefix}{key}"
        if OmegaConf.is_interpolation(config, key) or OmegaConf.is_missing(config, key):
            yield path, None
        elif isinstance(value := config[key], DictConfig):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value
