"""Splits depend on keys, seed and fraction, and on nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.data import split_position, validation_keys

KEYS = [f"row_{n}" for n in range(2000)]


def test_position_is_fixed_for_all_time() -> None:
    # First 48 bits of sha256("0\nsimple_python_0"): a changed hash would move users' rows.
    assert split_position("simple_python_0", 0) == pytest.approx(0.4804834694340734, abs=1e-12)


def test_share_is_near_the_fraction() -> None:
    # Binomial with n = 2000, p = 0.1: five standard deviations are 67 rows.
    assert abs(len(validation_keys(KEYS, 0.1, seed=0)) - 200) < 67


def test_seed_changes_the_split() -> None:
    assert validation_keys(KEYS, 0.1, seed=0) != validation_keys(KEYS, 0.1, seed=1)


@given(st.lists(st.text(), min_size=40, max_size=60, unique=True), st.randoms())
def test_a_side_depends_on_the_key_alone(keys: list[str], random) -> None:
    chosen = validation_keys(keys, 0.5, seed=3)
    random.shuffle(keys)
    assert validation_keys(keys + keys[:5], 0.5, seed=3) == chosen
    assert {key for key in keys if split_position(key, 3) < 0.5} == chosen


@given(st.sets(st.text()), st.floats(0, 1, exclude_max=True))
def test_no_side_is_empty(keys: set[str], fraction: float) -> None:
    chosen = validation_keys(keys, fraction, seed=0)
    assert chosen <= keys
    if fraction and len(keys) >= 2:
        assert 0 < len(chosen) < len(keys)
    else:
        assert not chosen


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 20, float("nan")])
def test_fraction_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        validation_keys(KEYS, fraction, seed=0)
