"""What the scripts of the small recipes do with a folder that is not empty."""

import subprocess
from pathlib import Path

import pytest
from docs_pages import ROOT

SCRIPT = """
set -euo pipefail
python=python start=none configuration=() groups=() code=(setup.cfg)
steps=1 preset=paper seed=0 save=1 output=$1 settings=$2
source run_scripts/resumable_run.sh
make_start() { echo "begins"; exit 3; }
resumable_run
"""
CHECKPOINT = "checkpoints/latest_checkpointed_iteration.txt"


def run(output: Path, settings: str = "tasks=a") -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "run", output, settings], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_a_run_that_left_nothing_to_lose_begins_anew(tmp_path: Path) -> None:
    assert run(tmp_path)[0] == 3
    (tmp_path / "train.log").touch()
    assert run(tmp_path, "tasks=b")[0] == 3
    assert not (tmp_path / "train.log").exists()
    assert "tasks=b" in (tmp_path / "settings.txt").read_text()


@pytest.mark.parametrize("kept", [CHECKPOINT, "summary.json"])
def test_the_same_settings_go_on_and_others_lose_nothing(tmp_path: Path, kept: str) -> None:
    run(tmp_path)
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    (tmp_path / kept).write_text("1")
    status, said = run(tmp_path, "tasks=b")
    assert (status, (tmp_path / kept).exists()) == (1, True)
    assert f"{tmp_path} holds another run; delete it, or name another folder" in said
    assert "that one: tasks=a steps=1" in said
    assert "this one: tasks=b steps=1" in said
    assert run(tmp_path)[0] == 3


def test_files_of_a_run_by_another_command_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / CHECKPOINT).write_text("100")
    (tmp_path / "train.log").touch()
    status, said = run(tmp_path)
    assert status == 1
    assert "that one" not in said
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", "train.log"}
