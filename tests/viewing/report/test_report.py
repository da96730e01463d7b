"""The report of a run: a self-contained page, damaged files remarked, model text shown as text."""

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rest_verl.viewing.palette import DARK, LIGHT, REGION_NAMES
from rest_verl.viewing.report.charts import charts, theme_color
from rest_verl.viewing.report.groups import Group
from rest_verl.viewing.report.panels import PANELS
from rest_verl.viewing.report.sources import Run
from rest_verl.viewing.report.write import write_report

REGION_GROUPS = ("entropy", "weight", "token_share", "weight_share")
HOSTILE = (
    '</pre><script>alert("x")</script><img src=http://example.org/x>\x1b[31mred\x00\u202e&lt;\ud800'
)
HOSTILE_SHOWN = (
    '</pre><script>alert("x")</script><img src=http://example.org/x>␛[31mred␀⟨U+202E⟩&lt;⟨U+D800⟩'
)


def step_of_a_run(step: int) -> dict[str, float]:
    record = {
        "step": step,
        "reward/total/mean": 0.1 * step,
        "reward/format/mean": 0.5,
        "reward/correctness/mean": 0.1 * step - 0.5,
        "actor/pg_clipfrac": 0.01,
        "actor/grad_norm": 0.8,
        "response_length/mean": 60.0,
        "training/rollout_actor_probs_pearson_corr": 0.9999,
        "timing_s/step": 15.0,
        "timing_s/gen": 6.0,
    }
    for place, region in enumerate(REGION_NAMES):
        for group in REGION_GROUPS:
            record[f"rest/{group}/{region}"] = 0.2 + 0.1 * place + 0.001 * step
    return record


def write_run(folder: Path, full: bool = False, **files: Any) -> Path:
    """A run of 8 steps; `full`: with all metrics, else with one panel's, to be quick."""
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open("w") as metrics:
        for step in range(1, 9):
            record = step_of_a_run(step)
            if not full:
                record = {name: record[name] for name in ("step", "reward/total/mean")}
            metrics.write(json.dumps(record) + "\n")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


