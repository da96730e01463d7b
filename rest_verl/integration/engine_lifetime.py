"""Lets vLLM's engine end with the process that started it, however that ends.

vLLM ends its engine from within its parent, which a parent killed by force cannot do: the engine
would stay, with the GPU's memory, and the run could not go on. Linux can send a signal instead.
"""

import ctypes
import os
import signal

_OWNER = "REST_VERL_ENGINE_OWNER"
_PR_SET_PDEATHSIG = 1


def own_engines() -> None:
    """Engines that this process starts from now on end with it."""
    os.environ[_OWNER] = str(os.getpid())


def end_with_owner() -> None:
    """In an engine's process: has it killed when its owner ends, and its workers when it ends
    itself; elsewhere nothing."""
    if os.environ.get(_OWNER) == str(os.getppid()):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        own_engines()
