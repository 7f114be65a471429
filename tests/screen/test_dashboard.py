"""The dashboard: what it shows, and what its keys ask of the engine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from cro_tui.widgets.job_list import JobList
from jobs.core.jobs import GIB, JobId, Queued
from jobs.core.ports import CroError
from jobs.core.requests import DaemonStatus, Headroom, SortKey
from jobs.installation.settings import ScreenSettings, Settings
from jobs.records.load_history import CPU, MEM, Point
from tests.screen.conftest import NARROW, WIDE, opened
from tests.screen.fake import NOW, FakeSource, a_sample, gpu_capacity, job


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_every_job_stands_in_a_row_with_its_state_and_its_reason(
    source: FakeSource, size: tuple[int, int]
) -> None:
    async with opened(source, size) as screen:
        shown = screen.text()
        for words in (
            "41 RUN   tf_image_cnn",
            "42 WAIT  tf_text_lstm",
            "VRAM 10.0G, 6.0G free",
            "after #39",
            "4 cores, 2.4 free",
            "held by you",
            "memory 12.0G > 8.0G",
        ):
            assert words in shown
        assert all(cell_len(row) == size[0] for row in screen.rows())


async def test_a_machine_without_gpus_says_so_once_and_uses_the_room(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.shows("no GPU: no NVIDIA driver")
        assert screen.text().count("no GPU") == 1
        assert "waiting for CPU" in screen.text()


async def test_one_gpu_has_meters_and_several_have_rows(source: FakeSource) -> None:
    source.capacity, source.sample = gpu_capacity(1), a_sample(gpus=1)
    async with opened(source) as screen:
        await screen.shows("VRAM0 24.0G")
        assert "97%" in screen.text()
        assert "job #41" in screen.text()
    source.capacity, source.sample = gpu_capacity(4), a_sample(gpus=4)
    async with opened(source) as screen:
        await screen.shows("4 GPUs")
        assert "GPU3" in screen.text()
        assert "17.0G/24.0G" in screen.text()


async def test_the_graphs_zoom_out_to_a_day_and_back(source: FakeSource) -> None:
    source.points = tuple(Point(NOW - age, {CPU: 1.0, MEM: 0.5}) for age in range(3000, 0, -10))
    async with opened(source, settings=Settings(screen=ScreenSettings(graph="ascii"))) as screen:

        def top() -> str:
            return screen.rows()[2][2:40]  # the uppermost row of the CPU's graph

        assert "#" not in top()
        await screen.press("z")
        await screen.until(lambda: top().count("#") > 30, "ten full minutes")
        assert " 10m " in screen.rows()[1]
        await screen.press("z")
        await screen.until(lambda: " 1h " in screen.rows()[1], "the hour")
        assert 20 < top().count("#") < 34  # 50 of 60 minutes
        await screen.press("z", "z", "z")
        await screen.until(lambda: " 24h " in screen.rows()[1], "the day")
        assert top().count("#") <= 3
        await screen.press("Z", "Z", "Z", "Z")
        await screen.until(lambda: "h " not in screen.rows()[1][:40], "the present")
        assert "#" not in top()


async def test_meters_are_drawn_in_ascii_when_asked_for(source: FakeSource) -> None:
    settings = Settings(screen=ScreenSettings(graph="ascii"))
    async with opened(source, settings=settings) as screen:
        assert not any("\u2800" <= char <= "\u28ff" or char in "▓░" for char in screen.text())
        assert "use 61" in screen.text()


async def test_resizing_goes_between_both_sizes_without_losing_the_place(source: FakeSource) -> None:
    async with opened(source, WIDE) as screen:
        await screen.press("down", "down", "down")
        await screen.shows("Not started because:")
        await screen.pilot.resize_terminal(*NARROW)
        await screen.hides("Not started because:")
        await screen.shows("#42 waits: VRAM 10.0G, 6.0G free.")
        assert all(cell_len(row) == NARROW[0] for row in screen.rows())
        await screen.pilot.resize_terminal(*WIDE)
        await screen.shows("Not started because:")
        assert screen.app.screen.query_one(JobList).job == source.by_id[JobId(42)]


async def test_an_empty_queue_teaches(source: FakeSource) -> None:
    source.by_id.clear()
    async with opened(source, wait_for="No jobs. Press n to queue a recipe.") as screen:
        assert "no jobs" in screen.rows()[0]


async def test_cancelling_asks_once_says_what_is_lost_and_stops_that_job(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("x")
        await screen.shows("has run 00:41:12; what it has not saved is lost")
        assert source.called("jobs.cancel") == []
        await screen.press("escape")
        await screen.hides("is lost")
        assert source.called("jobs.cancel") == []
        await screen.press("x", "x")
        await screen.shows("#41 tf_image_cnn is being stopped.")
        assert source.called("jobs.cancel") == [(JobId(41),)]


async def test_actions_apply_to_all_marked_jobs(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("down", "down", "down", "space", "space")
        await screen.shows("2 marked")
        await screen.press("plus")
        await screen.until(lambda: source.called("jobs.set_priority"), "a change of priority")
        assert source.called("jobs.set_priority") == [((JobId(42), JobId(43)), 5)]
        await screen.press("h")
        await screen.until(lambda: source.called("jobs.hold"), "a hold")
        assert source.called("jobs.hold") == [(JobId(42), JobId(43))]
        await screen.press("escape", "escape")
        await screen.hides("2 marked")


async def test_a_held_job_is_let_go(source: FakeSource) -> None:
    async with opened(source) as screen:
        screen.app.screen.query_one(JobList).choose(JobId(46))
        await screen.press("h")
        await screen.shows("#46 let go.")
        assert source.called("jobs.release") == [(JobId(46),)]


async def test_a_retry_after_out_of_memory_offers_twice_the_memory(source: FakeSource) -> None:
    async with opened(source) as screen:
        screen.app.screen.query_one(JobList).choose(JobId(37))
        await screen.press("r")
        await screen.shows("retry with 16.0G of memory")
        await screen.press("enter")
        await screen.shows("a retry of #37")
        ((ids, needs),) = source.called("jobs.retry")
        assert ids == (JobId(37),)
        assert needs.mem_bytes == 16 * 2**30


async def test_a_retry_of_several_gives_more_memory_only_to_those_that_ran_out(source: FakeSource) -> None:
    async with opened(source) as screen:
        jobs = screen.app.screen.query_one(JobList)
        for job_id in (37, 36):
            jobs.choose(JobId(job_id))
            await screen.press("space")
        await screen.press("r")
        await screen.shows("retry with 16.0G of memory")
        await screen.press("enter")
        await screen.shows("a retry of #")
        calls = dict(source.called("jobs.retry"))
        assert list(calls) == [(JobId(36),), (JobId(37),)], "what others may wait for comes first"
        assert calls[(JobId(37),)].mem_bytes == 16 * 2**30
        assert calls[(JobId(36),)] is None


async def test_the_filter_narrows_as_one_types_and_esc_shows_all(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("slash")
        await screen.type("forest")
        await screen.hides("tf_text_lstm")
        await screen.shows("filter forest")
        await screen.type("x")
        await screen.shows('No job matches "forestx"')
        await screen.press("backspace", "enter")
        await screen.shows("sklearn_forest")
        assert screen.app.focused is screen.app.screen.query_one(JobList)
        await screen.press("escape")
        await screen.shows("tf_text_lstm")


async def test_the_sort_menu_changes_the_order(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("s")
        await screen.shows("Sort by")
        await screen.press("i")
        await screen.shows("sort id")
        jobs = screen.app.screen.query_one(JobList)
        await screen.until(lambda: [j.id for j in jobs._rows] == sorted(source.by_id), "the order of ids")
        assert SortKey.ID.value in screen.text()


async def test_draining_asks_and_can_be_taken_back(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("P")
        await screen.shows("Pause the queue?")
        await screen.press("P")
        await screen.until(lambda: source.called("scheduler.drain"), "a drain")
        source.daemon = DaemonStatus(True, 1, NOW - 10, draining=True)
        await screen.shows("starts nothing new")
        await screen.press("P")
        await screen.until(
            lambda: source.called("scheduler.drain") == [True, False], "the end of the drain"
        )


async def test_leaving_says_that_jobs_keep_running(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("q")
        await screen.shows("3 jobs keep running, 4 wait.")
        await screen.press("escape")
        await screen.hides("keep running")
        await screen.press("q", "q")
        assert screen.app.return_value == "3 jobs keep running, 4 wait."


async def test_leaving_an_idle_queue_asks_nothing(source: FakeSource) -> None:
    source.by_id = {number: each for number, each in source.by_id.items() if number in (36, 42)}
    async with opened(source, wait_for="tf_text_lstm") as screen:
        await screen.press("q")
        assert screen.app.return_value == ""


async def test_thousands_of_jobs_scroll_to_the_last(source: FakeSource) -> None:
    source.by_id.clear()
    source.add(*(job(number, f"job{number}", Queued(NOW)) for number in range(1, 201)))
    async with opened(source, wait_for="job1 ") as screen:
        await screen.press("G")
        await screen.shows("job200")
        assert screen.app.screen.query_one(JobList).job == source.by_id[JobId(200)]
        await screen.press("g")
        await screen.shows("job1 ")


async def test_another_key_from_the_settings_works_and_is_shown(source: FakeSource) -> None:
    async with opened(source, settings=Settings(keys={"job.cancel": "d", "nonsense": "z"})) as screen:
        await screen.shows("d Cancel")
        await screen.shows("nonsense")
        await screen.press("x")
        assert "is lost" not in screen.text()
        await screen.press("d")
        await screen.shows("is lost")


async def test_the_palette_lists_what_works_here(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("ctrl+p")
        await screen.type("pause queue")
        await screen.shows("Pause queue")
        await screen.press("enter")
        await screen.shows("Pause the queue?")


async def test_help_names_every_key(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("question_mark")
        await screen.shows("live load")
        await screen.shows("Everywhere")
        await screen.press("escape")
        await screen.hides("Everywhere")


async def test_the_curves_of_marked_jobs_lie_over_each_other(source: FakeSource) -> None:
    for job_id, slope in ((41, 1.0), (39, 0.5)):
        lines = [{"step": n, "accuracy": 1 - 1 / (1 + slope * n), "loss": 1 / n} for n in range(1, 30)]
        source.runs.events_path(JobId(job_id)).write_text("\n".join(map(json.dumps, lines)))
    async with opened(source, WIDE) as screen:
        await screen.press("space", "space", "c")
        await screen.shows("accuracy by step")
        assert "oo #41" in screen.text() and "xx #39" in screen.text()
        await screen.press("m")
        await screen.shows("loss by step")
        await screen.press("m", "escape")
        await screen.hides("Side by side")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_marked_jobs_stand_side_by_side(source: FakeSource, size: tuple[int, int]) -> None:
    async with opened(source, size) as screen:
        await screen.press("c")
        await screen.shows("Mark 2 to 6 jobs")
        await screen.press("space", "space", "c")
        await screen.shows("Side by side")
        await screen.shows("WHAT")
        assert "#41" in screen.text() and "#39" in screen.text()
        await screen.press("escape")
        await screen.hides("Side by side")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_what_is_free_stands_beside_what_the_next_job_needs(
    source: FakeSource, size: tuple[int, int]
) -> None:
    source.free = Headroom(2.4, 20 * GIB, (), source.by_id[JobId(45)])
    async with opened(source, size) as screen:
        await screen.shows("Free  CPU 2.4")
        await screen.shows("CPU 4")
        source.free = Headroom(9.0, 20 * GIB)
        source.add(job(47, "late", Queued(NOW)))
        screen.app.refresh_state()
        await screen.shows("nothing waits")
        source.fails = CroError("The store does not answer.")
        source.add(job(48, "later", Queued(NOW)))
        screen.app.refresh_state()
        await screen.shows("The store does not answer")
        assert "CPU 9" in screen.text()  # what was known stays, and the line below says how old it is


@pytest.mark.parametrize("size", [WIDE, NARROW, (400, 100)], ids=["120x40", "80x24", "400x100"])
async def test_sixteen_gpus_and_384_threads_still_read_and_look_back(
    source: FakeSource, size: tuple[int, int]
) -> None:
    source.capacity, sample = gpu_capacity(16), a_sample(gpus=16)
    devices = tuple(replace(each, utilisation=n / 20) for n, each in enumerate(sample.devices))
    source.sample = replace(sample, devices=devices, per_core=tuple(n / 384 for n in range(384)))
    points = [Point(NOW - 600 + at, {f"gpu:GPU-{n}": 1.0 for n in range(16)}) for at in range(0, 600, 10)]
    source.points = tuple(points)
    async with opened(source, size) as screen:
        for index in range(16):
            await screen.shows(f"{index * 5}%")
        if size[0] > 100:
            assert "GPU15" in screen.text() and "▁" in screen.text()
        await screen.press("z")
        await screen.until(lambda: source.called("machine.load_history"), "a look back")
        if size[0] > 100:
            await screen.shows("last 10m")
        assert all(cell_len(row) == size[0] for row in screen.rows())
        await screen.press("Z")
        await screen.hides("last 10m")
