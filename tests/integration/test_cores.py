"""Cores that are free to be used."""

import pytest
import torch

from rest_verl.integration.cores import free_cores, use_free_cores


@pytest.mark.parametrize(
    ("load", "cores"), [(0.1, 4), (0.9, 3), (2.2, 2), (9.0, 1)], ids=["idle", "1", "2", "crowded"]
)
def test_a_busy_core_gets_no_thread(
    load: float, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert free_cores() == cores


@pytest.mark.parametrize(("given", "threads"), [(None, 3), ("1", None)])
def test_threads_are_the_users_where_the_user_says_so(
    given: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("os.getloadavg", lambda: (1.0, 0.0, 0.0))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    use_free_cores()
    assert chosen == ([] if threads is None else [threads])
