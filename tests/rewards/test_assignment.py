"""The assignment is the best one."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from rest_verl.rewards.assignment import best_total


def test_greedy_would_be_wrong() -> None:
    # Greedy gives row 0 its best column (2.0) and leaves row 1 nothing.
    assert best_total([[2.0, 1.5], [2.0, 0.0]]) == 3.5


def test_one_row_or_column() -> None:
    assert best_total([[0.5, 2.0, 1.0]]) == 2.0
    assert best_total([[0.5], [2.0], [1.0]]) == 2.0


matrices = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 24).map(lambda n: n / 12), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


@given(matrices)
@settings(max_examples=300, deadline=None)
def test_equals_trying_all(points: list[list[float]]) -> None:
    wide = points if len(points) <= len(points[0]) else list(zip(*points, strict=True))
    tried = max(
        sum(row[column] for row, column in zip(wide, columns, strict=True))
        for columns in permutations(range(len(wide[0])), len(wide))
    )
    assert abs(best_total(points) - tried) < 1e-9
