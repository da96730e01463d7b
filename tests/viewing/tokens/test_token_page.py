"""The page as a file: complete, exact, and deaf to what model text asks of it."""

import base64
import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from token_samples import HOSTILE, SAMPLES, page_payload, unpacked, view_of

from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.command import VIEWED
from rest_verl.viewing.tokens.page import render_page, write_page


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(view_of(), title=HOSTILE, facts=[HOSTILE])


@pytest.mark.parametrize("preset", VIEWED)
def test_columns_come_back_from_the_page(preset: str) -> None:
    view = view_of(preset)
    data = page_payload(render_page(view, title="t", facts=[]))
    offset = unpacked(data["offset"], "<u4")
    ids = unpacked(data["vocabulary"]["ids"], "<i4")[unpacked(data["tokens"], "<u2")]
    regions = unpacked(data["region"], "<i1")
    assert offset.tolist() == view.offset.tolist()
    assert ids.tolist() == view.token_ids.tolist()
    assert regions.tolist() == view.regions.tolist()
    if view.entropy is None:
        assert data["entropy"] is None
    else:
        assert (unpacked(data["entropy"], "<f4") == view.entropy).all()
    table = unpacked(data["regionWeights"], "<f4").reshape(len(data["stops"]), len(SAMPLES), 5)
    for stop in range(len(data["stops"])):
        for row in range(len(SAMPLES)):
            here = slice(*offset[row : row + 2])
            if data["tokenWeights"] is None:
                weights = table[stop, row][regions[here]]
            else:
                weights = unpacked(data["tokenWeights"], "<f4")[here]
            assert (weights == view.weights(stop, row)).all()


def test_texts_come_back_from_the_page(page: str) -> None:
    data = page_payload(page)
    offset, tokens = unpacked(data["offset"], "<u4"), unpacked(data["tokens"], "<u2")
    for row, sample in enumerate(SAMPLES):
        shared = data["samples"][row]["shared"]
        texts = [
            shared.get(str(position), data["vocabulary"]["texts"][token])
            for position, token in enumerate(tokens[slice(*offset[row : row + 2])])
        ]
        assert "".join(texts) == visible_text(sample.text or "")


def test_samples_keep_what_is_known(page: str) -> None:
    data = page_payload(page)
    first, *_, last = data["samples"]
    assert (first["name"], first["score"], first["step"]) == ("a_0_0", 4.0, 7)
    assert data["documents"][first["prompt"]] == "Weather?"
    assert data["documents"][last["truth"]] == visible_text(HOSTILE)
    assert data["samples"][1]["prompt"] == first["prompt"]  # shared, not repeated
    assert [sample["faults"] for sample in data["samples"]] == [
        [],
        ["tags_valid", "unclosed"],
        ["calls_parse"],
        [],
    ]
    assert "<span>tags valid 3 of 4</span><span>calls parse 3 of 4</span>" in page


def test_hostile_text_stays_text(page: str) -> None:
    assert "<script>window" not in page
    assert "<img" not in page
    assert page.count("<script") == 2  # data and script
    assert page.count("</script>") == 2
    assert "<!--" not in page
    for character in "\x1b\x00\x07\u202e\u200b":
        assert character not in page


def test_the_policy_names_style_and_script_and_nothing_else(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    hashes = []
    for tag in ("script", "style"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        hashes.append(f"{tag}-src 'sha256-{digest}'")
    expected = ["default-src 'none'", *hashes, "base-uri 'none'", "form-action 'none'"]
    assert policy[1] == "; ".join(expected)


def test_nothing_points_outside() -> None:
    page = render_page(view_of(), title="t", facts=[])
    assert re.findall(r"(?:https?:)?//[a-z]", page.replace("http://www.w3.org/2000/svg", "")) == []
    assert not re.search(r"\b(?:src|href)=(?!')", page.split('<script id="data"')[0])


def test_notes_say_what_the_numbers_are() -> None:
    page = render_page(view_of(), title="t", facts=[])
    assert "the ids were made by tokenising it" in page
    assert "not of the policy" in page
    assert "means over these 4 responses" in page
    assert "group-relative" in page
    assert "means over" not in render_page(view_of("uniform"), title="t", facts=[])


def test_an_older_page_is_replaced_and_nothing_left_beside_it(tmp_path: Path) -> None:
    output = tmp_path / "new" / "view.html"
    for title in ("first", "second"):
        assert write_page(view_of(), output, title=title, facts=[]) == output
    assert "<title>second" in output.read_text()
    assert [file.name for file in output.parent.iterdir()] == ["view.html"]


def test_many_long_responses_stay_small() -> None:
    view = view_of()
    num_rows, num_tokens = 200, 2000
    rng = np.random.default_rng(0)
    big = dataclasses.replace(
        view,
        rollouts=SAMPLES[:1] * num_rows,
        prompts=tuple("prompt " * 300 + str(row) for row in range(num_rows)),
        offset=np.arange(num_rows + 1) * num_tokens,
        token_ids=rng.integers(0, 400, num_rows * num_tokens),
        regions=rng.integers(0, 5, num_rows * num_tokens).astype(np.int8),
        entropy=rng.random(num_rows * num_tokens, dtype=np.float32),
        advantage=rng.random(num_rows * num_tokens, dtype=np.float32),
        region_weights=rng.random((21, num_rows, 5), dtype=np.float32),
        terms=view.terms[:1] * num_rows,
        reasons=((),) * num_rows,
    )
    assert len(render_page(big, title="t", facts=[]).encode()) < 15e6
