"""How many of this machine's cores have nothing to do."""

import os

import torch


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def free_cores() -> int:
    """Of these, the ones that nothing kept busy in the last minute, at least 1.

    Threads wait for each other at every layer: one of them on a core that another job holds makes
    all of them crawl.
    """
    return max(1, num_cores() - round(os.getloadavg()[0]))


def use_free_cores() -> None:
    """Gives torch a thread for each of them, unless `OMP_NUM_THREADS` says otherwise.

    For commands: what has to come out the same everywhere sets the number itself.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(free_cores())
