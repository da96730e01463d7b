"""Everything that stops a run before Ray starts: one list, for the dry run and for the start.

A check takes verl's composed configuration and returns one message, which names the override or the
file and the mend, or None. They go from what is quick to look at to what takes a tokenizer; verl's
own come last.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from rest_verl.integration import row_checks
from rest_verl.integration.agent_loops.options import tool_environment_options
from rest_verl.integration.checks import check_config, uses_rest
from rest_verl.integration.overrides import check_values, composition_error
from rest_verl.integration.presence_checks import files_are_here, model_is_here
from rest_verl.integration.reward_options import reward_config_from
from rest_verl.integration.scorers import Scorer, reward_function, scorer
from rest_verl.integration.syntax_check import describe_syntax
from rest_verl.integration.user_check import users_answer
from rest_verl.integration.value_checks import (
    groups_that_teach,
    possible_values,
    unusual_values,
)
from rest_verl.integration.verl_checks import check_verl, reason, verls_own

Check = Callable[[DictConfig], str | None]


class RunRefused(ValueError):
    """A run that cannot work; the message names what is wrong and the mend."""


class Examined(NamedTuple):
    """What was found of a run that nothing stops."""

    warnings: list[str]
    in_force: list[str]
    """What the run trains with."""


def _message(check: Callable[[DictConfig], object]) -> Check:
    """A check that raises ValueError, as one that returns the message."""

    def checked(config: DictConfig) -> str | None:
        try:
            check(config)
        except ValueError as error:
            return str(error)
        return None

    return checked


def rests_options(config: DictConfig) -> None:
    """ResT's own options; those of the reward and the environments hold for baselines as well.

    Raises:
        ValueError: as `check_config`.
    """
    if uses_rest(config):
        check_config(config)
    if config.reward.reward_manager.name == "rest":
        reward_config_from(config)
    tool_environment_options(config)


def syntax_line(config: DictConfig) -> str:
    """The line for the log that says how answers are read; "" where nobody of ours reads them.

    Raises:
        ValueError: as `describe_syntax`.
    """
    return describe_syntax(config) if uses_rest(config) or scorer(config) is Scorer.OURS else ""


CHECKS: tuple[Check, ...] = (
    _message(rests_options),
    possible_values,
    groups_that_teach,
    reward_function,
    row_checks.files_to_read,
    row_checks.prompts_are_chats,
    row_checks.a_batch_is_full,
    row_checks.rows_have_a_scorer,
    row_checks.ground_truths_are_read,
    row_checks.environments_are_there,
    _message(syntax_line),
    row_checks.prompts_fit,
)

AT_START = (*CHECKS, model_is_here, files_are_here, users_answer)
"""A dry run may come before data and model; a start may not."""


def examine(config: DictConfig, checks: tuple[Check, ...] = CHECKS) -> Examined:
    """Asks these checks and then verl's own.

    Args:
        config: verl's composed `ppo_trainer` configuration.
        checks: asked in this order.

    Raises:
        RunRefused: the first message.
    """
    if message := _message(lambda given: check_values(given, verls_own()))(config):
        raise RunRefused(message)
    config = _resolved(config)
    for check in checks:
        if message := check(config):
            raise RunRefused(message)
    warnings = [*unusual_values(config), *row_checks.prompts_dropped(config)]
    in_force = [line for line in (syntax_line(config),) if line]
    try:
        said = check_verl(config)
    except Exception as error:  # verl's checks raise what they like; a user sees one line
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise RunRefused(reason(error)) from error
    ours = [line for line in said if line.startswith("[rest]")]
    return Examined(
        warnings=[*(line for line in said if line not in ours), *warnings],
        in_force=[*ours, *in_force],
    )


def _resolved(config: DictConfig) -> DictConfig:
    """A copy without Hydra's own section in which nothing refers to anything else: quicker to read,
    and free to be changed."""
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = {
            key: OmegaConf.to_container(value, resolve=True)
            if OmegaConf.is_config(value)
            else value
            for key, value in config.items()
            if key != "hydra"
        }
    except OmegaConfBaseException as error:
        raise RunRefused(composition_error(error, verls_own())) from error
    resolved = OmegaConf.create(values)
    OmegaConf.set_struct(resolved, True)
    return resolved
