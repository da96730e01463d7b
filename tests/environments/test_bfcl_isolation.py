"""A rollout shares nothing with another and leaves nothing behind in its process."""

import copy
import decimal
import importlib.util
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

if importlib.util.find_spec("bfcl_eval") is None or importlib.util.find_spec("mpmath") is None:
    pytest.skip("needs the packages bfcl-eval and mpmath", allow_module_level=True)

from bfcl_conversations import CORRUPTIONS, corrupted, play, read_rows, right_conversation
from bfcl_record import everything

from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.bfcl_backend import CLASSES

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_left_in_the_process() -> None:
    import mpmath
    from bfcl_eval.eval_checker.multi_turn_eval.func_source_code import long_context, posting_api

    def process_state() -> tuple:
        stock = {k: v for k, v in vars(long_context).items() if k.isupper()}
        defaults = posting_api.TwitterAPI.post_tweet.__defaults__
        return copy.deepcopy((stock, defaults, mpmath.mp.prec, decimal.getcontext().prec))

    before = process_state()
    insurance = {"insurance_type": "x", "insurance_cost": 7, "card_id": "1234567812345678"}
    environment = BFCLEnvironment(everything())
    talk = [
        ("authenticate_twitter", {"username": "john", "password": "john123"}),
        ("post_tweet", {"content": "hi"}),
        ("mention", {"tweet_id": 0, "mentioned_usernames": ["@bob"]}),
        ("get_outside_temperature_from_google", {}),
        ("logarithm", {"value": 10, "base": 3, "precision": 40}),
        ("square_root", {"number": 2, "precision": 40}),
        ("purchase_insurance", {"access_token": None, "booking_id": "booking_901", **insurance}),
    ]
    observations = play(environment, [talk])
    assert not [text for text in observations if "rror" in text]
    assert "outsideTemperature" in observations[3]
    assert observations[5] == "{'result': Decimal('1.414213562373095048801688724209698078570')}"
    assert process_state() == before
    # The same again in a new rollout: same observations.
    assert play(BFCLEnvironment(everything()), [talk]) == observations


def test_interleaved_rollouts_do_not_meet() -> None:
    rows = [row for c in ("base", "long_context") for row in read_rows(c)[::10]]
    jobs = [(row, right_conversation(row)) for row in rows]
    jobs += [(row, corrupted(row, how, seed=1)) for row in rows for how in CORRUPTIONS]
    alone = []
    for row, talk in jobs:
        environment = BFCLEnvironment(row)
        alone.append((play(environment, talk), environment.outcome()))
    start = threading.Barrier(8)

    def rollouts(worker: int) -> list:
        start.wait()
        mine = [
            (i, BFCLEnvironment(row), talk) for i, (row, talk) in enumerate(jobs) if i % 8 == worker
        ]
        seen: dict[int, list[str]] = {i: [] for i, _, _ in mine}
        for turn in range(max(len(talk) for _, _, talk in mine)):  # turn by turn through all
            for i, environment, talk in mine:
                seen[i] += play(environment, talk[turn : turn + 1])
        return [(i, (seen[i], environment.outcome())) for i, environment, _ in mine]

    with ThreadPoolExecutor(8) as pool:
        together = dict(pair for part in pool.map(rollouts, range(8)) for pair in part)
    assert [together[i] for i in range(len(jobs))] == alone
    assert {bool(outcome[-1].right) for _, outcome in alone} == {True, False}


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, which has imported nothing yet."""
    paths = {"PYTHONPATH": str(ROOT), "BFCL_PROJECT_ROOT": str(folder)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **paths}, capture_output=True, text=True, timeout=60
    )


MAKE = "import sys\nfrom rest_verl.environments.bfcl import BFCLEnvironment\n"


def test_package_is_used_without_its_side_effects(tmp_path: Path) -> None:
    code = f"{MAKE}BFCLEnvironment({everything()!r}).tools\nprint(*sys.modules, sep='\\n')"
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stdout.split() if name.startswith("bfcl_eval.")}
    sources = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
    modules = {f"{sources}.{module}" for module, _ in CLASSES.values()}
    parents = {sources, sources.rpartition(".")[0], "bfcl_eval.eval_checker"}
    assert loaded == {*modules, *parents, f"{sources}.long_context"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("absent", "mend"),
    [("bfcl_eval", "pip install --no-deps bfcl-eval"), ("mpmath", "pip install mpmath")],
)
def test_what_is_not_installed_is_named(absent: str, mend: str, tmp_path: Path) -> None:
    code = f"import sys\nsys.modules[{absent!r}] = None\n{MAKE}BFCLEnvironment({everything()!r})"
    done = run_python(code, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ValueError: ")
    assert mend in done.stderr
