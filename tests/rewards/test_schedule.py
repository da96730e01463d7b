"""The reward's scale: presets, schedule, refused settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.rewards import RewardConfig


@pytest.mark.parametrize("step", [None, 0, 75, 10_000])
def test_toolrl_is_fixed(step: int | None) -> None:
    assert RewardConfig.preset("toolrl").scale(step) == (1.0, 0.0, 3.0, -3.0)


@pytest.mark.parametrize(
    ("step", "scale"),
    [
        # format max, min, correctness max, min
        (None, (1.0, 0.0, 3.0, -3.0)),  # validation
        (0, (2.0, -2.0, 2.0, -2.0)),
        (30, (1.8, -1.6, 2.2, -2.2)),
        (75, (1.5, -1.0, 2.5, -2.5)),
        (150, (1.0, -1.0, 3.0, -3.0)),
        (300, (1.0, -1.0, 3.0, -3.0)),
    ],
)
def test_schedule(step: int | None, scale: tuple[float, ...]) -> None:
    assert RewardConfig.preset("toolrl_scheduled").scale(step) == pytest.approx(scale)


def test_horizon() -> None:
    config = RewardConfig(schedule="dynamic", horizon=10)
    assert config.scale(5) == (1.5, -1.0, 2.5, -2.5)


@given(st.integers(0, 400), st.integers(0, 400))
def test_schedule_is_monotone(one: int, other: int) -> None:
    config = RewardConfig.preset("toolrl_scheduled")
    early, late = config.scale(min(one, other)), config.scale(max(one, other))
    assert 2 >= early.format_max >= late.format_max >= 1
    assert -2 <= early.format_min <= late.format_min <= -1
    assert 2 <= early.correctness_max <= late.correctness_max <= 3
    assert -2 >= early.correctness_min >= late.correctness_min >= -3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format_max": 0.0}, "format_min < format_max"),
        ({"correctness_min": 1.0}, "correctness_min <= 0 <= correctness_max"),
        ({"correctness_min": 0.0, "correctness_max": 0.0}, "not both 0"),
        ({"format_max": float("nan")}, "finite"),
        ({"correctness_max": float("inf")}, "finite"),
        ({"format_max": "high"}, "format_max must be a finite number, got 'high'"),
        ({"correctness_min": None}, "correctness_min must be a finite number, got None"),
        ({"correctness_max": True}, "correctness_max must be a finite number, got True"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"schedule": "dynamic", "correctness_max": 1.0}, "leave them at the defaults"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 1.5}, "horizon"),
    ],
)
def test_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardConfig(**settings)


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"'toolr'; did you mean toolrl\? known: toolrl, toolrl_scheduled"
    ):
        RewardConfig.preset("toolr")


@pytest.mark.parametrize("preset", [None, ["toolrl"], 3])
def test_a_preset_that_is_no_name(preset: object) -> None:
    with pytest.raises(ValueError, match="unknown reward preset"):
        RewardConfig.from_options({"preset": preset})


def test_a_name_stands_for_its_preset() -> None:
    scheduled = RewardConfig.preset("toolrl_scheduled")
    assert RewardConfig.of("toolrl_scheduled") == RewardConfig.of(scheduled) == scheduled
    with pytest.raises(ValueError, match=r'as in config="toolrl", or a RewardConfig.*got None'):
        RewardConfig.of(None)  # type: ignore[arg-type]


def test_from_options() -> None:
    assert RewardConfig.from_options({}) == RewardConfig.preset("toolrl")
    options = {"preset": "toolrl_scheduled", "horizon": 20}
    assert RewardConfig.from_options(options) == RewardConfig(schedule="dynamic", horizon=20)
    with pytest.raises(
        ValueError, match=r"options horizen; did you mean horizon\? known: preset, form"
    ):
        RewardConfig.from_options({"horizen": 20})


def test_negative_step() -> None:
    with pytest.raises(ValueError, match="negative"):
        RewardConfig.preset("toolrl").scale(-1)
