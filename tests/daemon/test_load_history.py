"""The scheduler keeps the load that it measures, so that a screen opened later can look back."""

from __future__ import annotations

from jobs.load_history import CPU, EVERY_S, MEM
from tests.daemon.conftest import Installation


def test_what_was_measured_can_be_looked_back_upon_even_by_another_scheduler(
    installation: Installation,
) -> None:
    installation.start()
    watcher = installation.api.watch()
    try:
        installation.until(lambda: installation.api.load_history(600.0), "a point", 3 * EVERY_S)
    finally:
        watcher.close()
    (point, *_) = installation.api.load_history(600.0)
    assert 0 <= point.shares[CPU] <= 1.5 and 0 < point.shares[MEM] < 1
    installation.kill()
    installation.start()
    assert installation.api.load_history(600.0)[0] == point
