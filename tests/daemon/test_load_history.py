"""The scheduler keeps the load that it measures, so that a screen opened later can look back."""

from __future__ import annotations

from jobs.load_history import CPU, EVERY_S, MEM, Point
from tests.daemon.conftest import Installation


def whole(installation: Installation) -> list[Point]:
    """The points of the last minutes; of a first reading alone the load of the cores is not known."""
    return [point for point in installation.api.load_history(600.0) if CPU in point.shares]


def test_what_was_measured_can_be_looked_back_upon_even_by_another_scheduler(
    installation: Installation,
) -> None:
    installation.start()
    watcher = installation.api.watch()
    try:
        installation.until(lambda: whole(installation), "a point", 4 * EVERY_S)
    finally:
        watcher.close()
    (point, *_) = whole(installation)
    assert 0 <= point.shares[CPU] <= 1.5 and 0 < point.shares[MEM] < 1
    installation.kill()
    installation.start()
    assert point in installation.api.load_history(600.0)
