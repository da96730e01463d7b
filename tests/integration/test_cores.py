"""Cores that are free to be used."""

import pytest

from rest_verl.integration.cores import free_cores


@pytest.mark.parametrize(
    ("load", "cores"), [(0.1, 4), (0.9, 3), (2.2, 2), (9.0, 1)], ids=["idle", "1", "2", "crowded"]
)
def test_a_busy_core_gets_no_thread(
    load: float, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert free_cores() == cores
