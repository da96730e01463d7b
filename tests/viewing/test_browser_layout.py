"""Both pages on a desk and on a phone, light and dark: nothing scrolls sideways, nothing is cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from toy_tokenizers import byte_level

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.viewing.palette import REGION_NAMES
from rest_verl.viewing.report.write import write_reports
from rest_verl.viewing.tokens.page import write_page
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.view import build_view

LONG = "Weather_1_GetWeatherForecastOfTheNextSevenDays"
CALL = json.dumps({"name": LONG, "parameters": {"city": "x" * 90}})
ANSWER = f"<think> one of three </think>\n<tool_call>\n{CALL}\n</tool_call>"
CUT = """() => {
  const width = document.documentElement.clientWidth;
  const cells = "td, th, dd, dt, h1, h2, h3, h4, p, li, button, summary, .chips span, .legend span";
  return [...document.querySelectorAll(cells)].filter((cell) => {
    const box = cell.getBoundingClientRect();
    if (!box.width || cell.matches(".preview, .keys")) return false;
    const isInline = getComputedStyle(cell).display === "inline";
    const isCut = !isInline && cell.scrollWidth > cell.clientWidth + 1;
    return isCut || box.left < -1 || box.right > width + 1;
  }).map((cell) => cell.textContent.trim());
}"""
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def write_run(folder: Path, height: float) -> Path:
    folder.mkdir()
    lines = [
        {
            "step": step,
            "reward/total/mean": height + step,
            "reward/exact_match/mean": 0.01 * step,
            "response_length/mean": 1000.0 + step,
            **{f"rest/entropy/{region}": height + 1 / step for region in REGION_NAMES},
        }
        for step in range(1, 31)
    ]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    sample = {"id": LONG, "prompt": CALL, "before": ANSWER, "after": ANSWER, "after_why": [CALL]}
    (folder / "samples.json").write_text(json.dumps([sample]))
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A report of one run, one of two groups, and a token view."""
    folder = tmp_path_factory.mktemp("pages")
    a, b, c = (write_run(folder / name, height) for name, height in (("a", 0), ("b", 1), ("c", 2)))
    groups = [f"grpo={a}", f"grpo={b}", f"{LONG}={c}", f"{LONG}={a}"]
    truth = {"format": "toolrl", "expect": "calls", "calls": [{"name": LONG, "parameters": {}}]}
    rollouts = [
        Rollout(
            name=LONG, text=ANSWER[:length], prompt=CALL, score=1.0, ground_truth=json.dumps(truth)
        )
        for length in (len(ANSWER), 40)
    ]
    view = build_view(rollouts, byte_level(), ReSTConfig.preset("official"), entropy_of=None)
    return [
        write_reports([a], folder / "one.html"),
        write_reports(groups, folder / "groups.html"),
        write_page(view, folder / "view.html", title=f"run/rollouts/{LONG}.jsonl", facts=[LONG]),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_nothing_is_cut(
    browser: Any, pages: list[Path], width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, offline=True
    )
    for path in pages:
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("#tokens .t" if path.name == "view.html" else ".plot svg")
        assert not page.evaluate(SIDEWAYS), path.name
        assert page.evaluate(CUT) == [], path.name
        if path.name != "view.html":  # the first chart is seen without scrolling
            box = page.locator(".plot svg").first.bounding_box()
            assert box["y"] + box["height"] < height, path.name
        page.close()
    context.close()
