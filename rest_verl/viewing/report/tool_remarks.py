"""What goes wrong in training with tools: remarks, as in `remarks`, each with the step it began at.

The rates of single rollouts show it before the reward does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from rest_verl.viewing.report.change import LEAST_STEPS, Change, Remark, change, edge, ends
from rest_verl.viewing.report.metrics import Record, ranges, series
from rest_verl.viewing.report.panels import CALLS, EXACT_RATE, REWARD
from rest_verl.viewing.report.tool_panels import (
    CONTROLS,
    GAP,
    INVALID_STREAK,
    NEVER_CALLED,
    NO_CALL,
    REPEATED,
    TURN_REACHED,
    TURN_REWARD,
    numbered,
)

UNSURE = 0.1
"""Mean probability; a policy that knows its format loses less by learning."""
OPEN = 0.2
"""Nats; so much more entropy at a tag is a choice between two ways on."""
SPIKE, SPIKE_SCATTER = 0.3, 6.0
"""Nats, or mean probability, away from the run's median on a single step; and times the median
distance from it: means of few tokens jump by themselves."""
CERTAIN, ALIVE = 0.25, 0.05
"""Of the entropy of names at first, and nats: what is left where the choice of tools collapses."""
SILENT = 0.1
"""Share of answers without any call that is more than a change of tasks."""
REPEATED_OFTEN = 0.25
"""Of the calls; looking something up again after a change is right, so some always are."""
LONG_STREAK = 2.0
"""Invalid calls in a row; after the second the model has read its error twice."""
VANISHED = 0.25
"""Of what it was."""
LEAST_GAP, GAP_GROWTH = 0.05, 1.5
"""Nats, above what rounding alone makes, and times the gap at first."""

_SUBJECTS = {"call": "opening a call", "name": "naming a tool", "end": "ending a message"}
_Rows = Sequence[Record]


def tool_remarks(records: _Rows) -> list[Remark]:
    """What of calls, turns and the tokens that steer them deserves a look."""
    return [remark for check in CHECKS for remark in check(records)]


def unsure_control(records: _Rows) -> list[Remark]:
    """Control tokens whose probability falls, whose entropy rises, or either on single steps."""
    found = []
    for control in CONTROLS:
        probability, entropy = (
            (f"rest/control/{measure}/{control}",) for measure in ("probability", "entropy")
        )
        sure, open_ = change(records, probability), change(records, entropy)
        if sure is not None and sure.falls and sure.first - sure.last > UNSURE:
            seen = _since(records, probability, sure)
            seen += f"their probability has fallen, {sure.seen}."
        elif open_ is not None and open_.rises and open_.last - open_.first > OPEN:
            seen = _since(records, entropy, open_) + f"their entropy has risen, {open_.seen} nats."
        elif spikes := sorted({*_spikes(records, probability, -1), *_spikes(records, entropy, 1)}):
            seen = (
                f"Since {ranges(spikes[:1], 'step')} their probability or entropy leaps on single "
                f"steps ({ranges(spikes, 'step')})."
            )
        else:
            continue
        found.append(
            Remark(
                title=f"The tokens for {_SUBJECTS[control]} get uncertain",
                seen=seen,
                look_at="The reward after it, since collapse shows here first; sample answers for "
                "broken calls; a lower learning rate, or a checkpoint of before.",
            )
        )
    return found


def _spikes(records: _Rows, names: Sequence[str], sign: int) -> list[int]:
    """Steps on which a curve is far from its median, to that side; not those of its way there."""
    if change(records, names) is None:
        return []
    steps, values = series(records, names)
    middle = median(values)
    away = [sign * (value - middle) for value in values]
    least = max(SPIKE, SPIKE_SCATTER * median(map(abs, away)))
    settled = next(place for place, distance in enumerate(away) if distance <= 0)
    return [steps[place] for place in range(settled, len(away)) if away[place] > least]


def one_tool_only(records: _Rows) -> list[Remark]:
    names = ("rest/control/entropy/name",)
    entropy = change(records, names)
    if entropy is None or _more_is_right(records) or entropy.first < ALIVE:
        return []
    if not (entropy.falls and entropy.last < CERTAIN * entropy.first):
        return []
    return [
        Remark(
            title="The choice of tools collapses",
            seen=_since(records, names, entropy)
            + f"the entropy of tools' names has fallen, {entropy.seen} nats, and right answers "
            "have not risen.",
            look_at="Whether all answers call the same tool; a higher temperature or upper clip "
            "bound.",
        )
    ]


def fewer_calls(records: _Rows) -> list[Remark]:
    silent = change(records, NO_CALL, "{:.0%}")
    if silent is None or _more_is_right(records):
        return []
    if not (silent.rises and silent.last - silent.first > SILENT):
        return []
    return [
        Remark(
            title="Answers without any call become more",
            seen=_since(records, NO_CALL, silent) + f"their share has risen, {silent.seen}.",
            look_at="Whether the reward pays for answers that call nothing; sample answers for a "
            "tool's result that the model makes up.",
        )
    ]


def repeated_calls(records: _Rows) -> list[Remark]:
    steps, calls = series(records, CALLS)
    made = dict(zip(steps, calls, strict=True))
    shares: list[Record] = [
        {"step": step, REPEATED[0]: count / made[step]}
        for step, count in zip(*series(records, REPEATED), strict=True)
        if made.get(step)
    ]
    share = change(shares, REPEATED, "{:.0%}")
    if share is None or share.falls or share.last <= REPEATED_OFTEN:
        return []
    return [
        Remark(
            title="Many calls repeat an earlier one",
            seen=_since(shares, REPEATED, share, REPEATED_OFTEN)
            + f"calls of the same name and arguments are many: their share went {share.seen}.",
            look_at="Sample rollouts for loops; whether observations are cut before what the model "
            "looks for; whether the reward pays for each call.",
        )
    ]


def invalid_streaks(records: _Rows) -> list[Remark]:
    streak = change(records, INVALID_STREAK, "{:.1f}")
    if streak is None or streak.falls or streak.last <= LONG_STREAK:
        return []
    return [
        Remark(
            title="Invalid calls follow each other",
            seen=_since(records, INVALID_STREAK, streak, LONG_STREAK)
            + f"a rollout's longest run of them is long: its mean went {streak.seen}.",
            look_at="Which errors (reward/errors/…); the option max_invalid_calls of rest_tool_env "
            "ends such rollouts.",
        )
    ]


def unused_tools(records: _Rows) -> list[Remark]:
    """Tools that no rollout of the last steps called; without names, that they become more."""
    prefix = "rest/tools/called/"
    unused = []
    for name in sorted({n for record in records for n in record if n.startswith(prefix)}):
        steps, shares = series(records, (name,))
        last = ends(steps, shares)[1]
        if len(steps) < LEAST_STEPS or last is None or any(last.values):
            continue
        used = [step for step, share in zip(steps, shares, strict=True) if share]
        since = f"since step {used[-1]}" if used else "at any step"
        unused.append(f"{name.removeprefix(prefix)} {since}")
    seen = f"Not one rollout has called {', '.join(unused)}." if unused else ""
    number = change(records, NEVER_CALLED, "{:.0f}")
    if not unused and number is not None and number.rises and number.last > number.first + 1:
        seen = _since(records, NEVER_CALLED, number)
        seen += f"more of the tools offered are never called in a batch, {number.seen}."
    return [
        Remark(
            title="Tools that are never called",
            seen=seen,
            look_at="Right for tools that no task needs; else whether their descriptions are "
            "shown, and whether the tasks reward their use.",
        )
    ] * bool(seen)


def late_turns(records: _Rows) -> list[Remark]:
    """Later turns lose their reward, or are not reached any more, while the first one's holds."""
    first = change(records, (f"{TURN_REWARD}/1",))
    if first is not None and first.falls:
        return []
    found: dict[int, str] = {}
    lost = {"mean reward": TURN_REWARD}
    if not _more_is_right(records):  # users who are served sooner say less
        lost["share of rollouts"] = TURN_REACHED
    for what, group in lost.items():
        for turn in numbered(records, group):
            name = (f"{group}/{turn}",)
            moved = change(records, name)
            if turn == 1 or moved is None or moved.first <= 0:
                continue
            if moved.falls and moved.last < VANISHED * moved.first:
                since = _since(records, name, moved)
                found.setdefault(turn, f"{since}turn {turn} loses its {what}, {moved.seen}")
    if not found:
        return []
    others = sorted(found)[1:]
    also = f"; so {'does' if len(others) == 1 else 'do'} {ranges(others, 'turn')}" if others else ""
    return [
        Remark(
            title="The reward of late turns vanishes",
            seen=f"{found[min(found)]}{also}.",
            look_at="How rollouts end (reward/limit/…); whether the response has room for all "
            "turns; credit by turns (rest_turn).",
        )
    ]


