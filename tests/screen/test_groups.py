"""Sweeps on the screen: one row, unfolded on demand, one wish for all its jobs, and its runs compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from cro_tui.screens.runs import RunsScreen
from jobs.core.jobs import JobId, StateName
from jobs.core.sweeps import RunColumns, columns_of, runs_of
from jobs.installation.settings import ScreenSettings, Settings
from tests.screen.conftest import NARROW, WIDE, opened
from tests.screen.fake import FakeSource, a_sweep


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_sweep_is_one_row_that_unfolds_and_folds(source: FakeSource, size: tuple[int, int]) -> None:
    a_sweep(source)
    async with opened(source, size, wait_for="+ forest") as screen:
        assert "100 RUN   + forest" in screen.text()
        assert "10 of 30" in screen.text() and "best" in screen.text()
        assert "101 " not in screen.text()
        await screen.press("enter")
        await screen.shows("- forest")
        await screen.shows("102 DONE    200, 2, a")
        await screen.press("down", "down", "left")
        await screen.shows("+ forest")
        assert "102 DONE" not in screen.text()
        await screen.press("right")
        await screen.shows("102 DONE")
        assert "the first" not in screen.text()
        source.groups_of_jobs = (replace(source.groups_of_jobs[0], size=10_000),)
        await screen.shows("the first 200 of #100")
        assert all(cell_len(row) == size[0] for row in screen.rows())


async def test_one_key_stops_all_of_a_sweep_and_says_how_many(source: FakeSource) -> None:
    a_sweep(source)
    async with opened(source, wait_for="+ forest") as screen:
        await screen.shows("10 of 30 done, best accuracy")
        await screen.press("x")
        await screen.shows("Stop sweep #100 forest?")
        assert "stop all 18 jobs" in screen.text() and "2 run; what they have not saved" in screen.text()
        assert source.called("groups.cancel") == []
        await screen.press("x")
        await screen.shows("sweep #100 forest is being stopped.")
        assert source.called("groups.cancel") == [JobId(100)]


async def test_hold_priority_and_retry_mean_all_of_a_sweep(source: FakeSource) -> None:
    group = a_sweep(source)
    async with opened(source, wait_for="+ forest") as screen:
        await screen.press("h")
        await screen.shows("sweep #100 forest held")
        assert source.called("groups.hold") == [JobId(100)]
        await screen.press("plus")
        await screen.shows("Priority of sweep #100 forest raised by 5.")
        assert source.called("groups.set_priority") == [(JobId(100), None, 5)]
        await screen.press("r")
        await screen.shows("a retry of #110")
        assert source.called("jobs.retry") == [((JobId(110), JobId(111)), None)]
        source.groups_of_jobs = (replace(group, counts={StateName.HELD: 18, StateName.SUCCEEDED: 12}),)
        await screen.shows("HELD 18, DONE 12.")
        await screen.press("h")
        await screen.until(lambda: source.called("groups.release") == [JobId(100)], "its release")


async def test_a_marked_sweep_and_a_marked_job_are_stopped_together(source: FakeSource) -> None:
    a_sweep(source)
    async with opened(source, wait_for="+ forest") as screen:
        await screen.press("enter")
        await screen.shows("- forest")
        await screen.press("space", "space", "G")
        await screen.shows("2 marked")
        await screen.press("x", "x")
        await screen.until(lambda: source.called("groups.cancel") == [JobId(100)], "the stop")
        await screen.until(lambda: source.called("jobs.cancel") == [()], "no job of it besides")


async def test_a_sweeps_runs_are_compared_as_lines(source: FakeSource) -> None:
    group = a_sweep(source)
    async with opened(source, wait_for="+ forest") as screen:
        await screen.press("c")
        await screen.until(lambda: isinstance(screen.app.screen, RunsScreen), "the dialog")
        await screen.shows("10 of 30 runs")
        shown = screen.text()
        assert "forest: accuracy by n_estimators, max_depth, kind" in shown
        assert "●" in shown or "◆" in shown
        first = next(row for row in screen.rows() if "> " in row and "DONE" in row)
        assert f" {group.best_id} DONE" in first, "the best has the first rank"
        await screen.press("j")
        await screen.shows("◆")
        await screen.press("m")
        await screen.shows("forest: loss by")
        await screen.press("enter")
        await screen.shows("Job #")
        await screen.press("escape")
        await screen.press("escape")
        await screen.shows("+ forest")


async def test_the_lines_are_drawn_in_ascii_at_any_size(source: FakeSource) -> None:
    group = a_sweep(source)
    kinds = ("a", "b", "\x1b[2J日本")
    columns = RunColumns(
        [JobId(200 + at) for at in range(3)],
        [StateName.SUCCEEDED] * 3,
        params=columns_of([[("kind", kind)] for kind in kinds]),
        metrics=columns_of([[("accuracy", score)] for score in (0.9, 0.8, 0.5)]),
    )
    source.swept = runs_of(group.id, group.name, 3, columns, group.judged_by)
    settings = Settings(screen=ScreenSettings(graph="ascii"))
    async with opened(source, NARROW, settings, wait_for="+ forest") as screen:
        await screen.press("c")
        await screen.shows("# best  O chosen")
        assert all(cell_len(row) == NARROW[0] for row in screen.rows())
        assert not any("\u2800" <= char <= "\u28ff" or char in "●◆│日\x1b" for row in screen.rows()[1:-8]
                       for char in row[2:-2])  # fmt: skip
