"""What the report draws: its panels as data, each with what it shows in plain words."""

from dataclasses import dataclass

from rest_verl.syntax.terms import LABELS
from rest_verl.viewing.palette import REGION_NAMES

RATES = {
    "format_ok": "format as asked",
    "name_match": "right names",
    "exact_match": "exact",
    "official": "official",
}
"""Parts of a reward that are shares of answers, and what people read."""


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


def curve_of(label: str, *names: str) -> Curve:
    """A curve in a neutral colour, of the first of these metrics that a run has."""
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
            curve_of("total", *REWARD),
            curve_of("format", "reward/format/mean"),
            curve_of("correctness", "reward/correctness/mean"),
            curve_of("dense", "reward/dense/mean"),
        ),
    ),
    Panel(
        section=OUTCOME,
        title="Sampled answers that are right",
        unit="share of responses",
        about="The format that the reward asks for comes first, then the tools' names, then whole "
        "calls.",
        curves=(
            curve_of(RATES["format_ok"], *FORMAT_RATE),
            curve_of("right names", *NAME_RATE),
            curve_of("exact", *EXACT_RATE),
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
        curves=(curve_of("weight zero", "rest/zero_weight_share"),),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="Response length",
        unit="mean tokens per response",
        about="Growth without reward is worth a look.",
        curves=(curve_of("length", *LENGTH),),
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="How answers are written",
        unit="share of responses",
        about="Right or wrong: tags in pairs, calls that can be read, tags left open, and answers "
        "without an end of their own.",
        curves=tuple(curve_of(label, *TERMS[term]) for term, label in LABELS.items()),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=BEHAVIOUR,
        title="Calls and turns",
        unit="mean per response",
        about="More calls without more right answers is worth a look.",
        curves=(curve_of("calls", *CALLS), curve_of("messages", *TURNS)),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Policy entropy",
        unit="nats per token",
        about="Over all tokens. A fall to almost nothing ends exploration.",
        curves=(curve_of("entropy", *ENTROPY),),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Clip fraction",
        unit="share of tokens",
        about="Tokens whose update the clipping stopped.",
        curves=(curve_of("clipped", *CLIPPED), curve_of("dual clip", "actor/pg_clipfrac_lower")),
        percent=True,
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Gradient norm",
        unit="L2 norm before clipping",
        about="Single peaks are harmless; a lasting rise is not.",
        curves=(curve_of("gradient norm", *GRAD_NORM),),
        from_zero=True,
    ),
    Panel(
        section=OPTIMISATION,
        title="Sampler and trainer agree",
        unit="Pearson correlation",
        about="Between the probabilities that each gives the sampled tokens.",
        curves=(curve_of("correlation", *AGREEMENT),),
        limit=(LEAST_AGREEMENT, f"healthy above {LEAST_AGREEMENT}"),
    ),
    Panel(
        section=OPTIMISATION,
        title="Staleness of the samples",
        unit="updates since sampling",
        about="0 when each batch is sampled by the policy that it updates.",
        curves=(
            curve_of(
                "mean", "rest/staleness/mean", "training/off_policy/trajectory_staleness/mean"
            ),
            curve_of("max", "rest/staleness/max", "training/off_policy/trajectory_staleness/max"),
        ),
        from_zero=True,
    ),
    Panel(
        section=TIME,
        title="Time per step",
        unit="seconds",
        about="The whole step and its phases.",
        curves=(
            curve_of("whole step", *STEP_TIME),
            curve_of("sampling", "timing_s/gen", "timing_s/generate_sequences"),
            curve_of("update", "timing_s/update_actor"),
            curve_of("old log-probs", "timing_s/old_log_prob"),
            curve_of("token weights", "timing_s/rest_weights"),
            curve_of("validation", "timing_s/testing"),
        ),
        from_zero=True,
        sparse=True,
    ),
)