def widening_gap(records: _Rows) -> list[Remark]:
    for turn in reversed(numbered(records, GAP)):
        name = (f"{GAP}/{turn}",)
        gap = change(records, name, "{:.3f}")
        if gap is None or gap.last < max(LEAST_GAP, GAP_GROWTH * gap.first) or not gap.rises:
            continue
        return [
            Remark(
                title="Sampler and trainer drift apart",
                seen=_since(records, name, gap)
                + f"the gap of their log-probabilities has grown in turn {turn}, {gap.seen} nats.",
                look_at="Staleness of the samples, number formats of both, rollout correction; "
                "growth in late turns alone: what is appended between turns.",
            )
        ]
    return []


def _more_is_right(records: _Rows) -> bool:
    right = change(records, EXACT_RATE) or change(records, REWARD)
    return right is not None and right.rises


def _since(records: _Rows, names: Sequence[str], moved: Change, level: float | None = None) -> str:
    """`Since step 23 `: from there on the curve is nearer to its end than to its start, or above
    `level`, single steps left aside."""
    steps, values = series(records, names)
    smooth = [median(values[max(0, place - 2) : place + 3]) for place in range(len(values))]
    if level is None:
        level = (moved.first + moved.last) / 2
    sign = 1 if moved.last > level else -1
    beyond = [sign * (value - level) > 0 for value in smooth]
    place = len(steps) - edge(len(steps))
    while place + 1 < len(steps) and not beyond[place]:
        place += 1
    while place > 0 and beyond[place - 1]:
        place -= 1
    return f"Since step {steps[place]} "


CHECKS: tuple[Callable[[_Rows], list[Remark]], ...] = (
    unsure_control,
    one_tool_only,
    fewer_calls,
    repeated_calls,
    invalid_streaks,
    unused_tools,
    late_turns,
    widening_gap,
)
