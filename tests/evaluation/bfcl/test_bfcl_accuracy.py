"""BFCL's accuracies, worked out by hand."""

import pytest

from rest_verl.data.bfcl import CATEGORIES, MULTI_TURN_CATEGORIES
from rest_verl.evaluation.bfcl.accuracy import accuracies

EVERY = {version: (*CATEGORIES[version], *MULTI_TURN_CATEGORIES) for version in CATEGORIES}


def records(counts: dict[str, tuple[int, int]]) -> list[dict]:
    return [
        {"id": f"{category}_{number}", "category": category, "valid": number < correct}
        for category, (correct, total) in counts.items()
        for number in range(total)
    ]


def all_of(version: str, **counts: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """(right, rows) of every category; (0, 2) where nothing else is said."""
    return {category: counts.get(category, (0, 2)) for category in EVERY[version]}


V4 = all_of(
    "v4",
    simple_python=(3, 4),
    simple_java=(1, 2),
    simple_javascript=(1, 1),
    multiple=(1, 2),
    parallel=(1, 4),
    irrelevance=(1, 2),
    live_simple=(3, 4),
    live_multiple=(1, 8),
    live_irrelevance=(3, 4),
    multi_turn_base=(1, 2),
    multi_turn_long_context=(2, 2),
)


def test_version_4() -> None:
    found = accuracies(records(V4), "v4", {name: total for name, (_, total) in V4.items()})
    assert list(found.categories) == list(EVERY["v4"])
    assert found.categories["simple_python"] == (3, 4)
    assert found.categories["simple_python"].accuracy == 0.75
    # simple: (0.75 + 0.5 + 1) / 3 = 0.75; live: 4 of 4 + 8 + 2 + 2 rows
    expected = {
        "non_live": (0.75 + 0.5 + 0.25 + 0) / 4,
        "live": 4 / 16,
        "irrelevance": (0.5 + 0.75) / 2,
        "multi_turn": (0.5 + 0 + 0 + 1) / 4,
        "overall": (0.375 + 0.25 + 0.375) / 3,
    }
    assert {n: g.accuracy for n, g in found.groups.items()} == pytest.approx(expected)
    assert all(group.is_complete for group in found.groups.values())
    assert list(found.groups)[-1] == "overall"


def test_version_3_counts_irrelevance_in() -> None:
    counts = all_of(
        "v3",
        simple=(1, 1),
        java=(1, 2),
        irrelevance=(1, 1),
        live_simple=(1, 2),
        live_irrelevance=(3, 4),
        live_relevance=(0, 6),
    )
    found = accuracies(records(counts), "v3", {n: total for n, (_, total) in counts.items()})
    # live: 4 of 2 + 2 + 2 + 2 + 4 + 6 rows
    expected = {"non_live": ((1 + 0.5 + 0) / 3 + 1) / 5, "live": 4 / 18, "multi_turn": 0.0}
    for name, accuracy in expected.items():
        assert found.groups[name].accuracy == pytest.approx(accuracy)
    assert found.groups["overall"].accuracy == pytest.approx(sum(expected.values()) / 3)


def test_weights_are_those_of_the_mean() -> None:
    found = accuracies(records(V4), "v4", {})
    for group in found.groups.values():
        assert sum(group.weights.values()) == pytest.approx(1)
        mean = sum(w * found.categories[n].accuracy for n, w in group.weights.items())
        assert mean == pytest.approx(group.accuracy)
    assert found.groups["non_live"].weights["simple_java"] == pytest.approx(1 / 12)
    assert found.groups["live"].weights["live_multiple"] == pytest.approx(8 / 16)
    assert found.groups["overall"].weights["simple_java"] == pytest.approx(1 / 36)


def test_what_was_not_run_is_left_out_and_named() -> None:
    counts = {"simple_python": (1, 2), "multiple": (1, 1), "multi_turn_base": (1, 1)}
    found = accuracies(records(counts), "v4", {"simple_python": 2, "multiple": 3})
    non_live = found.groups["non_live"]
    assert non_live.accuracy == pytest.approx((0.5 + 1) / 2)
    assert not non_live.is_complete
    # multiple was run in part
    assert non_live.missing == (
        "simple_java",
        "simple_javascript",
        "multiple",
        "parallel",
        "parallel_multiple",
    )
    assert found.groups["live"].accuracy is None
    assert found.groups["live"].weights == {}
    assert found.groups["overall"].accuracy == pytest.approx((0.75 + 1) / 2)
    assert "live_simple" in found.groups["overall"].missing
    assert "multi_turn_base" in found.groups["overall"].missing  # its size is not known


def test_samples_of_a_row_count_as_one_row() -> None:
    samples = [("a", True), ("a", False), ("b", True), ("b", True)]
    given = [{"id": i, "category": "multiple", "valid": valid} for i, valid in samples]
    found = accuracies(given, "v4", {"multiple": 2})
    assert found.categories == {"multiple": (1.5, 2)}
    assert "multiple" not in found.groups["non_live"].missing


def test_nothing_was_run() -> None:
    found = accuracies([], "v4", {})
    assert found.categories == {}
    assert {group.accuracy for group in found.groups.values()} == {None}


def test_a_category_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="BFCL v4 has no category 'simple'"):
        accuracies(records({"simple": (1, 1)}), "v4", {})
