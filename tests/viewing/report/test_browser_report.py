"""The report in headless Chromium: nothing is fetched, nothing fails, the charts answer."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rest_verl.viewing.report.write import write_reports

HOSTILE = "</pre><script>document.title='run'</script><img src=x onerror=alert(1)>\x1b[31m"
STEPS = 30


def write_run(folder: Path, height: float) -> Path:
    folder.mkdir()
    with (folder / "metrics.jsonl").open("w") as metrics:
        for step in range(1, STEPS + 1):
            record = {
                "step": step,
                "reward/total/mean": height + 0.01 * step,
                "reward/format/mean": 0.5 + 0.4 * math.sin(step),
                "rest/entropy/name": 1 / step,
                "rest/entropy/args": 2 / step,
                "rest/weight/name": 1.5,
            }
            metrics.write(json.dumps(record) + "\n")
        metrics.write('{"step": 31, "rew')
    sample = {"id": HOSTILE, "prompt": HOSTILE, "before": HOSTILE, "after": HOSTILE}
    (folder / "samples.json").write_text(json.dumps([sample]))
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run, and three of which two are seeds of one setting."""
    folder = tmp_path_factory.mktemp("runs")
    a, b, c = (write_run(folder / name, height) for name, height in (("a", 0), ("b", 1), ("c", 2)))
    return {
        "one": write_reports([a], folder / "one.html"),
        "three": write_reports([f"seeds={a}", f"seeds={b}", f"other={c}"], folder / "three.html"),
    }


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Opens a page; at the end nothing may have been fetched or have failed."""
    made = []

    def open_page(name: str, scheme: str = "light") -> Any:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": 1200, "height": 800}, offline=True
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        troubles: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(pages[name].as_uri())
        page.wait_for_selector(".plot svg")
        made.append((context, troubles, requests, pages[name].as_uri()))
        return page

    yield open_page
    for context, troubles, requests, address in made:
        context.close()
        assert troubles == []
        assert requests == [address]


def chart(page: Any, title: str) -> Any:
    return page.locator("figure", has=page.get_by_role("heading", name=title, exact=True))


def smoothed(values: list[float], weight: float = 0.6) -> float:
    """The last point of the curve that is drawn: an exponential mean, fair at its start."""
    weights = [weight**age for age in reversed(range(len(values)))]
    return sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)


def values(figure: Any) -> list[str]:
    return figure.locator(".legend b").all_inner_texts()


def point_at(page: Any, figure: Any, step: int) -> None:
    """Moves the pointer to a step; 46 and 10 pixels are the plot's margins."""
    figure.scroll_into_view_if_needed()
    box = figure.locator(".plot").bounding_box()
    x = 46 + (step - 1) / (STEPS - 1) * (box["width"] - 56)
    page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
    wait_for_step(page, f"step {step}")


def test_pointing_reads_all_charts_at_one_step(opened: Any) -> None:
    page = opened("one")
    reward, entropy = chart(page, "Reward and its components"), chart(page, "Region entropy")
    names = [1 / step for step in range(1, STEPS + 1)]
    assert values(entropy) == [f"{n * smoothed(names):.2f}" for n in (1, 2)]  # the curves' ends
    point_at(page, reward, 10)
    assert values(entropy) == [f"{n * smoothed(names[:10]):.2f}" for n in (1, 2)]
    page.locator("#smoothing").fill("0")
    point_at(page, reward, 10)
    assert values(reward)[0] == "0.10"
    assert values(entropy) == ["0.10", "0.20"]
    assert reward.locator(".cross").count() == entropy.locator(".cross").count() == 1
    page.mouse.move(0, 0)
    wait_for_step(page, "last step, 30")
    assert entropy.locator(".cross").count() == 0


def wait_for_step(page: Any, text: str) -> None:
    """Waits by selector: the page forbids the evaluation that waiting for a function may take."""
    page.locator("#step").filter(has_text=re.compile(f"^{re.escape(text)}$")).wait_for()


def test_arrow_keys_read_a_chart(opened: Any) -> None:
    page = opened("one")
    entropy = chart(page, "Region entropy")
    page.locator("#smoothing").fill("0")
    entropy.locator(".plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    wait_for_step(page, "step 2")
    assert values(entropy) == ["0.50", "1.00"]
    page.keyboard.press("Escape")
    wait_for_step(page, "last step, 30")


def test_a_curve_can_be_hidden(opened: Any) -> None:
    page = opened("one")
    entropy = chart(page, "Region entropy")
    curves = entropy.locator(".plot path.curve")
    assert curves.count() == 2
    entropy.get_by_role("button", name="ARGS").click()
    assert curves.count() == 1
    assert entropy.get_by_role("button", name="ARGS").get_attribute("aria-pressed") == "false"
    entropy.get_by_role("button", name="ARGS").click()
    assert curves.count() == 2


def test_smoothing_draws_over_the_raw_curve(opened: Any) -> None:
    page = opened("one")
    reward = chart(page, "Reward and its components")
    path = "path => path.getAttribute('d')"
    smooth = reward.locator(".plot path.curve").first.evaluate(path)
    assert reward.locator(".plot path.raw").count() == 2
    page.locator("#smoothing").fill("0")
    assert reward.locator(".plot path.raw").count() == 0
    assert reward.locator(".plot path.curve").first.evaluate(path) != smooth


def test_runs_over_each_other(opened: Any) -> None:
    page = opened("three")
    total = chart(page, "Reward and its components: total")
    assert total.locator(".plot path.curve").count() == 2
    assert total.locator(".plot path.band").count() == 1
    # The seeds' last rewards are 0.3 and 1.3, the other run's is 2.3.
    assert [float(value) for value in values(total)] == pytest.approx([0.8, 2.3], abs=0.011)
    page.locator("button[data-group='0']").click()
    assert total.locator(".plot path.curve").count() == 1
    assert total.locator(".plot path.band").count() == 0
    assert total.locator(".legend li:visible").count() == 1


def test_light_and_dark(opened: Any) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    light, dark = opened("one"), opened("one", "dark")
    shades = light.evaluate(color), dark.evaluate(color)
    assert shades == ("rgb(244, 246, 249)", "rgb(13, 17, 23)")
    dark.get_by_role("button", name="light / dark").click()
    assert dark.evaluate(color) == shades[0]


def test_model_text_stays_text(opened: Any) -> None:
    page = opened("one")
    shown = HOSTILE.replace("\x1b", "␛")
    assert page.locator(".sample pre").first.inner_text() == shown
    assert page.title() == "a · training report"
    assert page.locator("img").count() == 0
    assert "The last line is cut off and was skipped." in page.locator(".notes").inner_text()


def test_a_small_screen_needs_no_sideways_scrolling(opened: Any) -> None:
    page = opened("three")
    page.set_viewport_size({"width": 380, "height": 700})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
