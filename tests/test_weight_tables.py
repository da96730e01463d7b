"""The tables of weights in docs/method.md are those that the benchmark makes of today's code."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def benchmark() -> dict:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return runpy.run_path(str(ROOT / "benchmarks" / "weights.py"))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_the_page_holds_what_the_command_prints(benchmark) -> None:
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    _, text = benchmark["measure"]()
    assert benchmark["into_page"](text, page, "weights.py") == page


def test_calibrated_saturates_less_and_is_steadier(benchmark) -> None:
    replayed, _ = benchmark["measure"]()
    paper, calibrated = replayed["paper"], replayed["calibrated"]
    assert calibrated["share_at_a_bound"] < paper["share_at_a_bound"] - 0.1
    assert calibrated["mean_change"]["think"] < 0.1 * paper["mean_change"]["think"]
    assert calibrated["name_is_lowest"] < 10 < 30 < paper["name_is_lowest"]
