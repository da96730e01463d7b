"""The notebook docs/tour.ipynb: its cells run, in order, and show what its words say."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
CELLS = json.loads((DOCS / "tour.ipynb").read_text(encoding="utf-8"))["cells"]


def sources(kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def tour() -> dict[str, Any]:
    """The notebook's names after its last cell; `_`: what that cell shows."""
    names: dict[str, Any] = {}
    for source in sources("code"):
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "docs/tour.ipynb", "exec"), names)
        if last is not None:
            names["_"] = eval(compile(ast.Expression(last.value), "docs/tour.ipynb", "eval"), names)
    return names


def test_the_right_answer_is_the_best(tour: dict[str, Any]) -> None:
    scores = [reward.score for reward in tour["rewards"]]
    assert scores[0] == 4.0 == max(scores)
    assert scores.count(4.0) == 1
    assert tour["advantages"][0, 0] > 0
    assert not tour["rewards"][3].correctness > -3.0


def test_the_policy_is_sure_of_the_format_and_weights_follow(tour: dict[str, Any]) -> None:
    entropy = {name: tour["at_start"][f"rest/entropy/{name}"] for name in ("format", "args")}
    assert 2 * entropy["format"] < entropy["args"]
    start, end = (tour[moment] for moment in ("at_start", "at_end"))
    assert start["rest/weight/format"] > start["rest/weight/args"]
    assert end["rest/weight/format"] < start["rest/weight/format"]
    assert end["rest/weight/args"] > start["rest/weight/args"]
    means = tour["weights"].sum(1) / tour["mask"].sum(1)
    assert means.tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert torch.isfinite(tour["norm"])
    assert tour["norm"] > 0


def test_the_heat_map_shows_the_answer(tour: dict[str, Any]) -> None:
    html = tour["_"]._repr_html_()
    shown = re.sub("<[^>]+>", "", html).replace("&lt;", "<").replace("&gt;", ">")
    shown = shown.replace("&quot;", '"').replace("↵", "")
    assert shown.startswith(tour["answers"][0])
    assert html.count('title="NAME, weight ') == (tour["regions"][0] == 1).sum()


def test_it_is_stored_without_outputs_and_its_links_lead_somewhere() -> None:
    assert [cell for cell in CELLS if cell.get("outputs")] == []
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(sources("markdown")))
    assert len(links) > 4
    assert [link for link in links if not (DOCS / link).exists()] == []
