"""What a tool environment is: one conversation's tools, user messages, state and verdicts.

The agent loop `rest_tool_env` makes one environment for each rollout and drives it: it gives the
model the user message of turn 0, runs the calls of each assistant message in order, and when a
message holds no call, ends the turn and asks for the next user message. A class becomes known to
rows of a data set (`extra_info.environment`) by `register_environment`; nothing is ever imported or
looked up by a name that the model wrote.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from rest_verl.environments.users import Talk


class Verdict(NamedTuple):
    """What became of one user turn."""

    right: bool
    judged: bool = True
    """False for a turn that the rules leave unjudged; it then counts as right."""
    right_calls: float = 0.0
    """Share of the turn's expected calls that were made, in [0, 1]: partial credit."""
    reason: str = ""
    """Why the turn is wrong, in a few words."""


class ToolEnvironment(Protocol):
    """One rollout's own state. Made as `cls(task)`, `task` being the row's task as a dict."""

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Tools offered now, in OpenAI's layout; they may grow between turns."""

    def user_message(self, turn: int) -> str | None:
        """What the user says at `turn` (from 0, in order, once each); None: the conversation is
        over."""

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """The observation of one call. Whatever it raises the model sees as an error."""

    def end_turn(self) -> None:
        """The model made no further call in this turn."""

    def outcome(self) -> list[Verdict]:
        """A verdict for every turn of the task; turns that were never reached are wrong."""

    def score(self) -> float:
        """The reward of the whole conversation, 1 being best."""


@runtime_checkable
class RewardsTurns(Protocol):
    """What an environment may have besides: rewards of its turns, for the estimator `rest_turn`."""

    def turn_rewards(self) -> Sequence[float | Verdict]:
        """What each turn of the task earned; asked once, when the conversation is over.

        A finite number, or the turn's verdict, which counts as in the dense reward. As in
        `ToolEnvironment.outcome` there is one for every turn; those of turns that were never
        reached are not read.
        """


class HasTalk(Protocol):
    """What an environment may have besides: a user who reacts to what the model says.

    `user_message` is then asked for turn 0 only; what the user says later, the talk's user says.
    """

    talk: Talk


EnvironmentClass = TypeVar("EnvironmentClass", bound=Callable[[dict[str, Any]], ToolEnvironment])

_environments: dict[str, Callable[[dict[str, Any]], ToolEnvironment]] = {}


def register_environment(name: str) -> Callable[[EnvironmentClass], EnvironmentClass]:
    """Class decorator: makes the environment known as `name`.

    A module of one's own is loaded in all of verl's processes by `VERL_USE_EXTERNAL_MODULES`.

    Raises:
        ValueError: the name belongs to another class.
    """

    def decorate(cls: EnvironmentClass) -> EnvironmentClass:
        known = _environments.setdefault(name, cls)
        # A module can be loaded twice under one name, as a script and by import.
        if getattr(known, "__qualname__", None) != getattr(cls, "__qualname__", None):
            raise ValueError(f"environment {name!r} is registered already, as {known!r}")
        return cls

    return decorate


def environment_class(name: str) -> Callable[[dict[str, Any]], ToolEnvironment]:
    """The class that is registered under that name.

    Raises:
        ValueError: no environment of that name.
    """
    try:
        return _environments[name]
    except KeyError:
        known = ", ".join(sorted(_environments)) or "none"
        raise ValueError(
            f"unknown environment {name!r}; registered: {known}. Name the module that registers it "
            "in VERL_USE_EXTERNAL_MODULES"
        ) from None


def make_environment(name: str, task: Mapping[str, Any]) -> ToolEnvironment:
    """A fresh environment for one rollout.

    Raises:
        ValueError: as `environment_class`.
    """
    return environment_class(name)(dict(task))


def talk_of(environment: ToolEnvironment) -> Talk | None:
    """The talk with a user who reacts; None: the environment says all the user's messages."""
    talk = getattr(environment, "talk", None)
    return talk if isinstance(talk, Talk) else None


def verdict_reward(verdict: Verdict, call_share: float) -> float:
    """1 for a right turn; `call_share` times its share of right calls for a wrong one."""
    return 1.0 if verdict.right else call_share * verdict.right_calls


def dense_score(outcome: list[Verdict], call_share: float) -> float:
    """The share of turns right; a wrong turn counts `call_share` times its share of right calls."""
    values = [verdict_reward(verdict, call_share) for verdict in outcome]
    return sum(values) / len(values) if values else 0.0
