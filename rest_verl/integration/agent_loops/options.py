"""All settings of the agent loop `rest_tool_env` in one frozen dataclass.

They are read from `actor_rollout_ref.rollout.custom.rest_tool_env.<key>` of verl's config, before
Ray starts as well as in the workers; verl itself is not needed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from omegaconf import DictConfig, OmegaConf

from rest_verl.options.names import did_you_mean

OPTIONS_PATH = "actor_rollout_ref.rollout.custom.rest_tool_env"

VERL_PARSERS = (
    "deepseek_v4",
    "gemma4",
    "glm",
    "gpt-oss",
    "hermes",
    "kimi",
    "minimax",
    "qwen3_coder",
    "seed",
)
"""What verl registers; a contract test compares."""

RewardKind = Literal["score", "dense"]


@dataclass(frozen=True, kw_only=True)
class ToolEnvironmentOptions:
    """How conversations are run and scored. Raises `ValueError`, with a message that starts with
    the field's name, for a value of the wrong type or out of range."""

    max_steps_per_turn: int = 20
    """Assistant messages that may answer one user message (BFCL's limit). The calls of the last
    one still run; then the rollout ends."""
    max_turns: int | None = None
    """User messages of a rollout; None: as many as the environment has."""
    max_invalid_calls: int | None = None
    """Calls in a row that may give no more than an error (a malformed message counts as one); then
    the rollout ends, as at the last step. None: no matter how many."""
    max_observation_tokens: int = 512
    """Tokens of one call's observation. A longer one keeps its start and its end."""
    call_timeout: float = 10.0
    """Seconds that one call may take."""
    parser: str = "rest"
    """How calls are read: `rest`, by the row's syntax (`algorithm.rest.syntax`), or the name of a
    tool parser registered with verl."""
    reward: RewardKind = "score"
    """`score`: what the environment's `score` says, for BFCL the official verdict (0 or 1).
    `dense`: the share of turns right, with a share for the right calls of a wrong turn."""
    call_share: float = 0.5
    """In `dense`, what a wrong turn with all its expected calls made counts, in [0, 1]."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """Keys that replace those of every row's task."""

    def __post_init__(self) -> None:
        for name in (
            "max_steps_per_turn",
            "max_turns",
            "max_invalid_calls",
            "max_observation_tokens",
        ):
            value = getattr(self, name)
            optional = name in ("max_turns", "max_invalid_calls")
            if (value is not None or not optional) and not (type(value) is int and value > 0):
                or_null = " or null" if optional else ""
                raise ValueError(f"{name} must be a whole number above 0{or_null}, got {value!r}")
        for name in ("call_timeout", "call_share"):
            if type(getattr(self, name)) not in (int, float):
                raise ValueError(f"{name} must be a number, got {getattr(self, name)!r}")
        if not 0 < self.call_timeout < float("inf"):
            raise ValueError(f"call_timeout must be finite and above 0, got {self.call_timeout}")
        if not 0 <= self.call_share <= 1:
            raise ValueError(f"call_share must lie in [0, 1], got {self.call_share}")
        if not isinstance(self.parser, str) or not self.parser:
            raise ValueError(
                f"parser must be rest or a name of verl's parsers, got {self.parser!r}"
            )
        if self.reward not in get_args(RewardKind):
            raise ValueError(
                f"reward must be one of {', '.join(get_args(RewardKind))}, got {self.reward!r}"
            )
        if not isinstance(self.task, Mapping):
            raise ValueError(f"task must be a mapping of a task's keys, got {self.task!r}")

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> "ToolEnvironmentOptions":
        """The options with these values.

        Raises:
            ValueError: an unknown key (named, with the known ones), a wrong type or range.
        """
        known = [field.name for field in fields(cls)]
        if unknown := [str(key) for key in options if key not in known]:
            raise ValueError(
                f"unknown option {OPTIONS_PATH}.{unknown[0]}; known: {', '.join(known)}; "
                "remove or correct it"
            )
        try:
            return cls(**options)
        except ValueError as error:
            raise ValueError(f"{OPTIONS_PATH}.{error}") from None


def tool_environment_options(config: Any) -> ToolEnvironmentOptions:
    """The options in verl's composed config (a DictConfig or nested dicts); defaults where none.

    Raises:
        ValueError: as `ToolEnvironmentOptions.from_mapping`, or options that are no mapping.
    """
    options = config
    for key in OPTIONS_PATH.split("."):
        options = options.get(key) if isinstance(options, Mapping | DictConfig) else None
    if isinstance(options, DictConfig):
        options = OmegaConf.to_container(options, resolve=True)
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise ValueError(f"{OPTIONS_PATH} must be a mapping of options, got {options!r}")
    read = ToolEnvironmentOptions.from_mapping(options)
    _check_parser(read.parser)
    return read


def _check_parser(name: str) -> None:
    """Else verl would say that it does not know it only when a rollout has begun."""
    if name in ("rest", *VERL_PARSERS):
        return
    plugins = [point.value for point in entry_points(group="verl.plugins")]
    if not os.environ.get("VERL_USE_EXTERNAL_MODULES") and plugins in ([], ["rest_verl.plugin"]):
        raise ValueError(
            f"{OPTIONS_PATH}.parser={name}: no such tool parser; {did_you_mean(name, VERL_PARSERS)}"
            f"known: rest, {', '.join(VERL_PARSERS)}. One of your own: name its module in "
            "VERL_USE_EXTERNAL_MODULES"
        )