class Page(HTMLParser):
    """What a browser would find in a page: elements with attributes, text by element."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("br", "img", "input", "link", "meta", "source"):
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def table(self) -> list[list[str]]:
        cells = self.texts["th"][4:], self.texts["td"]  # four column heads stand first
        return [[head, *cells[1][3 * i : 3 * i + 3]] for i, head in enumerate(cells[0])]


def notes(page: Page) -> list[str]:
    """Remarks on the files."""
    return page.texts.get("li", [])


def test_missing_metrics_name_the_path_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no metrics at .*metrics\.jsonl.*trainer\.logger"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("\n{")
    with pytest.raises(ValueError, match=r"metrics\.jsonl holds no step yet: wait"):
        write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_page_is_self_contained(tmp_path: Path) -> None:
    page = Page(write_report(write_run(tmp_path / "run", full=True)))
    assert not page.tags() & {"img", "iframe", "object", "source", "base", "form"}
    links = [attrs["href"] for tag, attrs in page.elements if tag == "link"]
    assert links == ["data:,"]  # no favicon is asked for
    assert not [attrs for _, attrs in page.elements if "src" in attrs or "style" in attrs]
    (policy,) = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]

    def hashed(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    (style,), (data, script) = page.texts["style"], page.texts["script"]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src '{hashed(style)}'; "
        f"script-src '{hashed(script)}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style
    titles = [chart["title"] for chart in json.loads(data)["charts"]]
    assert titles == page.texts["h4"]
    assert titles[:2] == ["Reward", "Reward and its components"]
    assert (tmp_path / "run/report.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "run/report.md").read_text().startswith("# Training report: run\n")


def test_table_before_and_after(tmp_path: Path) -> None:
    summary = {
        "reward_first5": -1.104,  # of a recipe that may average the same steps twice
        "reward_last5": 1.5,
        "format_rate_before": 0.42,
        "format_rate_after": 0.97,
        "name_accuracy_before": 0.5,
        "name_accuracy_after": 0.25,
        "exact_match_before": 0.0,
        "exact_match_after": None,
        "steps": 8,
        "seconds": 3720,
        "preset": "paper",
        "seed": 3,
    }
    page = Page(write_report(write_run(tmp_path / "run", summary=summary)))
    assert page.table() == [
        ["Mean training reward", "0.25 (steps 1–4)", "0.65 (steps 5–8)", "+0.40"],
        ["Format as asked, held-out tasks", "42.0%", "97.0%", "+55.0 points"],
        ["Right tool names, held-out tasks", "50.0%", "25.0%", "-25.0 points"],
        ["Exact calls, held-out tasks", "0.0%", "–", "–"],
    ]
    rows_of_class = [a["class"] for t, a in page.elements if t == "td" and "class" in a]
    assert rows_of_class == ["up", "up", "down"]
    facts = dict(zip(page.texts["dt"], page.texts["dd"], strict=True))
    assert facts == {"preset": "paper", "seed": "3", "steps": "8", "time": "1 h 02 min"}


def test_model_text_is_shown_as_text(tmp_path: Path) -> None:
    sample = {
        "id": HOSTILE,
        "prompt": HOSTILE,
        "ground_truth": HOSTILE,
        "before": HOSTILE,
        "after": HOSTILE,
        "before_score": -3,
        "after_score": 3.5,
        "rank": HOSTILE,
        "before_mean": -2.5,
        "after_mean": 3,
        "after_answers": 4,
        "after_why": [HOSTILE],
    }
    run = write_run(tmp_path / "<b>run$x$", summary={"preset": HOSTILE}, samples=[sample])
    page = Page(write_report(run))
    assert page.texts["pre"] == [HOSTILE_SHOWN] * 4
    assert page.texts["li"][-1] == HOSTILE_SHOWN
    assert page.texts["h3"] == [HOSTILE_SHOWN]
    ranked = f"{HOSTILE_SHOWN} by change of mean score: -2.50 → 3.00 (+5.50)"
    assert ranked in page.texts["small"]
    assert page.texts["h1"] == ["<b>run$x$"]
    assert page.texts["dd"] == [HOSTILE_SHOWN, "8"]
    assert page.texts["h4"][-2:] == [
        "before · score -3.00",
        "after · score 3.50 · the middle one of 4 answers",
    ]
    assert page.texts["title"] == ["<b>run$x$ · training report"]
    assert [tag for tag, _ in page.elements].count("script") == 2  # the data and ours
    assert not page.tags() & {"img", "b"}


def test_three_samples_are_shown(tmp_path: Path) -> None:
    samples: list[Any] = [{"id": f"row_{i}", "before": "a", "after": "b"} for i in range(5)]
    samples.insert(1, "not a sample")
    samples[0]["prompt"] = [{"role": "user", "content": "hi"}]
    page = Page(write_report(write_run(tmp_path / "run", samples=samples)))
    assert page.texts["h3"] == ["row_0", "row_1", "row_2"]
    assert json.loads(page.texts["pre"][2]) == [{"role": "user", "content": "hi"}]


def test_damaged_files_give_remarks(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", samples={"id": 1})
    (run / "summary.json").write_text('{"steps": 8')
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 9, "reward/total/mean": NaN, "actor/grad_norm": 1.0}\n{"ste')
    page = Page(write_report(run))
    assert notes(page) == [
        "The last line is cut off and was skipped.",
        "Left out, not finite numbers: reward/total/mean (1×).",
        "summary.json is not valid JSON and was left out.",
        "samples.json is not a list and was left out.",
        "Without a value: reward/total/mean at step 9, actor/grad_norm at steps 1–8.",
        "Not found under a name known here: response length (response_length/mean). Another "
        "version of verl? The file has 2 metrics: actor/grad_norm, reward/total/mean.",
        "No rest/… metrics: no rest_* trainer wrote this, so no regions are shown.",
    ]


def test_steps_without_a_known_metric_still_give_a_page(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "something/else": 1}\n')
    page = Page(write_report(tmp_path))
    assert "figure" not in page.tags()
    assert "script" not in page.tags()
    assert notes(page) == [
        "Not found under a name known here: reward (reward/total/mean), response length "
        "(response_length/mean), gradient norm (actor/grad_norm). Another version of verl? The "
        "file has 1 metrics: something/else.",
        "No rest/… metrics: no rest_* trainer wrote this, so no regions are shown.",
    ]
    assert not (tmp_path / "report.png").exists()
    assert "![" not in (tmp_path / "report.md").read_text()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_absurd_values_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "actor/grad_norm": -1e308, "reward/total/mean": 1e308}\n'
        '{"step": 1e15, "actor/grad_norm": 1e308, "reward/total/mean": 5e-324}\n'
        '{"step": 1e300, "actor/grad_norm": 1}\n'
    )
    page = Page(write_report(tmp_path))
    assert notes(page) == [
        "Skipped without a readable step: line 3.",
        "No values for steps 2–999999999999999.",
        "Not found under a name known here: response length (response_length/mean). Another "
        "version of verl? The file has 2 metrics: actor/grad_norm, reward/total/mean.",
        "No rest/… metrics: no rest_* trainer wrote this, so no regions are shown.",
    ]


def test_output_replaces_an_older_report(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    output = tmp_path / "elsewhere" / "page.html"
    assert write_report(run, output) == output
    first = output.read_bytes()
    assert write_report(run, output).read_bytes() == first  # equal input, equal bytes
    assert {path.name for path in output.parent.iterdir()} == {"page.html", "page.md", "page.png"}
    with pytest.raises(ValueError, match=r"end it in \.html"):
        write_report(run, tmp_path / "page.png")


def test_a_failed_report_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run")
    output = write_report(run)
    before = output.read_bytes()

    def disk_full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", disk_full)
    with pytest.raises(OSError, match="no space left"):
        write_report(run)
    assert output.read_bytes() == before
    expected = {"metrics.jsonl", "report.html", "report.md", "report.png"}
    assert {path.name for path in run.iterdir()} == expected


def group_of(*records: dict[str, float], name: str = "run") -> Group:
    return Group(name=name, runs=(Run(name=name, records=list(records), remarks=[]),))


def test_panels_without_data_are_left_out() -> None:
    found = charts([group_of({"step": 1, "critic/score/mean": 0.5, "rest/weight/name": 1.1})])
    assert [chart.title for chart in found] == ["Reward and its components", "Region weight"]
    assert [curve.label for chart in found for curve in chart.curves] == ["total", "NAME"]


def test_validation_panel_takes_verls_names() -> None:
    first = {"step": 0, "val-core/org/b/reward/mean@1": 0.1, "val-core/a/reward/mean@1": 0.2}
    second = {"step": 5, "val-aux/a/reward/std@2": 0.1, "val-aux/a/name_match/mean@1": 0.5}
    core, rates = charts([group_of(first, second)])
    assert (core.title, core.panel.unit) == ("Validation", "mean over rows")
    assert [curve.label for curve in core.curves] == ["a reward mean", "org/b reward mean"]
    assert rates.title == "Validation answers that are right"
    assert [curve.label for curve in rates.curves] == ["right names"]

    many = {f"val-core/{name}/acc/best@2/mean": 0.0 for name in "cdefghi"}
    (core, _) = charts([group_of(first, {**second, **many, "val-core/c/acc/best@2/std": 1.0})])
    assert core.title == "Validation (first 6 of 9)"
    assert core.curves[1].label == "c acc best@2"

    (old,) = charts([group_of({"step": 1, "val/test_score/openai/gsm8k": 0.5})])
    assert [curve.label for curve in old.curves] == ["score"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_region_has_one_colour_in_every_panel(theme) -> None:
    assert len(set(theme.regions.values()) | set(theme.neutrals)) == 5 + len(theme.neutrals)
    for chart in charts([group_of(*(step_of_a_run(step) for step in (1, 2)))]):
        for curve in chart.curves:
            if curve.label in map(str.upper, REGION_NAMES):
                assert theme_color(theme, curve.color) == theme.regions[curve.label.lower()]
            else:
                assert theme_color(theme, curve.color) in theme.neutrals


def test_every_panel_that_can_be_drawn_has_colours_enough() -> None:
    assert all(len(panel.curves) <= len(LIGHT.neutrals) for panel in PANELS)


def test_a_change_within_noise_is_not_shown_as_better(tmp_path: Path) -> None:
    summary = {
        "format_rate_before": 0.5,
        "format_rate_after": 0.6,
        "name_accuracy_before": 0.5,
        "name_accuracy_after": 0.6,
        "held_out": {
            "valid_format": {"before": {"accuracy": 0.5}, "more_than_noise": False},
            "right_names": {"before": {"accuracy": 0.5}, "more_than_noise": True},
        },
    }
    page = Page(write_report(write_run(tmp_path / "run", summary=summary)))
    assert [row[3] for row in page.table()[1:]] == ["+10.0 points, within noise", "+10.0 points"]
    assert [a["class"] for t, a in page.elements if t == "td" and "class" in a] == ["up", "up"]
