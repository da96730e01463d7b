"""The token view in headless Chromium: it shows training's weights, and model text only as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_samples import SAMPLES, padded, view_of

from rest_verl.algorithm.weighting import token_weights
from rest_verl.viewing.palette import DARK, LIGHT
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.command import VIEWED
from rest_verl.viewing.tokens.page import write_page


class Opened:
    """A page, and what it complained of and asked for."""

    def __init__(self, browser: Any, path: Path, scheme: str = "light") -> None:
        self.page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".t")

    def card(self) -> dict[str, str]:
        """What the card says, by field."""
        return self.page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('#card dd')]"
            ".map((cell) => [cell.dataset.field, cell.textContent]))"
        )

    def names(self) -> list[str]:
        """The responses in the list, by number."""
        return self.page.locator("#samples .line span:first-child").all_text_contents()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    view = view_of()
    tab = Opened(browser, write_page(view, tmp_path / "view.html", title="t", facts=["f"]))
    yield tab
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("file:")] == []
    assert len(tab.requests) == 1
    tab.page.close()


@pytest.mark.parametrize("preset", VIEWED)
def test_the_page_holds_what_token_weights_gives(preset: str, browser: Any, tmp_path: Path) -> None:
    view = view_of(preset)
    tab = Opened(browser, write_page(view, tmp_path / "view.html", title="t", facts=[]))
    stops = tab.page.evaluate("restView.stops")
    assert stops == pytest.approx(view.stops)
    for stop, progress in enumerate(view.stops):
        expected_BT, _ = token_weights(
            padded(view, view.regions, -1),
            padded(view, view.entropy, 0),
            progress=progress,
            step=round(progress * view.total_steps),
            config=view.config,
        )
        shown = tab.page.evaluate(
            "(stop) => { restView.setStop(stop);"
            "return [...Array(restView.numSamples).keys()].map(restView.sample) }",
            stop,
        )
        assert len(shown) == len(SAMPLES)
        for row, sample in enumerate(shown):
            here = slice(*view.offset[row : row + 2])
            assert sample["ids"] == view.token_ids[here].tolist()
            assert sample["regions"] == view.regions[here].tolist()
            assert sample["texts"] == view.token_texts(row)
            weights = np.array(sample["weights"], dtype=np.float32)
            assert (weights == expected_BT[row, : len(weights)].numpy()).all()
            if view.entropy is not None:
                assert sample["entropy"] == view.entropy[here].tolist()
    assert tab.complaints == []
    tab.page.close()


def test_hovering_tells_of_a_token(opened: Opened) -> None:
    view = view_of()
    names = ("format", "name", "args", "think", "text")
    for position in (0, 3, int(np.argmax(view.regions == 1)), int(np.argmax(view.regions == 2))):
        opened.page.locator(".t").nth(position).hover()
        assert opened.card() == {
            "token id": str(view.token_ids[position]),
            "region": names[view.regions[position]],
            "entropy": f"{view.entropy[position]:.4f} nats",
            "weight": f"{view.weights(view.start, 0)[position]:.4f}",
            "advantage": f"{view.advantage[position]:.4f}",
            "token": f"{position + 1} of {view.offset[1]}",
        }
    opened.page.locator("h1").hover()
    assert opened.page.locator("#card").is_hidden()


def test_the_slider_moves_weights_and_shades(opened: Opened) -> None:
    view = view_of()
    slider, token = opened.page.locator("#stop"), opened.page.locator(".t").first
    shade = "(token) => getComputedStyle(token).backgroundColor"
    assert "0.30" in opened.page.locator("#progress").inner_text()
    before = token.evaluate(shade)
    slider.focus()
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    assert "0.45" in opened.page.locator("#progress").inner_text()
    token.hover()
    assert opened.card()["weight"] == f"{view.weights(9, 0)[0]:.4f}"
    box = slider.bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    assert "1.00" in opened.page.locator("#progress").inner_text()
    assert token.evaluate(shade) != before
    row = opened.page.locator("#regions tr").first
    assert row.locator("td").first.inner_text() == f"{view.weights(20, 0)[0]:.3f}"


def test_search_filters_and_order(opened: Opened) -> None:
    page = opened.page
    assert opened.names() == ["1", "2", "3", "4"]
    unclosed, unread = (
        page.locator(f"[data-fault={term}]") for term in ("unclosed", "calls_parse")
    )
    unclosed.click()
    assert opened.names() == ["2"]
    assert page.locator("#name").inner_text() == "a_1_0"  # the first that is left
    unread.click()
    assert opened.names() == []  # none has both
    unclosed.click()
    assert opened.names() == ["3"]
    unread.click()
    page.locator("#lowest").click()
    assert opened.names() == ["2", "4", "3", "1"]  # rewards -3, -1, 1, 4
    page.locator("#lowest").click()
    page.locator("#search").fill("ZÜRICH")
    assert opened.names() == ["1"]
    assert "".join(page.locator(".hit").all_text_contents()) == "Zürich"
    assert page.locator("#found").inner_text() == "1 of 4 responses"
    page.locator("#search").fill("weather?")  # the prompt's
    assert opened.names() == ["1", "2"]
    page.locator("#search").fill("no such text")
    assert opened.names() == []


def test_keys(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("#name").inner_text() == "a_1_0"
    page.keyboard.press("]")
    assert "0.35" in page.locator("#progress").inner_text()
    page.locator("#tokens").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert opened.card()["token"].startswith("2 of")
    page.keyboard.press("Escape")
    assert page.locator("#card").is_hidden()
    page.keyboard.press("/")
    page.keyboard.type("jk")  # into the field
    assert page.locator("#search").input_value() == "jk"


def test_a_region_can_stand_out(opened: Opened) -> None:
    opened.page.locator("#regions .region").nth(2).click()
    kept = "".join(opened.page.locator(".t.kept").all_text_contents())
    assert kept.strip() == '{"city": "Zürich"}}'  # "}}" is one token


def test_hostile_text_is_shown_and_not_run(opened: Opened) -> None:
    page = opened.page
    page.evaluate("restView.show(3)")
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    shown = visible_text(SAMPLES[3].text)
    assert page.locator("#tokens").evaluate("(area) => area.textContent") == shown
    for where in ("#prompt pre", "#truth pre"):
        assert page.locator(where).evaluate("(pre) => pre.textContent") == shown
    assert "⟨U+202E⟩" in shown
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize(("scheme", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_light_and_dark(scheme: str, theme: Any, browser: Any, tmp_path: Path) -> None:
    tab = Opened(browser, write_page(view_of(), tmp_path / "v.html", title="t", facts=[]), scheme)
    color = tab.page.locator("article").evaluate("(card) => getComputedStyle(card).backgroundColor")
    rgb = ", ".join(str(int(theme.background[i : i + 2], 16)) for i in (1, 3, 5))
    assert color == f"rgb({rgb})"
    tab.page.close()
