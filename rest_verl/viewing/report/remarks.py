"""What in a run's curves deserves a look: plain sentences from pure functions over the records.

Every check compares the mean of a run's first steps with that of its last. A change counts only
where it is larger than the steps' own scatter, so that a short or noisy run gives few remarks.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from rest_verl.viewing.palette import REGION_NAMES
from rest_verl.viewing.report.bounds import weights_at_bounds
from rest_verl.viewing.report.change import LEAST_STEPS, Remark, change
from rest_verl.viewing.report.metrics import Record, ranges, series
from rest_verl.viewing.report.panels import (
    AGREEMENT,
    CALLS,
    CLIPPED,
    CUT_SHARE,
    ENTROPY,
    EXACT_RATE,
    FORMAT_RATE,
    GRAD_NORM,
    LEAST_AGREEMENT,
    LENGTH,
    REWARD,
    TURNS,
)
from rest_verl.viewing.report.tool_remarks import tool_remarks

FLAT_FROM = 20
"""Steps; before them even a good run may show no rise."""
ENTROPY_LEFT = 0.25
"""Of what it was at first; below it, most samples of a group come out alike."""
ENTROPY_ALIVE = 0.05
"""Nats per token; a region that starts below it (FORMAT, as a rule) was certain from the start."""
RARE_SHARE = 0.05
"""Of the tokens; the entropy of a rarer region is of so few that it jumps by itself."""
ENTROPY_GROWTH = 1.5
"""A policy that learns gets surer; half as much entropy again says that it falls apart."""
FORMAT_GOOD = 0.9
"""Share of valid answers that a model which knows the format reaches."""
FORMAT_MOVE = 0.05
"""A rate that changed by less is stuck, or steady."""
ABSENT_STEPS = 0.5
"""A region without tokens on more than half of the steps is missing, not rare."""
ZERO_SHARE = 0.05
"""Tokens without gradient beyond the few of rows that cannot be weighted."""
GROWTH = 1.25
"""Length or calls a quarter above the start are visible in the answers."""
CUT_OFTEN = 0.1
"""One answer in ten cut off costs format and correctness both."""
CLIP_OFTEN = 0.2
"""PPO runs clip a few percent; a fifth says that the updates are too large."""
SPIKE = 10.0
"""Times the median gradient norm."""


def remarks(records: Sequence[Record], options: Mapping[str, Any] | None = None) -> list[Remark]:
    """What deserves a look in a run, most telling first; empty if nothing does.

    Args:
        records: The run's steps, in order.
        options: Its `algorithm.rest`, or the preset alone, for the bounds of the weights; None:
            the preset `paper` is assumed.
    """
    found = [remark for check in CHECKS for remark in check(records)]
    return found + tool_remarks(records) + weights_at_bounds(records, options)


def reward_flat(records: Sequence[Record]) -> list[Remark]:
    reward = change(records, REWARD)
    if reward is None or reward.rises or len(series(records, REWARD)[0]) < FLAT_FROM:
        return []
    return [
        Remark(
            title="The reward falls" if reward.falls else "The reward does not rise",
            seen=f"It went {reward.seen}.",
            look_at="Rewards within a group (all alike means no advantage), learning rate, the "
            "sample answers, and whether the tasks are far too hard or too easy.",
        )
    ]


def entropy_collapse(records: Sequence[Record]) -> list[Remark]:
    found = []
    named: dict[str, tuple[str, ...]] = {"The policy's entropy": ENTROPY}
    for region in REGION_NAMES:
        share = change(records, (f"rest/token_share/{region}",))
        if share is None or share.last >= RARE_SHARE:
            named[f"The entropy of {region.upper()}"] = (f"rest/entropy/{region}",)
    for subject, names in named.items():
        entropy = change(records, names)
        if entropy is None or max(entropy.first, entropy.last) < ENTROPY_ALIVE:
            continue
        if entropy.falls and entropy.last < ENTROPY_LEFT * entropy.first:
            found.append(
                Remark(
                    title=f"{subject} collapses",
                    seen=f"It fell {entropy.seen} nats per token.",
                    look_at="Whether reward and validation still rise. If not, samples of a group "
                    "are near copies: raise the temperature or the upper clip bound, or lower the "
                    "learning rate.",
                )
            )
        elif entropy.rises and entropy.last > ENTROPY_GROWTH * max(entropy.first, ENTROPY_ALIVE):
            found.append(
                Remark(
                    title=f"{subject} grows",
                    seen=f"It rose {entropy.seen} nats per token.",
                    look_at="Sample answers for text that falls apart; a lower learning rate or "
                    "a smaller entropy bonus.",
                )
            )
    return found


def format_stuck(records: Sequence[Record]) -> list[Remark]:
    rate = change(records, FORMAT_RATE, "{:.0%}")
    if rate is None or rate.last >= FORMAT_GOOD:
        return []
    move = rate.last - rate.first
    if move <= -FORMAT_MOVE and rate.falls:
        title = "Fewer answers have the format asked for"
    elif move < FORMAT_MOVE:
        title = "The format rate is stuck"
    else:
        return []
    return [
        Remark(
            title=title,
            seen=f"Answers with the format asked for went {rate.seen}.",
            look_at="Sample answers without it: does the prompt show the format that the reward "
            "asks for, are answers cut at the length limit, does the model need a warm start?",
        )
    ]


def absent_regions(records: Sequence[Record]) -> list[Remark]:
    found = []
    for region in REGION_NAMES:
        steps, shares = series(records, (f"rest/token_share/{region}",))
        without = [step for step, share in zip(steps, shares, strict=True) if share == 0]
        if not steps or len(without) <= ABSENT_STEPS * len(steps):
            continue
        reason = {
            "think": "Right for a model or prompt without reasoning; else look for other tags "
            "around it than <think>.",
            "text": "Right where answers are calls only.",
        }.get(
            region,
            "The labeller finds no call: compare the tags in a sample answer with the tool-call "
            "syntax in force.",
        )
        found.append(
            Remark(
                title=f"{region.upper()} has no tokens",
                seen=f"None at {ranges(without, 'step')} ({len(without)} of {len(steps)} steps).",
                look_at=reason,
            )
        )
    return found


def many_zero_weights(records: Sequence[Record]) -> list[Remark]:
    steps, shares = series(records, ("rest/zero_weight_share",))
    many = [step for step, share in zip(steps, shares, strict=True) if share > ZERO_SHARE]
    if not many:
        return []
    return [
        Remark(
            title="Tokens without weight",
            seen=f"Up to {max(shares):.0%} of the tokens weigh 0 ({ranges(many, 'step')}).",
            look_at="Meant with the presets official (TEXT) and no_think (THINK); else gamma_*.",
        )
    ]


def hacking_length(records: Sequence[Record]) -> list[Remark]:
    length, reward = change(records, LENGTH, "{:.0f}"), change(records, REWARD)
    if length is None or reward is None or reward.rises:
        return []
    if not (length.rises and length.last > GROWTH * length.first):
        return []
    return [
        Remark(
            title="Answers grow while the reward does not",
            seen=f"Mean length went {length.seen} tokens, the reward {reward.seen}.",
            look_at="Long sample answers for repetition and padding; whether any part of the "
            "reward pays for length.",
        )
    ]


def hacking_calls(records: Sequence[Record]) -> list[Remark]:
    right = change(records, EXACT_RATE, "{:.0%}") or change(records, REWARD)
    found = []
    for subject, names in (("Calls per answer", CALLS), ("Messages per conversation", TURNS)):
        calls = change(records, names)
        if calls is None or right is None or right.rises:
            continue
        # Up to one call an answer the model is still learning to call at all.
        if calls.rises and calls.last > max(1.0, GROWTH * calls.first):
            found.append(
                Remark(
                    title=f"{subject} grow without more right answers",
                    seen=f"They went {calls.seen}; right answers went {right.seen}.",
                    look_at="Sample answers for repeated or needless calls; whether the reward "
                    "pays for each call.",
                )
            )
    return found


def reward_without_validation(records: Sequence[Record]) -> list[Remark]:
    reward = change(records, REWARD)
    if reward is None or not reward.rises:
        return []
    names = {n for r in records for n in r if n.startswith("val-core/") and "/mean@" in n}
    for name in sorted(names):
        validation = change(records, (name,))
        if validation is not None and validation.falls:
            return [
                Remark(
                    title="The training reward rises, validation does not",
                    seen=f"The reward went {reward.seen}; {name} went {validation.seen}.",
                    look_at="Overfitting to few tasks, or a reward to be had without solving them.",
                )
            ]
    return []


def cut_answers(records: Sequence[Record]) -> list[Remark]:
    cut = change(records, CUT_SHARE, "{:.0%}")
    if cut is None or cut.last <= CUT_OFTEN:
        return []
    return [
        Remark(
            title="Many answers are cut off",
            seen=f"The share that ends at the length limit went {cut.seen}.",
            look_at="data.max_response_length; or answers that never come to an end.",
        )
    ]


def large_updates(records: Sequence[Record]) -> list[Remark]:
    found = []
    clipped = change(records, CLIPPED, "{:.1%}")
    if clipped is not None and clipped.last > CLIP_OFTEN:
        found.append(
            Remark(
                title="Clipping stops much of the update",
                seen=f"The clip fraction went {clipped.seen}.",
                look_at="A lower learning rate, or fewer updates per batch.",
            )
        )
    steps, norms = series(records, GRAD_NORM)
    if len(norms) >= LEAST_STEPS and (middle := median(norms)) > 0:
        peaks = [step for step, norm in zip(steps, norms, strict=True) if norm > SPIKE * middle]
        if peaks:
            found.append(
                Remark(
                    title="The gradient norm has peaks",
                    seen=f"Up to {max(norms):.3g} against a median of {middle:.3g} "
                    f"({ranges(peaks, 'step')}).",
                    look_at="Reward and entropy after them; actor.grad_clip bounds the damage.",
                )
            )
    return found


def samplers_disagree(records: Sequence[Record]) -> list[Remark]:
    steps, values = series(records, AGREEMENT)
    low = [step for step, value in zip(steps, values, strict=True) if value < LEAST_AGREEMENT]
    if not low:
        return []
    return [
        Remark(
            title="Sampler and trainer disagree",
            seen=f"The correlation of their probabilities fell to {min(values):.4f} "
            f"({ranges(low, 'step')}).",
            look_at="Number formats of both, whether weights reach the sampler after each update, "
            "and rollout correction.",
        )
    ]


CHECKS: tuple[Callable[[Sequence[Record]], list[Remark]], ...] = (
    reward_flat,
    hacking_length,
    hacking_calls,
    reward_without_validation,
    entropy_collapse,
    format_stuck,
    absent_regions,
    cut_answers,
    many_zero_weights,
    large_updates,
    samplers_disagree,
)
