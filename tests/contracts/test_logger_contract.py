"""verl's loggers take our metrics under our names, and the page on loggers has the report's."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from docs_pages import ROOT

from rest_verl.viewing.palette import REGION_NAMES
from rest_verl.viewing.report.panels import PANELS
from rest_verl.viewing.report.sources import read_run

METRICS = {"rest/entropy/args": 0.5, "rest/token_share/name": 0.25, "reward/total/mean": 1.5}


def track(backend: str) -> None:
    """Two steps of a run with that logger."""
    from verl.utils.tracking import Tracking

    tracking = Tracking("tools", "paper", default_backend=[backend], config={"trainer": {}})
    for step in (1, 2):
        tracking.log(METRICS, step=step)
    tracking.finish()


@pytest.mark.parametrize("backend", ["wandb", "trackio"])
def test_names_arrive_as_they_are(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = MagicMock()
    module.context_vars.current_run.get.return_value = None
    monkeypatch.setitem(sys.modules, backend, module)
    track(backend)
    named = {key: module.init.call_args.kwargs[key] for key in ("project", "name")}
    assert named == {"project": "tools", "name": "paper"}
    sent = [
        (call.kwargs.get("data") or call.args[0], call.kwargs["step"])
        for call in module.log.call_args_list
    ]
    assert sent == [(METRICS, 1), (METRICS, 2)]


def test_mlflow_changes_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    module = MagicMock()
    module.set_experiment.return_value = SimpleNamespace(experiment_id=7)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    track("mlflow")
    module.set_tracking_uri.assert_called_with("sqlite:///runs.db")
    module.set_experiment.assert_called_with("tools")
    module.start_run.assert_called_with(experiment_id=7, run_name="paper")
    sent = [call.kwargs for call in module.log_metrics.call_args_list]
    assert sent == [{"metrics": METRICS, "step": step} for step in (1, 2)]


def test_tensorboard_is_what_the_report_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch.utils.tensorboard", reason="needs tensorboard")
    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path))
    track("tensorboard")
    assert read_run(tmp_path).records == [{"step": step, **METRICS} for step in (1, 2)]


def test_the_pages_panels_are_the_reports() -> None:
    page = (ROOT / "docs" / "loggers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z][^|`]+) \| (`[^|]+`) \|", page, re.MULTILINE)
    drawn = {
        panel.title: {name for curve in panel.curves for name in curve.names} for panel in PANELS
    }
    assert len(rows) > 8
    for title, listed in rows:
        for name in re.findall("`([^`]+)`", listed):
            names = {name.replace("<region>", region) for region in REGION_NAMES}
            assert names <= drawn[title]
