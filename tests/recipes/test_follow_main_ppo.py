"""The shell function `train` of the small recipes ends what it started, however it is ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands for python: main_ppo that trains until it is told to end, with a worker of its own.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *main_ppo*) sleep 1000 & wait ;;
  *) sleep 1000 ;;
esac
"""
SCRIPT = """
set -euo pipefail
python={folder}/python
configuration=(--config-name name)
source run_scripts/follow_main_ppo.sh
run_lock={folder}/lock
echo "$ray_dir" >{folder}/ray_dir
train {folder} 3 "shown=metric"
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_leaves_no_process_and_no_folder(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    script = subprocess.Popen(
        ["bash", "-c", SCRIPT.format(folder=tmp_path)],
        cwd=ROOT,
        start_new_session=True,
        # A shell cannot trap what was ignored when it started, as in a background job.
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),
    )
    # The shell itself, the trainer and the progress bar.
    while len(processes := processes_of(f"{tmp_path}/python")) < 3:
        assert script.poll() is None
        time.sleep(0.05)
    ray_dir = Path((tmp_path / "ray_dir").read_text().strip())
    assert ray_dir.is_dir()
    os.killpg(script.pid, sent)  # as a terminal does on Ctrl-C
    assert script.wait(timeout=30) == code
    assert not ray_dir.exists()
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def test_two_runs_follow_each_other(tmp_path: Path) -> None:
    """They would share the socket over which verl's trainer hands its weights to the sampler."""
    python = """#!/usr/bin/env bash
case "$*" in
  *main_ppo*) echo begins >>{folder}/events; sleep 1; echo ends >>{folder}/events ;;
esac
"""
    (tmp_path / "python").write_text(python.format(folder=tmp_path))
    (tmp_path / "python").chmod(0o755)
    command = ["bash", "-c", SCRIPT.format(folder=tmp_path)]
    runs = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert (tmp_path / "events").read_text().split() == ["begins", "ends"] * 2
    assert sum("waiting: another run is under way" in text for text in said) == 1


def processes_of(text: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", text], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]
