"""An engine ends with the process that started it, kill -9 included, and no other process does."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a signal of Linux")

# Starts a process, as vLLM starts its engine, which starts another, as the engine does its worker;
# shows their ids and waits to be killed by force.
ENGINE = """
import os, subprocess, sys, time
from rest_verl.integration.engine_lifetime import own_engines
from rest_verl.integration.vllm_plugin import register
depth = int(sys.argv[1])
if depth == 0:
    {start}
else:
    register()
ids = []
if depth < 2:
    child = subprocess.Popen(
        [sys.executable, "-c", os.environ["ENGINE"], str(depth + 1)], stdout=subprocess.PIPE
    )
    ids = [str(child.pid), *child.stdout.readline().decode().split()]
print(*ids, flush=True)
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
    code = ENGINE.format(start="own_engines()" if owns else "pass")
    monkeypatch.setenv("ENGINE", code)
    monkeypatch.delenv("VERL_PLATFORM", raising=False)
    monkeypatch.delenv("REST_VERL_ENGINE_OWNER", raising=False)
    owner = subprocess.Popen([sys.executable, "-c", code, "0"], stdout=subprocess.PIPE, text=True)
    engine, worker = map(int, owner.stdout.readline().split())
    assert is_running(engine)
    assert is_running(worker)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + (10 if owns else 0.5)
    while (is_running(engine) or is_running(worker)) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [process for process in (engine, worker) if is_running(process)]
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert left == ([] if owns else [engine, worker])
