"""The Processes place by keyboard: look, sort, narrow, unfold, signal with a question first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from cro_tui.widgets.process_list import ProcessList
from jobs.core.jobs import GIB, JobId
from jobs.core.machine import GpuHold
from jobs.core.requests import Headroom
from jobs.installation.settings import ScreenSettings, Settings
from jobs.machine.process_groups import UNSEEN, GroupKind, Process, ProcessGroup
from tests.screen.conftest import NARROW, WIDE, opened
from tests.screen.fake import NOW, FakeSource, a_machine, a_sample, gpu_capacity, idle_machine


@pytest.fixture
def machine(source: FakeSource) -> FakeSource:
    source.process_groups = a_machine()
    source.free = Headroom(1.5, 6 * GIB, (), source.by_id[JobId(42)])
    return source


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_it_shows_jobs_and_the_rest_and_what_is_free(
    machine: FakeSource, size: tuple[int, int]
) -> None:
    async with opened(machine, size) as screen:
        await screen.press("4")
        await screen.shows("#41")
        await screen.shows("sklearn_forest")
        await screen.shows("Free for jobs  CPU 1.5 of")
        await screen.shows("Next           #42")
        await screen.shows("2 rows")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_gpu_memory_that_is_held_for_nothing_is_said_on_the_row_and_beside_the_gpu(
    machine: FakeSource, size: tuple[int, int]
) -> None:
    gone = Process(900, 0, gpu_mem_bytes=GIB, seen=False)
    machine.process_groups = (
        *idle_machine(),
        ProcessGroup(GroupKind.UNSEEN, "unseen 900", f"pid 900 {UNSEEN}", (gone,)),
    )
    machine.capacity, machine.sample = gpu_capacity(2), a_sample(gpus=2)
    hold = GpuHold(511, 9, 38 * GIB, JobId(41), NOW - 2520)
    idle = replace(machine.sample.devices[1], utilisation=0.0, holds=(hold,))
    machine.sample = replace(machine.sample, devices=(machine.sample.devices[0], idle))
    async with opened(machine, size) as screen:
        await screen.shows("holds 38.0G, idle 42m")
        await screen.press("4")
        await screen.shows("+ holds 38.0G, idle 42m: s")
        await screen.shows("pid 900 has ended")
        await screen.press("enter")
        await screen.shows("|- holds 38.0G, idle 42m:")
        if size == WIDE:
            await screen.shows("idle 42m: python train.py")


@pytest.mark.parametrize("size", [(400, 100), NARROW], ids=["400x100", "80x24"])
async def test_three_thousand_processes_in_as_many_rows(source: FakeSource, size: tuple[int, int]) -> None:
    source.process_groups = tuple(
        ProcessGroup(
            GroupKind.SESSION,
            f"session {pid}",
            f"worker {pid}",
            (Process(pid, 7, 1, pid, cpus=pid / 1e3, user="bo"),),
        )
        for pid in range(1001, 4001)
    )
    async with opened(source, size) as screen:
        await screen.press("4")
        await screen.shows("3000 rows")
        await screen.shows("worker 4000")  # the busiest is the first
        await screen.press("end")
        await screen.shows("worker 1001")
        await screen.press("slash", *"worker 1234")
        await screen.hides("worker 1001")
        await screen.shows("worker 1234")
        assert all(cell_len(row) == size[0] for row in screen.rows())


async def test_a_row_unfolds_into_its_processes_without_what_they_hide(machine: FakeSource) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("sklearn_forest")
        await screen.press("enter")
        await screen.shows("`- python worker.py")
        assert "\x1b[31m" not in screen.text()
        await screen.press("enter")
        await screen.hides("`- python worker.py")


async def test_it_narrows_as_one_types_and_says_what_cannot_be_read(machine: FakeSource) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("bash")
        await screen.press("slash")
        await screen.type("mem>1G")
        await screen.shows("1 row ")
        await screen.type(" ram>1")
        await screen.shows("There is no column 'ram'")
        await screen.press("escape")
        await screen.shows("2 rows")


async def test_a_signal_is_asked_for_and_names_what_it_hits(machine: FakeSource) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("sklearn_forest")
        view = screen.app.screen.query_one(ProcessList)
        await screen.press("j")
        await screen.until(lambda: view.row and view.row.group.title == "bash", "the cursor on bash")
        await screen.press("x")
        await screen.shows("pid 700")
        await screen.press("escape")
        assert machine.called("machine.signal") == []
        await screen.press("x")
        await screen.shows("pid 700")
        await screen.press("k")
        await screen.shows("SIGKILL sent to 1 process.")
        assert machine.called("machine.signal") == [((700,), 9)]


async def test_a_screen_that_only_shows_changes_nothing(machine: FakeSource) -> None:
    settings = Settings(screen=ScreenSettings(readonly=True))
    async with opened(machine, settings=settings) as screen:
        await screen.press("h")
        await screen.shows("This screen only shows.")
        await screen.press("4")
        await screen.shows("bash")
        await screen.press("j")
        view = screen.app.screen.query_one(ProcessList)
        await screen.until(lambda: view.row and view.row.group.title == "bash", "the cursor on bash")
        await screen.press("x", "k")
        await screen.shows("This screen only shows.")
        for call in ("machine.signal", "jobs.hold", "scheduler.start"):
            assert machine.called(call) == []


async def test_a_job_is_pointed_to_its_proper_stop(machine: FakeSource) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("sklearn_forest")
        await screen.press("x")
        await screen.shows("This is job #41: x on the Jobs place stops it properly.")


async def test_elsewhere_nothing_is_read(machine: FakeSource) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("sklearn_forest")
        await screen.press("1")
        await screen.shows("Why")
        before = len(machine.called("machine.processes"))
        for _ in range(3):
            await screen.pilot.pause(0.5)
        assert len(machine.called("machine.processes")) <= before + 1


async def test_while_it_is_narrowed_every_process_is_read(machine: FakeSource) -> None:
    async with opened(machine, NARROW) as screen:
        await screen.press("4")
        await screen.shows("bash")
        await screen.press("slash")
        await screen.type("train")
        everyone = {process.pid for group in machine.process_groups for process in group.processes}
        await screen.until(
            lambda: any(set(shown) == everyone for shown in machine.called("machine.processes")),
            "a look at all",
        )


async def test_a_list_that_was_scrolled_shows_what_changes_in_it(source: FakeSource) -> None:
    last = ProcessGroup(GroupKind.SESSION, "session 1", "the last", (Process(1, 7, 1, 1, mem_bytes=GIB),))
    others = tuple(
        ProcessGroup(GroupKind.SESSION, f"session {pid}", "other", (Process(pid, 7, 1, pid, cpus=1.0),))
        for pid in range(2, 80)
    )
    source.process_groups = (last, *others)
    async with opened(source, NARROW) as screen:
        await screen.press("4")
        await screen.shows("79 rows")
        await screen.press("end")
        await screen.shows("the last")
        await screen.press("up")
        source.process_groups = (
            replace(last, processes=(replace(last.processes[0], mem_bytes=7 * GIB),)),
            *others,
        )
        await screen.shows("7.0G")


async def test_colours_chosen_elsewhere_are_those_of_a_place_that_was_there_before(
    machine: FakeSource,
) -> None:
    async with opened(machine) as screen:
        await screen.press("4")
        await screen.shows("[4 Processes]")
        before = screen.app.screen.styles.background
        await screen.press("1")
        await screen.shows("[1 Jobs]")
        screen.app.theme = "textual-light"
        await screen.until(lambda: screen.app.screen.styles.background != before, "other colours")
        chosen = screen.app.screen.styles.background
        await screen.press("4")
        await screen.shows("[4 Processes]")
        await screen.until(lambda: screen.app.screen.styles.background == chosen, "the same colours")
        assert screen.app.screen.query_one(ProcessList).styles.background == chosen
