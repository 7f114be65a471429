"""Trouble: a locked store, a stopped or hanging engine, and names that would like to be markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.app import ScreenStackError

from cro_tui.app import CroApp
from cro_tui.widgets.job_list import JobList
from jobs.core.jobs import Failed, Grant, Held, Queued, Running, Usage
from jobs.core.machine import Alert, AlertKind
from jobs.core.ports import StateUnavailable
from jobs.core.requests import DaemonStatus
from jobs.installation.settings import ScreenSettings, Settings
from tests.screen.conftest import NARROW, WIDE, opened
from tests.screen.fake import NOW, FakeSource, job

HOSTILE = (
    "[red]x[/]",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "two\nlines\tand\rmore",
    "\u202eevil\u2066",
    "日本語の名前がとても長いです",
    "e\u0301\u0300\u0302\u0303" * 8,
    "\u200b\u200d\ufeff",
    "☺️ 👨‍👩‍👧 ⏸",
    "x" * 500,
    "[link=http://x]",
    "[@click=app.quit]quit[/]",
)


async def test_a_locked_store_leaves_the_last_picture_with_a_note(source: FakeSource) -> None:
    async with opened(source) as screen:
        source.fails = StateUnavailable("The database is locked.")
        source.now += 7
        await screen.shows("The database is locked. Showing 12:04.")
        assert "tf_text_lstm" in screen.text()
        source.fails = None
        await screen.hides("The database is locked.")


async def test_a_stopped_engine_is_said_and_a_key_starts_it(source: FakeSource) -> None:
    async with opened(source) as screen:
        source.daemon = DaemonStatus(False)
        await screen.shows("The engine is stopped: nothing starts. S starts it.")
        assert "engine ○ stopped" in screen.rows()[0]
        before = len(source.called("scheduler.start"))
        await screen.press("S")
        await screen.until(lambda: len(source.called("scheduler.start")) > before, "a start")


async def test_an_alert_stands_in_every_place_until_it_is_over_and_rings_once(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    hot = Alert(AlertKind.HEAT, "GPU 0", 0.0, 91.0, "GPU 0 is at 91 degrees \x1b]0;x\x07 Celsius.")
    full = Alert(AlertKind.DISK, "state", 0.0, 97.0, "The disk is nearly full.")
    settings = Settings(screen=ScreenSettings(bell=True, notify="osc9"))
    async with opened(source, settings=settings) as screen:
        assert screen.app._driver is not None
        monkeypatch.setattr(screen.app._driver, "write", rung.append)
        monkeypatch.setattr(screen.app, "bell", lambda: rung.append("bell"))
        assert source.sample is not None
        source.sample = replace(source.sample, alerts=(full, hot))
        await screen.shows("!The disk is nearly full. (1 more: cro-tui status)")
        await screen.press("4")
        await screen.shows("!The disk is nearly full.")
        told = [text for text in rung if text.startswith("\x1b]9;")]
        assert told == [
            "\x1b]9;cro-tui: The disk is nearly full.\x07",
            "\x1b]9;cro-tui: GPU 0 is at 91 degrees ]0;x Celsius.\x07",
        ]
        assert rung.count("bell") == 1
        source.sample = replace(source.sample, alerts=())
        await screen.hides("The disk is nearly full.")


async def test_an_engine_that_does_not_come_up_is_said_until_it_is_read(source: FakeSource) -> None:
    source.fails = StateUnavailable("The scheduler did not start.", "See daemon.log.")
    async with opened(source, wait_for="The scheduler did not start. See daemon.log.") as screen:
        source.now += 3600
        await screen.pilot.pause(1.2)
        assert "The scheduler did not start" in screen.text()
        source.fails = None
        await screen.press("escape")
        await screen.hides("The scheduler did not start")


async def test_a_hanging_engine_holds_up_nothing(source: FakeSource) -> None:
    async with opened(source) as screen:
        source.gate.clear()
        try:
            await screen.press("h", "down", "down")
            await screen.until(lambda: source.called("jobs.hold"), "the call that hangs")
            jobs = screen.app.screen.query_one(JobList)
            assert jobs.job is not None
            assert jobs.job.id == 38
            source.now += 5
            await screen.shows("The store does not answer. Showing 12:04.")
            await screen.press("n")
            await screen.shows("Reading the recipes")
            await screen.press("escape")
            await screen.hides("Reading the recipes")
        finally:
            source.gate.set()


async def test_leaving_does_not_wait_for_a_hanging_engine(source: FakeSource) -> None:
    try:
        async with opened(source) as screen:
            source.gate.clear()
            await screen.press("h")
            await screen.until(lambda: source.called("jobs.hold"), "the call that hangs")
            await screen.press("q", "q")
            assert screen.app.return_value is not None
        assert not source.gate.is_set()
    finally:
        source.gate.set()


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_hostile_names_neither_style_nor_shift_anything(
    source: FakeSource, size: tuple[int, int]
) -> None:
    source.by_id.clear()
    for number, name in enumerate(HOSTILE, 1):
        state = (
            Running(NOW - 60, 1, Grant(), 5),
            Queued(NOW),
            Held(NOW, name),
            Failed(None, NOW, None, None, name, Usage()),
        )[number % 4]
        source.add(job(number, name, state, spec_params=(("p", name),)))
    async with opened(source, size, wait_for="[red]x[/]") as screen:
        for _ in HOSTILE:
            await screen.press("down")
            rows = screen.rows()
            assert all(cell_len(row) == size[0] for row in rows)
            assert not any(
                ord(char) < 32 or char in "\u202e\u2066\u200b\x7f" for row in rows for char in row
            )
        lists = [row for row in screen.rows() if row.startswith("│")]
        assert any("[@click=app.quit]" in row for row in lists)
        await screen.press("g", "enter")
        await screen.shows("Job #1")
        assert all(cell_len(row) == size[0] for row in screen.rows())


async def test_a_hostile_filter_and_a_hostile_note_are_plain_text(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("slash")
        await screen.type("[b]")
        await screen.shows('No job matches "[b]"')
        await screen.press("escape")
        source.note = "[red]locked\x1b[31m"
        await screen.shows("[red]locked[31m")


def test_an_input_that_settles_before_the_first_screen_is_up_harms_nothing(source: FakeSource) -> None:
    app = CroApp(source, Settings())
    with pytest.raises(ScreenStackError):
        _ = app.screen
    app.clear_selection()
