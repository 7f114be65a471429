"""The scheduler keeps the load that it measures, so that a screen opened later can look back."""

from __future__ import annotations

from jobs.records.load_history import CPU, EVERY_S, MEM, Point
from tests.daemon.conftest import Installation


def whole(installation: Installation) -> list[Point]:
    """The points of the last minutes; of a first reading alone the load of the cores is not known."""
    return [point for point in installation.client.machine.load_history(600.0) if CPU in point.shares]


def test_what_was_measured_can_be_looked_back_upon_even_by_another_scheduler(
    watched_long: Installation,
) -> None:
    watched_long.until(lambda: whole(watched_long), "a point", 4 * EVERY_S)
    (point, *_) = whole(watched_long)
    assert 0 <= point.shares[CPU] <= 1.5 and 0 < point.shares[MEM] < 1
    watched_long.kill()
    watched_long.start()
    assert point in watched_long.client.machine.load_history(600.0)
    watched_long.client.scheduler.stop()  # it has served
