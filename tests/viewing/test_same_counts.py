"""One made run: metrics, report, view and evaluation count the same of each term."""

import json
from pathlib import Path
from typing import Any

import pytest
from bfcl_samples import write_folder
from toy_tokenizers import byte_level

from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.data import BfclSource, verl_row
from rest_verl.evaluation.bfcl.validation import score_validation
from rest_verl.evaluation.summary import summary_head
from rest_verl.integration.reward_metrics import reward_metrics
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax.terms import LABELS, count_terms
from rest_verl.viewing.report.charts import charts
from rest_verl.viewing.report.groups import read_groups
from rest_verl.viewing.tokens.sources import read_rollouts
from rest_verl.viewing.tokens.view import build_view

CALL = '<tool_call>\n{"name": "weather.get", "parameters": {"city": "Oslo"}}\n</tool_call>'
ANSWERS = {
    f"<think>so</think>\n{CALL}": False,
    "<think>so</think>\n<tool_call>\nweather.get(Oslo)\n</tool_call>": False,
    "<think>so</think>\n<tool_call>\n{}\n</tool_call>": False,
    '<think>so</think>\n<tool_call>\n{"name": "weather.get", "para': True,
    "<think>and so on": True,
    "<think>and": False,
    f"off</think>\n{CALL}": False,
    "It rains, and rains": True,
}
"""Text of each answer, and whether the length limit ended it."""
COUNTS = {"tags_valid": 4, "calls_parse": 5, "unclosed": 3, "cut_off": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with one validation, dumped as verl dumps it, and its metrics."""
    folder = tmp_path_factory.mktemp("run")
    infos, lines = [], []
    for row, (text, cut_off) in zip(rows(folder), ANSWERS.items(), strict=True):
        truth = row["reward_model"]["ground_truth"]
        parts = {**tool_call_reward(text, truth).as_dict(), "cut_off": float(cut_off)}
        prompt = "".join(f"{m['role']}\n{m['content']}\n" for m in row["prompt"]) + "assistant\n"
        infos.append({"reward_extra_info": parts})
        lines.append({"input": prompt, "output": text, "gts": truth, "uid": "x_0_0", **parts})
    metrics = reward_metrics([0.0] * len(lines), infos, [False] * len(lines))
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, **metrics}))
    (folder / "validation").mkdir()
    dump = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "validation/1.jsonl").write_text(dump)
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    source = BfclSource.open(write_folder(folder / "data", len(ANSWERS)))
    return [
        verl_row(row, "compact", index=index, split="val")
        for index, row in enumerate(source.read("multiple"))
    ]


def test_metrics_and_report(run: Path) -> None:
    shown = {
        curve.label: round(curve.line.values[-1] * len(ANSWERS))
        for chart in charts(read_groups([run]))
        if chart.title == "How answers are written"
        for curve in chart.curves
    }
    assert shown == {LABELS[term]: count for term, count in COUNTS.items()}


@pytest.mark.parametrize("keeps", ["texts and what was logged", "texts alone"])
def test_view(run: Path, tmp_path: Path, keeps: str) -> None:
    expected = dict(COUNTS)
    dump = run / "validation/1.jsonl"
    if keeps == "texts alone":  # as of a run without the reward `rest`
        lines = [json.loads(line) for line in dump.read_text().splitlines()]
        dump = tmp_path / "1.jsonl"
        kept = ("input", "output", "gts")
        dump.write_text("".join(json.dumps({k: line[k] for k in kept}) + "\n" for line in lines))
        del expected["cut_off"]  # which a text does not tell
    config = ReSTConfig.preset("uniform")
    view = build_view(read_rollouts(dump), byte_level(), config, entropy_of=None)
    assert count_terms(view.terms) == expected


def test_evaluation(run: Path) -> None:
    source = BfclSource.open(run / "data")
    found = score_validation(run / "validation/1.jsonl", rows(run), source)
    about: dict[str, Any] = {
        **dict.fromkeys(("benchmark", "data_version", "mode", "limit")),
        "data": dict.fromkeys(("name", "release", "files")),
        "model": {"path": ""},
        "options": {"samples": 1},
    }
    records = [{**record, "output_tokens": 0, "limit": ""} for record in found]
    assert summary_head(about, records)["terms"] == COUNTS
