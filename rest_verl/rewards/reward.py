"""The reward of one answer, from its text alone: format + correctness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, overload

from rest_verl.rewards.correctness import correctness_points
from rest_verl.rewards.explanation import correctness_sentences, format_sentence
from rest_verl.rewards.format import has_format
from rest_verl.rewards.ground_truth import GroundTruth, parse_ground_truth
from rest_verl.rewards.schedule import RewardConfig, Scale
from rest_verl.syntax import Reading, Syntax, Tools, get_syntax, read_message, terms_of
from rest_verl.syntax.repeats import count_repeated


@dataclass(frozen=True)
class RewardResult:
    """A score with its parts."""

    score: float
    """``format + correctness``."""
    format: float
    correctness: float
    format_ok: bool
    """The required parts are there, in order, each once."""
    name_match: bool
    """The names called are those of the ground truth, each as often; for a ground truth that
    names none: as ``exact_match``."""
    exact_match: bool
    """Fully right calls; for ``no_call``: no call made, for ``any_call``: one or more."""
    num_calls: int
    """Well-formed calls in the answer."""
    tags_valid: bool
    """This and the next two: how it is written (`rest_verl.syntax.terms`)."""
    calls_parse: bool
    unclosed: bool
    no_call: bool
    """No call is made or begun."""
    calls_repeated: int
    """Well-formed calls that an earlier one has made already."""

    def as_dict(self) -> dict[str, float]:
        """The same as plain floats, for loggers."""
        return {
            "score": self.score,
            "format": self.format,
            "correctness": self.correctness,
            "format_ok": float(self.format_ok),
            "name_match": float(self.name_match),
            "exact_match": float(self.exact_match),
            "num_calls": float(self.num_calls),
            "tags_valid": float(self.tags_valid),
            "calls_parse": float(self.calls_parse),
            "unclosed": float(self.unclosed),
            "no_call": float(self.no_call),
            "calls_repeated": float(self.calls_repeated),
        }


@dataclass(frozen=True)
class ExplainedResult(RewardResult):
    """A score with its parts, and in words why it is what it is."""

    why: tuple[str, ...]
    """Sentences: the format, the correctness, and each call with what is wrong in it."""


@overload
def tool_call_reward(
    response: str,
    ground_truth: str,
    step: float | None = None,
    config: RewardConfig | str = "toolrl",
    *,
    syntax: Syntax | str = "hermes",
    think_is_open: bool | None = None,
    tools: Tools | None = None,
    explain: Literal[False] = False,
) -> RewardResult: ...


@overload
def tool_call_reward(
    response: str,
    ground_truth: str,
    step: float | None = None,
    config: RewardConfig | str = "toolrl",
    *,
    syntax: Syntax | str = "hermes",
    think_is_open: bool | None = None,
    tools: Tools | None = None,
    explain: Literal[True],
) -> ExplainedResult: ...


def tool_call_reward(
    response: str,
    ground_truth: str,
    step: float | None = None,
    config: RewardConfig | str = "toolrl",
    *,
    syntax: Syntax | str = "hermes",
    think_is_open: bool | None = None,
    tools: Tools | None = None,
    explain: bool = False,
) -> RewardResult:
    """Score one answer by rule (docs/reward-rule.md).

    Args:
        response: the answer's text, whatever the model wrote, its tags included even where they
            are special tokens of the tokenizer, without the token that ends it.
        ground_truth: the row's ground truth (:mod:`rest_verl.rewards.ground_truth`).
        step: training step for a schedule; None, as for validation, gives the fixed scale.
        config: the scale, or the name of a preset.
        syntax: the model's own, or its name. A ground truth in ToolRL's format, which the prompt
            asked for, is compared by `toolrl` whatever stands here.
        think_is_open: the prompt ended within a thought. None: unknown; then a thought that
            nothing opened is let through, except in ToolRL's format.
        tools: those offered, for syntaxes that write arguments as untyped text (`Syntax.read`).
        explain: say in words what each part earned and what was wrong, for people.

    Raises:
        ValueError: the ground truth is malformed, the step negative, or no syntax or preset of that
            name.
        TypeError: ``response`` is not a string.
    """
    if not isinstance(response, str):
        raise TypeError(
            "response must be a string, the text that the model wrote, got "
            f"{type(response).__name__}"
        )
    truth = parse_ground_truth(ground_truth)
    if truth.format == "toolrl":
        syntax, think_is_open = "toolrl", bool(think_is_open)
    syntax = get_syntax(syntax) if isinstance(syntax, str) else syntax
    answer = read_message(syntax, response, think_is_open=think_is_open, tools=tools)
    scale = RewardConfig.of(config).scale(step)
    format_ok = has_format(answer, truth, syntax)
    format_score = scale.format_max if format_ok else scale.format_min
    if truth.expect == "calls":
        correctness, name_match, exact_match = _score_calls(answer, truth, scale)
    else:
        correctness, exact_match = _score_unnamed(answer, truth, scale)
        name_match = exact_match
    written = terms_of([answer])
    result = RewardResult(
        format_score + correctness,
        format_score,
        correctness,
        format_ok,
        name_match,
        exact_match,
        len(answer.calls),
        written.tags_valid,
        written.calls_parse,
        written.unclosed,
        not answer.tries_to_call,
        count_repeated(answer.calls),
    )
    if not explain:
        return result
    why = (
        format_sentence(answer, format_ok, format_score),
        f"correctness {correctness:.3g}, from {scale.correctness_min:g} to "
        f"{scale.correctness_max:g}",
        *correctness_sentences(answer, truth),
    )
    return ExplainedResult(**vars(result), why=why)


def _score_calls(answer: Reading, truth: GroundTruth, scale: Scale) -> tuple[float, bool, bool]:
    """Correctness, name match and exact match where the ground truth has calls."""
    low, high = scale.correctness_min, scale.correctness_max
    if not answer.well_formed:
        return low, False, False
    points, name_match = correctness_points(answer.calls, truth)
    if points == truth.max_points:
        return high, True, True
    return (high - low) * points / truth.max_points + low, name_match, False


def _score_unnamed(answer: Reading, truth: GroundTruth, scale: Scale) -> tuple[float, bool]:
    """Correctness and exact match where the ground truth names no call."""
    if truth.expect == "any_call":
        right = answer.well_formed and bool(answer.calls)
        return (scale.correctness_max if right else scale.correctness_min), right
    right = not answer.tries_to_call
    return (0.0 if right else scale.correctness_min), right


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    preset: str = "toolrl",
    step: int | None = None,
    syntax: str = "hermes",
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
) -> dict[str, float]:
    """:func:`tool_call_reward` with the signature of verl's ``custom_reward_function``.

    ``preset``, ``step`` and ``syntax`` come from ``reward.custom_reward_function.reward_kwargs``;
    verl itself adds the last two when a reward model runs, and a rule has no use for them. Tools
    are those in ``extra_info``, as JSON. verl gives the text without special tokens and no prompt:
    where tags are special tokens or prompts open thoughts, take the reward manager `rest`.

    Returns:
        ``RewardResult.as_dict()``; verl takes ``score`` and logs the rest.

    Raises:
        ValueError: as above, naming the row by its data source and ``extra_info``'s id or index; no
            such preset or syntax.
    """
    info = extra_info or {}
    written_in, config = get_syntax(syntax), RewardConfig.preset(preset)
    try:
        parse_ground_truth(ground_truth)
        tools = written_in.types_of(info)
    except ValueError as error:
        row = info.get("id", info.get("index", "without id"))
        raise ValueError(f"{data_source}, row {row}: {error}") from error
    return tool_call_reward(
        solution_str, ground_truth, step, config, syntax=written_in, tools=tools
    ).as_dict()
