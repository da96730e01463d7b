"""What the report draws: its panels as data, each with what it shows in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rest_verl.syntax.terms import LABELS
from rest_verl.viewing.palette import REGION_NAMES
from rest_verl.viewing.report.metrics import Record

_MAX_VALIDATION_CURVES = 6
_RATES = {
    "format_ok": "format as asked",
    "name_match": "right names",
    "exact_match": "exact",
    "official": "official",
}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One curve of a panel."""

    names: tuple[str, ...]
    """Metric names, this version's first; the first that the run has is drawn."""
    label: str
    region: str | None = None
    """Region whose colour it takes; None: a neutral colour and dash by its place in the panel."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot over the training steps."""

    section: str
    title: str
    unit: str
    about: str
    """What a reader should know to read it: one or two short sentences."""
    curves: tuple[Curve, ...]
    percent: bool = False
    """Values are shares of 1, shown as percentages."""
    from_zero: bool = False
    """The axis starts at 0, so that heights compare as ratios."""
    limit: tuple[float, str] | None = None
    """A horizontal line that values should not cross: where, and what it says."""
    sparse: bool = False
    """Steps without a value are normal: a region without tokens, a step without validation."""


def _by_region(group: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(names=(f"rest/{group}/{region}",), label=region.upper(), region=region)
        for region in REGION_NAMES
    )


def _curve(label: str, *names: str) -> Curve:
    return Curve(names=names, label=label)


OUTCOME, REGIONS, BEHAVIOUR = "Outcome", "Regions and weights", "Answers"
OPTIMISATION, TIME = "Optimisation", "Time"

REWARD = ("reward/total/mean", "critic/score/mean", "critic/rewards/mean")
FORMAT_RATE = ("reward/format_ok/mean",)
NAME_RATE = ("reward/name_match/mean",)
EXACT_RATE = ("reward/exact_match/mean", "reward/official/mean")
ENTROPY = ("actor/entropy", "actor/entropy_loss")
LENGTH = ("response_length/mean",)
CUT_SHARE = ("reward/cut_off/mean", "response_length/clip_ratio")
TERMS = {**{term: (f"reward/{term}/mean",) for term in LABELS}, "cut_off": CUT_SHARE}
"""Metrics of the terms for how answers are written."""
CALLS = ("reward/num_calls/mean", "reward/calls/mean")
TURNS = ("num_turns/mean", "training/num_turns/mean")
CLIPPED = ("actor/pg_clipfrac",)
GRAD_NORM = ("actor/grad_norm",)
AGREEMENT = (
    "training/rollout_actor_probs_pearson_corr/fresh",  # where older samples are mixed in
    "training/rollout_actor_probs_pearson_corr",
)
STEP_TIME = ("timing_s/step", "perf/time_per_step")
LEAST_AGREEMENT = 0.99

PANELS = (
    Panel(
        section=OUTCOME,
        title="Reward and its components",
        unit="mean per response",
        about="Should rise. The parts say what it rises through.",
        curves=(
            _curve("total", *REWARD),
            _curve("format", "reward/format/mean"),
            _curve("correctness", "reward/correctness/mean"),
            _curve("dense", "reward/dense/mean"),
        ),
    ),
    Panel(
        section=OUTCOME,
        title="Sampled answers that are right",
        unit="share of responses",
        about="The format that the reward asks for comes first, then the tools' names, then whole "
        "calls.",
        curves=(
            _curve(_RATES["format_ok"], *FORMAT_RATE),
            _curve("right names", *NAME_RATE),
            _curve("exact", *EXACT_RATE),
        ),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=REGIONS,
        title="Region entropy",
        unit="nats per token",
        about="How open the old policy is, by region. Low entropy gives a high weight.",
        curves=_by_region("entropy"),
        from_zero=True,
        sparse=True,
    ),
    Panel(
        section=REGIONS,
        title="Region weight",
        unit="mean weight of a token",
        about="1 is plain GRPO. The curriculum lowers FORMAT and raises ARGS, THINK and TEXT.",
        curves=_by_region("weight"),
        sparse=True,
    ),
    Panel(
        section=REGIONS,
        title="Share of tokens",
        unit="share of the batch",
        about="How the sampled tokens divide into regions.",
        curves=_by_region("token_share"),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=REGIONS,
        title="Share of weight",
        unit="share of the batch",
        about="How the gradient's weight divides; compare with the share of tokens.",
        curves=_by_region("weight_share"),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=REGIONS,
        title="Tokens of weight zero",
        unit="share of tokens",
        about="Tokens that no gradient comes from: those of a region that a preset leaves out.",
        curves=(_curve("weight zero", "rest/zero_weight_share"),),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="Response length",
        unit="mean tokens per response",
        about="Growth without reward is worth a look.",
        curves=(_curve("length", *LENGTH),),
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="How answers are written",
        unit="share of responses",
        about="Right or wrong: tags in pairs, calls that can be read, tags left open, and answers "
        "without an end of their own.",
        curves=tuple(_curve(label, *TERMS[term]) for term, label in LABELS.items()),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="Calls and turns",
        unit="mean per response",
        about="More calls without more right answers is worth a look.",
        curves=(_curve("calls", *CALLS), _curve("messages", *TURNS)),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Policy entropy",
        unit="nats per token",
        about="Over all tokens. A fall to almost nothing ends exploration.",
        curves=(_curve("entropy", *ENTROPY),),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Clip fraction",
        unit="share of tokens",
        about="Tokens whose update the clipping stopped.",
        curves=(_curve("clipped", *CLIPPED), _curve("dual clip", "actor/pg_clipfrac_lower")),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Gradient norm",
        unit="L2 norm before clipping",
        about="Single peaks are harmless; a lasting rise is not.",
        curves=(_curve("gradient norm", *GRAD_NORM),),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Sampler and trainer agree",
        unit="Pearson correlation",
        about="Between the probabilities that each gives the sampled tokens.",
        curves=(_curve("correlation", *AGREEMENT),),
        limit=(LEAST_AGREEMENT, f"healthy above {LEAST_AGREEMENT}"),
    ),
    Panel(
        section=OPTIMISATION,
        title="Staleness of the samples",
        unit="updates since sampling",
        about="0 when each batch is sampled by the policy that it updates.",
        curves=(
            _curve("mean", "rest/staleness/mean", "training/off_policy/trajectory_staleness/mean"),
            _curve("max", "rest/staleness/max", "training/off_policy/trajectory_staleness/max"),
        ),
        from_zero=True,
    ),
    Panel(
        section=TIME,
        title="Time per step",
        unit="seconds",
        about="The whole step and its phases.",
        curves=(
            _curve("whole step", *STEP_TIME),
            _curve("sampling", "timing_s/gen", "timing_s/generate_sequences"),
            _curve("update", "timing_s/update_actor"),
            _curve("old log-probs", "timing_s/old_log_prob"),
            _curve("token weights", "timing_s/rest_weights"),
            _curve("validation", "timing_s/testing"),
        ),
        from_zero=True,
        sparse=True,
    ),
)


