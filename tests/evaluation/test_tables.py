"""Whole expected tables."""

import pytest

from rest_verl.evaluation.api_bank.scoring import LevelCounts
from rest_verl.evaluation.api_bank.summary import api_bank_table
from rest_verl.evaluation.table import (
    Accuracy,
    accuracy_table,
    code,
    percent,
)


def test_categories_and_groups() -> None:
    lines = [
        Accuracy.of_rows("simple_python", 5, 10),
        Accuracy.of_rows("live_simple", 0, 0),
        Accuracy.of_rows("multiple", 10.5, 20),
        Accuracy.of_categories("non-live", [(5, 10, 0.5), (10, 10, 0.5)]),
    ]
    # 5 of 10: 23.66 to 76.34; 10 of 10: 72.25 to 100. The mean of both: 75 %, below it
    # hypot(26.34, 27.75) / 2 = 19.13, above it hypot(26.34, 0) / 2 = 13.17.
    assert accuracy_table(lines) == (
        "| category | correct | rows | accuracy | 95 % interval |\n"
        "| :-- | --: | --: | --: | --: |\n"
        "| `simple_python` | 5 | 10 | 50.00 % | 23.66–76.34 % |\n"
        "| `live_simple` | 0 | 0 | – | – |\n"
        "| `multiple` | 10.5 | 20 | 52.50 % | 32.05–72.15 % |\n"
        "| **`non-live`** | **15** | **20** | **75.00 %** | **55.87–88.17 %** |\n"
    )


def test_group_without_rows_in_a_category_has_no_accuracy() -> None:
    group = Accuracy.of_categories("live", [(5, 10, 0.5), (0, 0, 0.5)])
    assert group.as_dict() == {"correct": 5, "total": 10, "accuracy": None, "interval": None}
    group = Accuracy.of_categories("live", [])
    assert group.as_dict() == {"correct": 0, "total": 0, "accuracy": None, "interval": None}


def test_as_dict() -> None:
    record = Accuracy.of_rows("all", 10, 10).as_dict()
    assert record.pop("interval") == pytest.approx([0.7224672, 1.0])
    assert record == {"correct": 10, "total": 10, "accuracy": 1.0}


def test_api_bank() -> None:
    counts = {
        "level_1": LevelCounts(total=10, correct=5, published_correct=6),
        "overall": LevelCounts(total=10, correct=5, published_correct=6),
    }
    assert api_bank_table(counts) == (
        "| level | correct | rows | accuracy | 95 % interval | as published |\n"
        "| :-- | --: | --: | --: | --: | --: |\n"
        "| `level_1` | 5 | 10 | 50.00 % | 23.66–76.34 % | 60.00 % |\n"
        "| **`overall`** | **5** | **10** | **50.00 %** | **23.66–76.34 %** | **60.00 %** |\n"
    )
    empty = {"overall": LevelCounts(total=0, correct=0, published_correct=0)}
    assert api_bank_table(empty).endswith(
        "| **`overall`** | **0** | **0** | **–** | **–** | **–** |\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("live_simple_0-0-0", "`live_simple_0-0-0`"),
        ("a|b", "`a?b`"),
        ("`<script>`", "`?<script>?`"),
        ("two\nlines\u2028three", "`two?lines?three`"),
    ],
)
def test_code_stays_in_its_cell(text: str, shown: str) -> None:
    assert code(text) == shown


def test_percent() -> None:
    assert [percent(share) for share in (0.0, 1.0, 0.70691, None)] == [
        "0.00 %",
        "100.00 %",
        "70.69 %",
        "–",
    ]
