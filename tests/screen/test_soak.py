"""Hours of the open screen, compressed: what it keeps of the past must not grow with the time it is open.

Counts the objects that the collector knows, which tells a leak sooner and surer than the memory of the
process does. The long form, four hours of it, is `uv run pytest -m slow tests/screen/test_soak.py`.
"""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import pytest

from cro_tui import poller
from cro_tui.app import CroApp
from jobs.core.requests import JobQuery, Snapshot
from tests.screen.conftest import Screen, opened
from tests.screen.fake import FakeJobs, FakeSource, a_day, a_sample

PLACES = "2341"
SETTLED = 200  # looks after which graphs and caches are full
LEAST = 1_000  # objects, of some 94,000; which place is in front makes 400


class CountedJobs(FakeJobs):
    """Counts the looks of the screen."""

    looks = 0

    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        self.looks += 1
        return super().snapshot(query)

    def has_looked(self, times: int) -> bool:
        return self.looks >= times


class Counted(FakeSource):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.jobs: CountedJobs = CountedJobs(self)


async def live(screen: Screen, source: Counted, looks: int) -> None:
    """So many seconds of a machine at work: readings move, the list scrolls, all places are visited."""
    assert isinstance(screen.app, CroApp)
    for tick in range(looks):
        source.now += 1.0
        source.sample = a_sample(source.now, (tick * 7 % 100) / 100)
        source.calls.clear()
        if tick % 25 == 24:
            await screen.pilot.press(PLACES[tick // 25 % len(PLACES)])
        elif tick % 5 == 0:
            await screen.pilot.press("down" if tick % 10 else "up")
        following = source.jobs.looks + 1
        screen.app.refresh_state()
        await screen.until(partial(source.jobs.has_looked, following), "the next look")


def kept() -> int:
    for _ in range(3):
        gc.collect()
    return len(gc.get_objects())


async def growth(folder: Path, looks: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Objects more after so many looks, once it has settled."""
    monkeypatch.setattr(poller, "_GAP_S", 0.0)
    source = Counted(folder, sample=a_sample())
    source.add(*a_day())
    async with opened(source) as screen:
        await live(screen, source, SETTLED)
        before = kept()
        await live(screen, source, looks)
        return kept() - before


async def test_minutes_of_the_open_screen_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await growth(tmp_path, 100, monkeypatch) < LEAST


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_hours_of_the_open_screen_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await growth(tmp_path, 4 * 3600, monkeypatch) < LEAST
