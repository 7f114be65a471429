"""Fixtures of the screen's tests: the real app over a small in-memory engine, without a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from cro_tui.app import CroApp
from jobs.installation.settings import Settings
from tests.screen.fake import FakeSource, a_day, a_sample

WIDE, NARROW = (120, 40), (80, 24)


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    """An engine with the day of the design's picture."""
    made = FakeSource(tmp_path, sample=a_sample())
    made.add(*a_day())
    return made


class Screen:
    """One open app and what a test asks of it."""

    def __init__(self, app: CroApp, pilot: Pilot[str], source: FakeSource) -> None:
        self.app = app
        self.pilot = pilot
        self.source = source

    def rows(self) -> list[str]:
        """What the screen shows, one text per row."""
        compositor = self.app.screen._compositor
        return ["".join(segment.text for segment in strip) for strip in compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.rows())

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*text)

    async def until(self, condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
        """Wait for a condition; a time-out shows the screen."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}; the screen was:\n{self.text()}"
            await asyncio.sleep(0.005)
            await self.pilot.pause()

    async def shows(self, text: str) -> None:
        await self.until(lambda: text in self.text(), repr(text))

    async def hides(self, text: str) -> None:
        await self.until(lambda: text not in self.text(), f"no {text!r}")


@asynccontextmanager
async def opened(
    source: FakeSource,
    size: tuple[int, int] = WIDE,
    settings: Settings | None = None,
    *,
    wait_for: str = "sklearn_gridsearch",
) -> AsyncIterator[Screen]:
    """The app, once it shows its first picture."""
    app = CroApp(source, settings or Settings(), clock=lambda: source.now)
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot, source)
        if wait_for:
            await screen.shows(wait_for)
        yield screen
