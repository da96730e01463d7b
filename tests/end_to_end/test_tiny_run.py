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
STEPS, SAVED = 4, 2
SMALL = ["data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"]
SMALL += ["actor_rollout_ref.rollout.n=4", "data.val_max_samples=6"]
SMALL += ["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16"]
SMALL += ["actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16"]
EMA = 0.5
SMALL += [f"algorithm.rest.entropy_ema={EMA}"]
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
    """Ray's folders of these scripts' runs, which are there while a run has processes."""
    return {path.name for path in Path("/tmp").glob("rest_ray.*")}


def processes_of(text: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", text], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def logged_steps(run: Path) -> int:
    log = run / "verl_metrics.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def prompts(run: Path, step: int) -> list[str]:
    return sorted(row["input"] for row in read(run / "rollouts" / f"{step}.jsonl"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed while it was in its last step, and then called again."""
    output = tmp_path_factory.mktemp("tiny")
    earlier = started_folders()
    environment = {**os.environ, "TINY_OUTPUT": str(output), "TINY_STEPS": str(STEPS)}
    environment |= {"TINY_SAVE": str(SAVED), "TINY_WARM_STEPS": "120"}
    command = ["bash", str(SCRIPT), *SMALL, f"trainer.rollout_data_dir={output}/rollouts"]
    with (output / "first_start.txt").open("w") as shown:
        script = subprocess.Popen(command, env=environment, stdout=shown, stderr=shown)
        while logged_steps(output) < STEPS:  # the validation before training counts as one
            assert script.poll() is None, (output / "first_start.txt").read_text()[-3000:]
            time.sleep(0.5)
    (trainer,) = processes_of(f"main_ppo.*{output}/checkpoints")
    os.kill(trainer, signal.SIGKILL)
    assert script.wait(timeout=60) == 1
    assert "training failed" in (output / "first_start.txt").read_text()
    assert processes_of(str(output)) == []
    assert started_folders() == earlier
    assert not (output / "summary.json").exists()
    (output / "rollouts" / f"{SAVED + 1}.jsonl").rename(output / "rollouts" / "killed.jsonl")

    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"going on after step {SAVED}" in done.stdout
    return output


def test_a_resumed_run_does_each_step_once_on_the_data_of_an_uninterrupted_one(run: Path) -> None:
    first, second = read(run / "verl_metrics_earlier.jsonl"), read(run / "verl_metrics.jsonl")
    assert [record["step"] for record in first] == list(range(STEPS))
    assert [record["step"] for record in second] == list(range(SAVED + 1, STEPS + 1))
    # The step after the checkpoint was trained before the kill and again after it.
    again = sorted(row["input"] for row in read(run / "rollouts" / "killed.jsonl"))
    assert prompts(run, SAVED + 1) == again
    progress = "rest/progress"
    assert first[SAVED + 1]["data"][progress] == second[0]["data"][progress]
    # One epoch holds more rows than the run takes: none is drawn twice.
    seen = [prompt for step in range(1, STEPS + 1) for prompt in set(prompts(run, step))]
    assert len(seen) == len(set(seen)) == STEPS * 4


def test_the_averages_of_region_entropies_go_on_after_the_kill(run: Path) -> None:
    """Each checkpoint holds the averages over all steps before it, whichever start they were of."""
    first, second = read(run / "verl_metrics_earlier.jsonl"), read(run / "verl_metrics.jsonl")
    averages: dict[str, float] = {}
    for record in [*first[1 : SAVED + 1], *second]:
        for region in (region.name.lower() for region in Region):
            new = record["data"].get(f"rest/entropy/{region}")
            if new is not None:
                averages[region] = EMA * averages.get(region, new) + (1 - EMA) * new
        state = run / "checkpoints" / f"global_step_{record['step']}" / "rest_state.json"
        if record["step"] % SAVED == 0:
            saved = json.loads(state.read_text())
            assert saved["entropy"] == pytest.approx(averages, rel=1e-12)
            assert saved["clock"] == {"horizon": STEPS, "anchors": [[0.0, 0.0]]}


def test_every_step_is_logged_under_the_public_names(run: Path) -> None:
    records = read(run / "metrics.jsonl")
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
    records = read(run / "metrics.jsonl")
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
    assert f"[rest] trainer rest_sync, weights: preset paper with entropy_ema={EMA}" in log
    assert f"[rest] progress reaches 1 at step {STEPS} (from trainer.total_training_steps" in log
    assert "[rest] trainer.v1.trainer_mode=rest_sync (from +rest)" in log
    assert "[rest] advantage rest, loss rest, aggregation seq-mean-token-mean" in log


def test_running_again_reuses_what_is_complete(run: Path) -> None:
    environment = {**os.environ, "TINY_OUTPUT": str(run), "TINY_STEPS": str(STEPS)}
    environment |= {"TINY_SAVE": str(SAVED), "TINY_WARM_STEPS": "120"}
    before = (run / "metrics.jsonl").stat().st_mtime_ns
    done = subprocess.run(
        ["bash", str(SCRIPT), *SMALL, f"trainer.rollout_data_dir={run}/rollouts"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "already complete" in done.stdout
    assert (run / "metrics.jsonl").stat().st_mtime_ns == before


def test_the_run_is_evaluated_by_vllm_several_samples_a_row(run: Path) -> None:
    """Of so many prompts at once that they do not fit into one of the engine's steps."""
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(ROOT / ".venv" / "bin" / "rest-verl"), "evaluate", "bfcl", str(run)]
    command += ["--categories", "simple_python", "--limit", "40", "--samples", "2"]
    done = subprocess.run(
        [*command, "--max-tokens", "64"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (results,) = (run / "evaluation").rglob("rows.jsonl")
    records = read(results)
    assert sorted({record["sample"] for record in records}) == [0, 1]
    assert len({record["id"] for record in records}) == 40
    texts = [{r["text"] for r in records if r["id"] == row} for row in {r["id"] for r in records}]
    assert any(len(both) == 2 for both in texts)  # each sample has a seed of its own
