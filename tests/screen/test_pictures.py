"""Pictures of the screens at both sizes, with a fixed clock and a fixed engine.

After a wanted change of the look: `pytest tests/screen/test_pictures.py --snapshot-update`, and look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from cro_tui.app import CroApp
from cro_tui.widgets.lines import HeaderLine
from jobs.model import GIB, JobId
from jobs.settings import ScreenSettings, Settings
from jobs.views import Headroom
from tests.screen.conftest import NARROW, WIDE, Screen
from tests.screen.fake import FakeSource, a_sample, a_sweep, gpu_capacity, idle_machine
from tests.screen.test_models import filled

Compare = Callable[..., bool]


def app_of(source: FakeSource) -> CroApp:
    return CroApp(source, Settings(), clock=lambda: source.now)


def after(source: FakeSource, wait_for: str, *keys: str, then: str = "") -> Callable[[Pilot[str]], object]:
    """Wait for the picture, press keys, wait again, and hold everything still."""

    async def run(pilot: Pilot[str]) -> None:
        app = pilot.app
        assert isinstance(app, CroApp)
        screen = Screen(app, pilot, source)
        await screen.shows(wait_for)
        await screen.press(*keys)
        if then:
            await screen.shows(then)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await asyncio.sleep(0.3)
        await pilot.pause()
        assert app.screen_stack[0].query(HeaderLine)

    return run


@pytest.fixture
def gpu_source(source: FakeSource, tmp_path: Path) -> FakeSource:
    source.capacity, source.sample = gpu_capacity(1), a_sample(gpus=1)
    source.free = Headroom(5.1, 20 * GIB, (("0", 6 * GIB),), source.jobs[JobId(42)])
    lines = [
        f"Epoch {epoch}/20  412/642 ━━━━━━━━╸ loss 0.{1900 - epoch} acc 0.93{epoch:02}\n"
        for epoch in range(1, 16)
    ]
    (tmp_path / "41.log").write_text("".join(lines))
    return source


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_dashboard(gpu_source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    run = after(gpu_source, "15 lines", "down", "down", "down", then="> ")
    assert snap_compare(app_of(gpu_source), terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
@pytest.mark.parametrize("graph", ["braille", "ascii"], ids=["no_color", "ascii"])
@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ((), "> "),
        (("4", "enter"), "worker.py"),
        (("3", "j"), "#37, attempt 1"),
        (("n", "f", "o", "r"), "Random"),
    ],
    ids=["dashboard", "processes", "models", "recipes"],
)
def test_without_colour_or_braille(  # noqa: PLR0917 - pytest calls it by keyword
    gpu_source: FakeSource,
    tmp_path: Path,
    keys: tuple[str, ...],
    shown: str,
    graph: str,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    snap_compare: Compare,
) -> None:
    if graph == "braille":
        monkeypatch.setenv("NO_COLOR", "1")
    source = filled(gpu_source, tmp_path)
    source.capacity, source.sample, source.groups = gpu_capacity(2), a_sample(gpus=2), idle_machine()
    run = after(source, "#42", *keys, then=shown)
    calm = Settings(screen=ScreenSettings(refresh_s=5.0, graph=graph))
    app = CroApp(source, calm, clock=lambda: source.now)
    assert snap_compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_dashboard_without_gpu(source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    source.free = Headroom(2.4, 20 * GIB, (), source.jobs[JobId(45)])
    run = after(source, "Nothing printed yet.")
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_queue_form(source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    run = after(
        source, "Nothing printed yet.", "n", "f", "o", "r", "e", "s", "t", "enter", then="Would start: now"
    )
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)


def test_recipes(source: FakeSource, snap_compare: Compare) -> None:
    run = after(source, "Nothing printed yet.", "2", then="Learns something.")
    assert snap_compare(app_of(source), terminal_size=WIDE, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_processes(source: FakeSource, size: tuple[int, int], snap_compare: Compare) -> None:
    source.groups, source.free = idle_machine(), Headroom(1.5, 6 * GIB, (), source.jobs[JobId(42)])
    run = after(source, "Nothing printed yet.", "4", "enter", then="worker.py")
    calm = Settings(screen=ScreenSettings(refresh_s=5.0))  # what the app itself costs is never the same
    app = CroApp(source, calm, clock=lambda: source.now)
    assert snap_compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_models(source: FakeSource, tmp_path: Path, size: tuple[int, int], snap_compare: Compare) -> None:
    run = after(filled(source, tmp_path), "sklearn_gridsearch", "3", "j", then="#37, attempt 1")
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
def test_models_side_by_side(
    source: FakeSource, tmp_path: Path, size: tuple[int, int], snap_compare: Compare
) -> None:
    run = after(filled(source, tmp_path), "sklearn_gridsearch", "3", "c", then="0.9778 *")
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
@pytest.mark.parametrize("keys", [("enter",), ("c", "j", "j")], ids=["unfolded", "runs"])
def test_a_sweep(
    source: FakeSource, keys: tuple[str, ...], size: tuple[int, int], snap_compare: Compare
) -> None:
    a_sweep(source)
    then = "- forest" if keys == ("enter",) else "10 of 30 runs"
    run = after(source, "+ forest", *keys, then=then)
    assert snap_compare(app_of(source), terminal_size=size, run_before=run)