def all_panels(records: Sequence[Record]) -> list[Panel]:
    """PANELS, and what validation gave, after the other panels of the outcome."""
    outcome = [panel for panel in PANELS if panel.section == OUTCOME]
    return [*outcome, *_validation(records), *PANELS[len(outcome) :]]


def _validation(records: Sequence[Record]) -> list[Panel]:
    """Panels of verl's `val-core/{data source}/{variable}/{statistic}`, of our rates and terms."""
    present = sorted({name for record in records for name in record})
    core: dict[tuple[str, str], list[str]] = {}
    rates: dict[tuple[str, str], list[str]] = {}
    terms: dict[tuple[str, str], list[str]] = {}
    for name in present:
        parts = name.split("/")
        if name.startswith("val/test_score/"):  # verl before 0.3
            core.setdefault(("/".join(parts[2:]), "score"), []).append(name)
        elif parts[0] in ("val-core", "val-aux") and len(parts) > 3:
            source, variable, statistic = _split_validation(parts[1:])
            if parts[0] == "val-core" and not statistic.endswith("/std"):  # spread of a bootstrap
                kind = "mean" if statistic.startswith("mean@") else statistic.removesuffix("/mean")
                core.setdefault((source, f"{variable} {kind}"), []).append(name)
            elif statistic.startswith("mean@"):
                for found, labels in ((rates, _RATES), (terms, LABELS)):
                    if variable in labels:
                        found.setdefault((source, labels[variable]), []).append(name)
    rates, terms = _in_order(rates, _RATES), _in_order(terms, LABELS)
    panels = []
    if core:
        panels.append(_validation_panel("Validation", core, "mean over rows"))
    if rates:
        title = "Validation answers that are right"
        panels.append(_validation_panel(title, rates, "share of responses", is_rate=True))
    if terms:
        title = "How validation answers are written"
        panels.append(_validation_panel(title, terms, "share of responses", is_rate=True))
    return panels


def _in_order(
    named: dict[tuple[str, str], list[str]], labels: Mapping[str, str]
) -> dict[tuple[str, str], list[str]]:
    """By data source, and within one as the labels stand."""
    order = list(labels.values())
    return dict(sorted(named.items(), key=lambda item: (item[0][0], order.index(item[0][1]))))


def _validation_panel(
    title: str, named: dict[tuple[str, str], list[str]], unit: str, *, is_rate: bool = False
) -> Panel:
    """A panel of curves by (data source, what); the sources are named where they differ."""
    sources = {source for source, _ in named}
    shown = list(named.items())[:_MAX_VALIDATION_CURVES]
    more = f" (first {len(shown)} of {len(named)})" if len(named) > len(shown) else ""
    return Panel(
        section=OUTCOME,
        title=title + more,
        unit=unit,
        about=f"On {', '.join(sorted(sources)[:3])}{' and others' if len(sources) > 3 else ''}: "
        "rows that are not trained on.",
        curves=tuple(
            _curve(what if len(sources) == 1 else f"{source} {what}", *names)
            for (source, what), names in shown
        ),
        percent=is_rate,
        from_zero=is_rate,
        sparse=True,
    )


def _split_validation(parts: Sequence[str]) -> tuple[str, str, str]:
    """`org/data/reward/mean@1` into `("org/data", "reward", "mean@1")`."""
    # A statistic of bootstrapped samples has one part more: reward/best@4/mean.
    size = 2 if len(parts) > 3 and "@" in parts[-2] else 1
    return "/".join(parts[: -size - 1]), parts[-size - 1], "/".join(parts[-size:])
