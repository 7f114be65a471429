"""Queueing by keyboard alone: pick, fill in, see when it would start, queue."""

from __future__ import annotations

from textual.events import Key
from textual.widgets import Input

from cro_tui.screens.form import QueueForm
from cro_tui.screens.pick import Pick
from cro_tui.widgets.job_list import JobList
from jobs.core.jobs import GIB, Dependency, DependencyKind, JobId, Needs, Reason, ReasonCode, Unit
from jobs.core.ports import StateUnavailable
from jobs.core.requests import Preview
from tests.screen.conftest import NARROW, Screen, opened
from tests.screen.fake import NOW, FakeSource

WAITS = Preview(
    Needs(),
    reasons=(Reason(ReasonCode.MEMORY, 8 * GIB, 6 * GIB, Unit.BYTES, (JobId(41),)),),
    estimated_start_at=NOW + 960,
)


async def open_form(screen: Screen, name: str = "forest") -> None:
    await screen.press("n")
    await screen.shows("Random forest")
    await screen.type(name)
    await screen.hides("Linear model")
    await screen.press("enter")
    await screen.shows("Would start: now")


async def test_a_recipe_is_queued_wholly_by_keyboard(source: FakeSource) -> None:
    async with opened(source, NARROW) as screen:
        await open_form(screen)
        await screen.press("tab")
        await screen.press("ctrl+u")
        await screen.type("50")
        for _ in range(3):
            await screen.press("down")
        await screen.type("1.5")  # CPU
        await screen.press("tab")
        await screen.type("4G")
        await screen.press("ctrl+s")
        await screen.shows("#47 queued - starts now")
        ((request,),) = source.called("jobs.submit")
        assert request.recipe == "sklearn_forest"
        assert request.params == {
            "data": "digits", "n_estimators": "50", "test_share": "0.25", "shuffle": True,
        }  # fmt: skip
        assert (request.needs.cpus, request.needs.mem_bytes) == (1.5, 4 * GIB)
        assert request.priority == 50
        jobs = screen.app.screen.query_one(JobList)
        await screen.until(lambda: jobs.job and jobs.job.id == 47, "the cursor on #47")


async def test_what_is_typed_in_one_burst_goes_where_a_slow_hand_would_have_put_it(
    source: FakeSource,
) -> None:
    async with opened(source) as screen:
        for key in ("n", *"forest", "enter"):
            screen.app.post_message(Key(key, key if len(key) == 1 else None))
        await screen.shows("Queue a job: sklearn_forest")
        for key in ("tab", "ctrl+u", *"50", "tab", "tab", "tab", *"1.5", "tab", *"4G", "ctrl+s"):
            screen.app.post_message(Key(key, key if len(key) == 1 else None))
        await screen.shows("#47 queued - starts now")
        ((request,),) = source.called("jobs.submit")
        assert request.params["n_estimators"] == "50"
        assert (request.needs.cpus, request.needs.mem_bytes) == (1.5, 4 * GIB)
        assert source.called("jobs.retry") == [] and source.called("jobs.cancel") == []


async def test_when_it_would_start_and_why_not_now_is_said_live(source: FakeSource) -> None:
    source.preview_answer = WAITS
    async with opened(source) as screen:
        await screen.press("n")
        await screen.shows("Random forest")
        await screen.type("forest")
        await screen.press("enter")
        await screen.shows("Would start: about 12:20 (~16m)")
        await screen.press("ctrl+s")
        await screen.shows("#47 queued - waits: about 12:20")


async def test_every_problem_is_shown_at_once_and_nothing_is_queued(source: FakeSource) -> None:
    async with opened(source) as screen:
        await open_form(screen)
        form = screen.app.screen
        form.query_one("#v-1", Input).value = "many"
        form.query_one("#f-mem", Input).value = "lots"
        form.query_one("#f-after", Input).value = "x"
        await screen.press("ctrl+s")
        await screen.shows("x n_estimators must be a whole")
        await screen.shows("mem: Write it like 600M or 1.5G.")
        await screen.shows("after: Write it like")
        await screen.shows("fix n_estimators, mem, after")
        assert source.called("jobs.submit") == []
        assert form.query_one("#v-1", Input).value == "many"
        await screen.press("escape")
        await screen.hides("Would start")
        assert source.called("jobs.submit") == []


async def test_a_command_of_ones_own(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("n")
        await screen.type("a comm")
        await screen.shows("a command")
        await screen.press("enter")
        await screen.shows("a program and its arguments")
        await screen.type("python train.py --name 'a b'")
        form = screen.app.screen
        form.query_one("#f-after", Input).value = "39 any:41"
        await screen.press("ctrl+s")
        await screen.until(lambda: source.called("jobs.submit"), "a submit")
        ((request,),) = source.called("jobs.submit")
        assert request.argv == ("python", "train.py", "--name", "a b")
        assert request.after == (Dependency(JobId(39)), Dependency(JobId(41), DependencyKind.ANY))


async def test_a_broken_recipe_says_why_and_opens_no_form(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("n")
        await screen.shows("Random forest")
        await screen.type("broken")
        await screen.shows("1 problem")
        await screen.press("enter")
        await screen.shows('x line 7: Unknown key "titel"')
        assert isinstance(screen.app.screen, Pick)


async def test_what_goes_wrong_while_queueing_is_said_and_what_was_typed_stays(source: FakeSource) -> None:
    async with opened(source) as screen:
        await open_form(screen)
        await screen.type("wine")
        source.fails = StateUnavailable("The database is locked.", "Try again in a moment.")
        await screen.press("ctrl+s")
        await screen.shows("x The database is locked. Try again in a moment.")
        assert isinstance(screen.app.screen, QueueForm)
        source.fails = None
        await screen.press("ctrl+s")
        await screen.shows("#47 queued")


async def test_the_recipes_screen_searches_explains_and_queues(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("2")
        await screen.shows("Learns something.")
        await screen.shows("[2 Recipes]")
        assert "int, 1-5000" in screen.text()
        await screen.press("slash")
        await screen.type("brok")
        await screen.shows('line   7  Unknown key "titel"')
        await screen.press("escape")
        await screen.shows("Random forest")
        await screen.press("enter")
        await screen.shows("Queue a job: sklearn_forest")
        await screen.shows("Would start: now")
        await screen.press("ctrl+s")
        await screen.until(lambda: source.called("jobs.submit"), "a submit")
        await screen.press("1")
        await screen.shows("[1 Jobs]")


LEARNED = Preview(
    Needs(cpus=2.0, mem_bytes=12 * GIB),
    learned=Needs(cpus=1.5, mem_bytes=10 * GIB),
    learned_runs=7,
    starts_now=True,
)


async def test_what_was_learned_is_said_and_one_key_writes_it_down(source: FakeSource) -> None:
    source.preview_answer = LEARNED
    async with opened(source) as screen:
        await open_form(screen)
        await screen.shows("MEM asked 12.0G, learned 10.0G; CPU asked 2, learned 1.5 (7 runs).")
        await screen.press("ctrl+l")
        await screen.shows("takes it")
        await screen.press("ctrl+s")
        await screen.shows("#47 queued")
        ((request,),) = source.called("jobs.submit")
        assert (request.needs.cpus, request.needs.mem_bytes) == (1.5, 10 * GIB)
