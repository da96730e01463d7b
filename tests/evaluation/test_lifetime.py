"""An engine ends with the process that started it, kill -9 included, and no other process does."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a signal of Linux")

# Starts a process, as vLLM starts its engine, shows its id and is killed by force.
PARENT = """
import os, subprocess, sys, time
from rest_verl.evaluation.lifetime import own_engines
if {owns}:
    own_engines()
child = subprocess.Popen([sys.executable, "-c", '''
import time
from rest_verl.vllm_plugin import register
register()
print("ready", flush=True)
time.sleep(60)
'''], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("owns", [True, False])
def test_the_engine_ends_with_its_owner(owns, monkeypatch):
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    monkeypatch.delenv("REST_VERL_ENGINE_OWNER", raising=False)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(owns=owns)], stdout=subprocess.PIPE, text=True
    )
    engine = int(parent.stdout.readline())
    assert is_running(engine)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + (10 if owns else 0.5)
    while is_running(engine) and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        assert is_running(engine) is not owns
    finally:
        if is_running(engine):
            subprocess.run(["kill", "-9", str(engine)], check=True)
