"""The tiny recipe, shortened: verl's real main_ppo, FSDP2, TransferQueue and vLLM on the CPU."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rest_verl.algorithm.regions import Region

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_scripts" / "tiny_cpu_rest.sh"
STEPS = 3
SMALL = ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
SMALL += ["actor_rollout_ref.rollout.n=4", "data.val_max_samples=24"]
SMALL += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16"]
SMALL += ["actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16"]
# The registered estimator and loss, so that verl calls both for real.
SMALL += ["algorithm.adv_estimator=rest", "actor_rollout_ref.actor.policy_loss.loss_mode=rest"]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not (ROOT / ".venv" / "bin" / "rest-verl").exists(),
        reason="runs in the environment of run_scripts/setup_cpu.sh --dev; run it first",
    ),
]


def started_folders() -> set[str]:
    """Ray folders of this recipe's runs, which are there while a run has processes."""
    return {path.name for path in Path("/tmp").glob("rest_ray.*")}


def processes_of(folder: str) -> str:
    return subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("tiny")
    environment = {**os.environ, "TINY_OUTPUT": str(output), "TINY_STEPS": str(STEPS)}
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output


def test_every_step_is_logged_under_the_public_names(run: Path) -> None:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [record for record in records if record["step"] > 0]
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    present = [region.name.lower() for region in Region if region is not Region.TEXT]
    for record in steps:
        for part in ("total", "format", "correctness"):
            assert f"reward/{part}/mean" in record
        for measure in ("entropy", "weight", "token_share", "weight_share"):
            for region in present:
                assert f"rest/{measure}/{region}" in record
        assert record["rest/progress"] == pytest.approx(record["step"] / STEPS)
        shares = [record[f"rest/token_share/{region.name.lower()}"] for region in Region]
        assert sum(shares) == pytest.approx(1.0)


def test_the_sampler_follows_every_weight_update(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["sampler_trainer_correlation"] >= 0.99
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # An update that changed nothing would agree as well.
    assert all(record["actor/grad_norm"] > 0 for record in records if record["step"] > 0)


def test_the_summary_and_the_report_are_complete(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    for rate in ("format_rate", "name_accuracy", "exact_match"):
        assert 0 <= summary[f"{rate}_before"] <= 1
        assert 0 <= summary[f"{rate}_after"] <= 1
    assert summary["steps"] == STEPS
    assert {"reward_first5", "reward_last5", "seconds"} <= summary.keys()
    assert len(json.loads((run / "samples.json").read_text())) == 3
    assert (run / "report.html").stat().st_size > 10_000
    assert (run / "report.png").stat().st_size > 10_000


def test_the_log_says_what_is_in_force(run: Path) -> None:
    log = (run / "train.log").read_text()
    assert "[rest] trainer rest_sync, weights: preset paper" in log
    assert "[rest] advantage rest, loss rest, aggregation seq-mean-token-mean" in log


def test_running_again_reuses_what_is_complete(run: Path) -> None:
    environment = {**os.environ, "TINY_OUTPUT": str(run), "TINY_STEPS": str(STEPS)}
    before = (run / "metrics.jsonl").stat().st_mtime_ns
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL], env=environment, capture_output=True, text=True, check=True
    )
    assert "already complete" in done.stdout
    assert (run / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.usefixtures("run")  # its starting model is reused
def test_interrupting_leaves_no_process_behind(tmp_path: Path) -> None:
    earlier = started_folders()
    environment = {**os.environ, "TINY_OUTPUT": str(tmp_path), "TINY_STEPS": "50"}
    script = subprocess.Popen(
        ["bash", str(SCRIPT), *SMALL],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell cannot trap what was ignored when it started, as in a background job.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log = tmp_path / "train.log"
    deadline = time.monotonic() + 240
    while "[rest] trainer" not in (log.read_text() if log.exists() else ""):
        assert script.poll() is None, "the run ended before it was interrupted"
        assert time.monotonic() < deadline, "the trainer did not start"
        time.sleep(1)
    (folder,) = started_folders() - earlier
    assert processes_of(folder)
    os.killpg(script.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
    assert script.wait(timeout=60) != 0
    assert processes_of(folder) == ""
    assert started_folders() == earlier
    assert not (tmp_path / "summary.json").exists()
