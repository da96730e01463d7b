"""Remarks of a report: what each sees, in curves made to show it and in curves made not to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.viewing.report.bounds import weights_at_bounds
from rest_verl.viewing.report.change import change
from rest_verl.viewing.report.remarks import remarks

STEPS = 40


def records_of(**curves: float | tuple[float, float] | list[float]) -> list[dict[str, float]]:
    """STEPS records; a curve is a constant, (first, last) of a straight line, or its values.

    In a name, `__` stands for `/`.
    """
    records: list[dict[str, float]] = [{"step": step} for step in range(1, STEPS + 1)]
    for name, curve in curves.items():
        for place, record in enumerate(records):
            if isinstance(curve, tuple):
                value = curve[0] + (curve[1] - curve[0]) * place / (STEPS - 1)
            elif isinstance(curve, list):
                value = curve[place % len(curve)]
            else:
                value = curve
            record[name.replace("__", "/")] = value
    return records


RISING = {"reward__total__mean": (0.0, 1.0)}
FLAT = {"reward__total__mean": [0.4, 0.6]}
NOISY_LENGTH = {"response_length__mean": [100.0, 101.0]}


@pytest.mark.parametrize(
    ("curves", "titles"),
    [
        pytest.param(RISING, [], id="a reward that rises is no remark"),
        pytest.param(FLAT, ["The reward does not rise"], id="flat"),
        pytest.param(
            {"reward__total__mean": (1.0, 0.0)}, ["The reward falls"], id="the reward falls"
        ),
        pytest.param(
            RISING | {"actor__entropy": (1.0, 0.01)},
            ["The policy's entropy collapses"],
            id="entropy falls to less than a quarter",
        ),
        pytest.param(RISING | {"actor__entropy": (1.0, 0.5)}, [], id="entropy halves, as it may"),
        pytest.param(
            RISING | {"actor__entropy": (0.02, 0.001)}, [], id="entropy was next to nothing before"
        ),
        pytest.param(
            RISING | {"actor__entropy": (0.5, 2.0)},
            ["The policy's entropy grows"],
            id="entropy grows fourfold",
        ),
        pytest.param(
            RISING | {"rest__entropy__args": (1.0, 0.01), "rest__token_share__args": 0.3},
            ["The entropy of ARGS collapses"],
            id="one region's entropy",
        ),
        pytest.param(
            RISING | {"rest__entropy__text": (1.0, 0.01), "rest__token_share__text": 0.02},
            [],
            id="of so few tokens that it says nothing",
        ),
        pytest.param(
            RISING | {"reward__format_ok__mean": [0.60, 0.62]},
            ["The format rate is stuck"],
            id="format stuck at 61 %",
        ),
        pytest.param(
            RISING | {"reward__format_ok__mean": (0.8, 0.5)},
            ["Fewer answers have the format asked for"],
            id="format falls",
        ),
        pytest.param(
            RISING | {"reward__format_ok__mean": (0.2, 0.8)}, [], id="format low, but on its way"
        ),
        pytest.param(RISING | {"reward__format_ok__mean": 0.98}, [], id="format steady and good"),
        pytest.param(
            RISING | {"rest__token_share__name": 0.0},
            ["NAME has no tokens"],
            id="a region without tokens",
        ),
        pytest.param(
            RISING | {"rest__token_share__name": [0.0, 0.1]}, [], id="absent on half of the steps"
        ),
        pytest.param(
            RISING | {"rest__zero_weight_share": 0.3}, ["Tokens without weight"], id="zero weights"
        ),
        pytest.param(
            FLAT | {"response_length__mean": (100.0, 300.0)},
            ["The reward does not rise", "Answers grow while the reward does not"],
            id="length grows, reward flat",
        ),
        pytest.param(
            RISING | {"response_length__mean": (100.0, 300.0)}, [], id="length and reward grow"
        ),
        pytest.param(
            RISING | {"reward__num_calls__mean": (1.0, 3.0), "reward__exact_match__mean": 0.2},
            ["Calls per answer grow without more right answers"],
            id="calls grow, exact rate does not",
        ),
        pytest.param(
            RISING
            | {"reward__num_calls__mean": (1.0, 3.0), "reward__exact_match__mean": (0.1, 0.6)},
            [],
            id="calls grow, and so does the exact rate",
        ),
        pytest.param(
            RISING | {"reward__num_calls__mean": (0.3, 0.9), "reward__exact_match__mean": 0.2},
            [],
            id="up to one call an answer it learns to call",
        ),
        pytest.param(
            RISING | {"num_turns__mean": (4.0, 9.0), "reward__exact_match__mean": 0.2},
            ["Messages per conversation grow without more right answers"],
            id="turns grow",
        ),
        pytest.param(
            RISING | {"val-core__x__reward__mean@1": (0.5, 0.3)},
            ["The training reward rises, validation does not"],
            id="validation falls",
        ),
        pytest.param(
            RISING | {"val-core__x__reward__mean@1": [0.5, 0.4]},
            [],
            id="validations that scatter",
        ),
        pytest.param(
            RISING | {"val-core__x__reward__best@2__mean": (0.5, 0.3)},
            [],
            id="the best of several may fall as answers grow alike",
        ),
        pytest.param(
            RISING | {"response_length__clip_ratio": 0.4}, ["Many answers are cut off"], id="cut"
        ),
        pytest.param(
            RISING | {"actor__pg_clipfrac": 0.3},
            ["Clipping stops much of the update"],
            id="clip fraction",
        ),
        pytest.param(
            RISING | {"actor__grad_norm": [1.0] * 39 + [50.0]},
            ["The gradient norm has peaks"],
            id="a peak",
        ),
        pytest.param(
            RISING | {"training__rollout_actor_probs_pearson_corr": [1.0] * 39 + [0.5]},
            ["Sampler and trainer disagree"],
            id="sampler",
        ),
    ],
)
def test_titles(curves: dict, titles: list[str]) -> None:
    assert [remark.title for remark in remarks(records_of(**curves))] == titles


def test_a_remark_gives_numbers_and_steps() -> None:
    (remark,) = remarks(records_of(**RISING, rest__token_share__name=[0.0, 0.0, 0.0, 0.1]))
    assert remark.seen == (
        "None at steps 1–3, 5–7, 9–11, 13–15, 17–19 and 5 more (30 of 40 steps)."
    )
    (remark,) = remarks(records_of(**RISING, actor__entropy=[0.8] * 20 + [0.1] * 20))
    assert remark.seen == "It fell from 0.80 (steps 1–8) to 0.10 (steps 33–40) nats per token."
    assert "temperature" in remark.look_at


def test_few_steps_give_no_remark() -> None:
    records = records_of(**FLAT, actor__entropy=(1.0, 0.01), response_length__mean=(1.0, 9.0))
    assert remarks(records[:9]) == []


def test_change_within_scatter_is_none() -> None:
    scattered = change(records_of(a=[0.0, 1.0, 0.2, 0.7]), ("a",))
    assert scattered is not None
    assert not scattered.rises
    assert not scattered.falls
    steady = change(records_of(a=(0.0, 0.1)), ("a",))
    assert steady is not None
    assert steady.rises


def region_records(**entropies: float) -> list[dict[str, float]]:
    curves = {f"rest__entropy__{region}": value for region, value in entropies.items()}
    shares = {f"rest__token_share__{region}": 1 / len(entropies) for region in entropies}
    weights = {f"rest__weight__{region}": 0.9 for region in entropies}
    return records_of(**curves, **shares, **weights)


def test_weights_at_bounds() -> None:
    # 1 / (1 - exp(-H)): 10.5 at 0.1, 1.58 at 1, 1.16 at 2; over their mean 4.42: 2.4, 0.36, 0.26.
    (remark,) = weights_at_bounds(
        region_records(format=0.1, args=1.0, think=2.0), {"preset": "paper"}
    )
    assert remark.seen.startswith(
        "Before the curriculum, in steps 33–40: FORMAT at w_max; ARGS, THINK at w_min. "
    )
    # 1.58 at 1, 1.16 at 2, over 1.37: 1.15 and 0.84, both within 0.6 to 1.2.
    assert weights_at_bounds(region_records(args=1.0, think=2.0), {"preset": "paper"}) == []
    (remark,) = weights_at_bounds(region_records(format=0.1, args=1.0, think=2.0))
    assert "taking the preset paper's bounds" in remark.seen
    wide = {"preset": "paper", "w_min": 0.01, "w_max": 50.0}
    assert weights_at_bounds(region_records(format=0.1, args=1.0, think=2.0), wide) == []


@pytest.mark.parametrize("preset", ["uniform", "official", "token", "of another version"])
def test_presets_without_weights_from_region_entropy_have_no_bounds(preset: str) -> None:
    records = region_records(format=0.1, args=1.0, think=2.0)
    assert weights_at_bounds(records, {"preset": preset}) == []


def test_plain_grpo_has_no_bounds() -> None:
    records = region_records(format=0.1, args=1.0, think=2.0)
    for record in records:
        record.update({name: 1.0 for name in record if name.startswith("rest/weight/")})
    assert weights_at_bounds(records) == []


NAMES = [
    "reward/total/mean",
    "actor/entropy",
    "actor/grad_norm",
    "response_length/mean",
    "reward/num_calls/mean",
    "rest/entropy/args",
    "rest/token_share/args",
    "rest/weight/args",
    "val-core/x/reward/mean@1",
]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(NAMES),
            st.floats(allow_nan=False, allow_infinity=False)
            | st.sampled_from([0.0, 1e308, -1e308]),
        ),
        max_size=25,
    )
)
def test_remarks_never_raise(values: list[dict[str, float]]) -> None:
    records = [{"step": float(step), **found} for step, found in enumerate(values)]
    assert all(remark.seen and remark.look_at for remark in remarks(records))
