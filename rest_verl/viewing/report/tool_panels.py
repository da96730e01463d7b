"""The panels on calls, turns and the tokens that steer them, beside those of `panels`."""

from __future__ import annotations

from collections.abc import Sequence

from rest_verl.viewing.report.metrics import Record
from rest_verl.viewing.report.panels import OPTIMISATION, Curve, Panel
from rest_verl.viewing.report.validation_panels import all_panels

CONTROLS = {"call": "opening of a call", "name": "name of a tool", "end": "end of a message"}
NO_CALL = ("reward/no_call/mean",)
REPEATED = ("reward/calls_repeated/mean",)
INVALID_STREAK = ("reward/invalid_streak/mean",)
NEVER_CALLED = ("rest/tools/never_called",)
TURN_REWARD, TURN_REACHED, GAP = "rest/turn/reward", "rest/turn/reached", "rest/turn/log_prob_gap"

_SECTION = "Calls and turns"
_ENDS = {
    "none": "its own end",
    "steps": "steps",
    "turns": "turns",
    "invalid_calls": "invalid calls",
    "response_length": "response length",
    "prompt_too_long": "prompt too long",
}
_TURNS_SHOWN = 6


def _panel(
    title: str, unit: str, about: str, curves: tuple[Curve, ...], *, percent: bool = False
) -> Panel:
    return Panel(
        section=_SECTION,
        title=title,
        unit=unit,
        about=about,
        curves=curves,
        percent=percent,
        from_zero=True,
        sparse=True,
    )


def _control_curves(measure: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(names=(f"rest/control/{measure}/{control}",), label=label)
        for control, label in CONTROLS.items()
    )


def _turn_curves(group: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(names=(f"{group}/{turn}",), label=f"turn {turn}")
        for turn in range(1, _TURNS_SHOWN + 1)
    )


TOOL_PANELS = (
    _panel(
        "Probability of control tokens",
        "mean probability",
        "How sure the old policy is of what steers a conversation. A fall or leap comes before a "
        "collapse.",
        _control_curves("probability"),
    ),
    _panel(
        "Entropy of control tokens",
        "nats per token",
        "The same, over all that it might have sampled there.",
        _control_curves("entropy"),
    ),
    _panel(
        "Calls that lead nowhere",
        "mean per rollout",
        "Rollouts without any call, calls made before with the same arguments, and the longest run "
        "of invalid ones.",
        (
            Curve(names=NO_CALL, label="no call"),
            Curve(names=REPEATED, label="repeated calls"),
            Curve(names=INVALID_STREAK, label="invalid in a row"),
        ),
    ),
    _panel(
        "Tools",
        "number of tools",
        "Tools that a batch's rollouts were offered, and those of them that none called.",
        (
            Curve(names=("rest/tools/offered",), label="offered"),
            Curve(names=NEVER_CALLED, label="never called"),
        ),
    ),
    _panel(
        "How conversations end",
        "share of rollouts",
        "By the user's having nothing more to say, or by a limit.",
        tuple(
            Curve(names=(f"reward/limit/{limit}/mean",), label=label)
            for limit, label in _ENDS.items()
        ),
        percent=True,
    ),
    _panel(
        "What limits cut",
        "mean per rollout",
        "Turns cut off or never reached, and observations that lost their middle.",
        (
            Curve(names=("reward/turns_cut/mean",), label="turns"),
            Curve(names=("reward/observations_cut/mean",), label="observations"),
        ),
    ),
    _panel(
        "Reward of each turn",
        "mean over rollouts that reach it",
        "Late turns should not fall behind.",
        _turn_curves(TURN_REWARD),
    ),
    _panel(
        "Turns reached",
        "share of rollouts",
        "How many conversations come to each turn.",
        _turn_curves(TURN_REACHED),
        percent=True,
    ),
    _panel(
        "Sampler and trainer apart, by turn",
        "nats per token",
        "Mean absolute difference of their log-probabilities. Stale samples raise it.",
        _turn_curves(GAP),
    ),
)


def panels_of(records: Sequence[Record]) -> list[Panel]:
    """All panels of a report, in order."""
    panels = all_panels(records)
    place = next(n for n, panel in enumerate(panels) if panel.section == OPTIMISATION)
    return [*panels[:place], *TOOL_PANELS, *panels[place:]]


def numbered(records: Sequence[Record], group: str) -> list[int]:
    """The numbers n of all metrics `<group>/<n>`, in order."""
    prefix = f"{group}/"
    ends = {name.removeprefix(prefix) for r in records for name in r if name.startswith(prefix)}
    return sorted(int(end) for end in ends if end.isdecimal() and len(end) < 4)
