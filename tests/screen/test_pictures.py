"""Pictures of the screens at both sizes, with a fixed clock and a fixed engine.

After a wanted change of the look: `pytest tests/screen/test_pictures.py --snapshot-update`, and look at it.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cro_tui.app import CroApp
from cro_tui.widgets.lines import HeaderLine
from jobs.core.jobs import GIB, JobId
from jobs.core.requests import Headroom
from jobs.installation.settings import ScreenSettings, Settings
from jobs.records.usage_trace import Moment
from tests.screen.conftest import NARROW, WIDE, Screen
from tests.screen.fake import NOW, FakeSource, a_sample, a_sweep, gpu_capacity, idle_machine
from tests.screen.test_models import filled

Compare = Callable[..., bool]


def app_of(source: FakeSource) -> CroApp:
    return CroApp(source, Settings(), clock=lambda: source.now)


def after(source: FakeSource, wait_for: str, *steps: tuple[str, str]) -> Callable[[Pilot[str]], object]:
    """Wait for the picture; press keys and wait for what they show, step by step; hold everything still."""

    async def run(pilot: Pilot[str]) -> None:
        app = pilot.app
        assert isinstance(app, CroApp)
        screen = Screen(app, pilot, source)
        await screen.shows(wait_for)
        for keys, shown in steps:
            await screen.press(*keys.split())
            await screen.shows(shown)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await asyncio.sleep(0.3)
        await pilot.pause()
        assert app.screen_stack[0].query(HeaderLine)

    return run


@pytest.fixture
def gpu_source(source: FakeSource, tmp_path: Path) -> FakeSource:
    source.capacity, source.sample = gpu_capacity(1), a_sample(gpus=1)
    source.free = Headroom(5.1, 20 * GIB, (("0", 6 * GIB),), source.by_id[JobId(42)])
    lines = [
        f"Epoch {epoch}/20  412/642 ━━━━━━━━╸ loss 0.{1900 - epoch} acc 0.93{epoch:02}\n"
        for epoch in range(1, 16)
    ]
    (tmp_path / "41.log").write_text("".join(lines))
    return source


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_dashboard(gpu_source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    run = after(gpu_source, "15 lines", ("down down down", "> "))
    assert snap_compare(app_of(gpu_source), terminal_size=size, run_before=run)


def full(source: FakeSource, folder: Path, *, swept: bool) -> FakeSource:
    """Something to see in every place: GPUs, models, processes, what jobs used and reported, or a sweep."""
    source.capacity, source.sample, source.process_groups = (
        gpu_capacity(2),
        a_sample(gpus=2),
        idle_machine(),
    )
    source.free = Headroom(5.1, 20 * GIB, (("0", 6 * GIB), ("1", 6 * GIB)), source.by_id[JobId(42)])
    source.traces[JobId(41)] = tuple(
        Moment(
            NOW - 2472 + at, 1.6 + math.sin(at / 200), int((2 + at / 600) * GIB), at, (at // 800 + 4) * GIB
        )
        for at in range(0, 2472, 12)
    )
    for job_id, slope in ((41, 1.0), (39, 0.5)):
        points = [{"step": at, "accuracy": 1 - 1 / (1 + slope * at), "loss": 1 / at} for at in range(1, 30)]
        source.runs.events_path(JobId(job_id)).write_text("\n".join(map(json.dumps, points)))
    if swept:
        a_sweep(source)
    return filled(source, folder)


SCENES = {  # keys to press, and what they show
    "dashboard": (("", "> "),),
    "job": (("enter", "most 2.6 cores"), ("less_than_sign " * 20, "line of ")),
    "compare": (("space space c", "accuracy by step"),),
    "sweep": (("enter", "- forest"),),
    "runs": (("c", "10 of 30 runs"), ("j j", "> ")),
    "pick": (("n f o r", "Random"),),
    "form": (("n f o r e s t enter", "Would start: now"),),
    "recipes": (("2", "Learns something."),),
    "models": (("3", "digits_forest:3"), ("j", "#37, attempt 1")),
    "models-compare": (("3", "digits_forest:3"), ("c", "0.9778 *")),
    "processes": (("4 enter", "worker.py"),),
    "help": (("question_mark", "Everywhere"),),
}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
@pytest.mark.parametrize("look", ["colour", "no_color", "ascii"])
@pytest.mark.parametrize("scene", SCENES)
def test_screens(  # noqa: PLR0917 - pytest calls it by keyword
    source: FakeSource,
    tmp_path: Path,
    scene: str,
    look: str,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    snap_compare: Compare,
) -> None:
    if look == "no_color":
        monkeypatch.setenv("NO_COLOR", "1")
    run = after(full(source, tmp_path, swept=scene in {"sweep", "runs"}), "Log #", *SCENES[scene])
    graph = "ascii" if look == "ascii" else "braille"
    calm = Settings(
        screen=ScreenSettings(refresh_s=5.0, graph=graph)
    )  # what the app itself costs is never the same
    app = CroApp(source, calm, clock=lambda: source.now)
    assert snap_compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_dashboard_without_gpu(source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    source.free = Headroom(2.4, 20 * GIB, (), source.by_id[JobId(45)])
    run = after(source, "Nothing printed yet.")
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)
