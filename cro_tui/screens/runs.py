"""A dialog with all runs of a sweep: lines through its parameters and a metric, above the runs by rank.

It is given the runs, and reads them again while some are to come.
"""

from __future__ import annotations

from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from cro_tui.present.amounts import clean
from cro_tui.screen_host import ScreenHost
from cro_tui.widgets.parallel import MOST_LINES
from cro_tui.widgets.run_lines import RunLines
from cro_tui.widgets.run_table import RunTable
from jobs.core.jobs import Job
from jobs.core.sweeps import GroupRuns, ranked

_EVERY_S = 2.0


class RunsScreen(ModalScreen[None]):
    """`esc` or `c` closes it, `m` shows the next metric, `enter` opens the job."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,c,q", "close", "Close"),
        ("m", "turn(1)", "Next metric"),
        ("M", "turn(-1)", "Metric before"),
        ("enter", "open", "Open"),
    ]

    def __init__(self, runs: GroupRuns) -> None:
        super().__init__()
        self._runs = runs
        self._at = 0
        self._ranked: list[int] = []  # places of the runs
        self._best: int | None = None

    @property
    def host(self) -> ScreenHost:
        return cast(ScreenHost, self.app)

    @property
    def _metric(self) -> str:
        return self._runs.metrics[self._at] if self._runs.metrics else ""

    def compose(self) -> ComposeResult:
        with Vertical(id="runs"):
            yield RunLines(ascii_only=self.host.settings.screen.graph == "ascii", id="run-lines")
            yield RunTable(id="run-table")

    def on_mount(self) -> None:
        self._rank()
        self.query_one(RunTable).focus()
        self.set_interval(_EVERY_S, self._look)

    def _look(self) -> None:
        """Read the runs again while some of them are to come."""
        runs, source = self._runs, self.host.source
        if not self.is_current or (len(runs.columns.ids) >= runs.size and runs.columns.ended):
            return
        self.host.read(lambda: source.groups.runs(runs.lead), self._came, key="runs")

    def _came(self, runs: GroupRuns) -> None:
        if self.is_attached and runs != self._runs:
            metric = self._metric
            self._runs = runs
            self._at = runs.metrics.index(metric) if metric in runs.metrics else 0
            self._rank()

    def _rank(self) -> None:
        runs, metric = self._runs, self._metric
        self._ranked = ranked(runs, metric)
        self._best = self._ranked[0] if metric in runs.better else None
        shown = (metric, *(other for other in runs.metrics if other != metric)) if metric else ()
        self.query_one(RunTable).show(runs.columns, self._ranked, runs.varying, shown, self._best)
        self.query_one(RunLines).display = bool(metric)
        self._draw()

    @on(RunTable.CursorMoved)
    def _draw(self) -> None:
        chosen = self.query_one(RunTable).place
        self.query_one(RunLines).show(self._runs, self._ranked, self._metric, self._best, chosen)
        self.call_after_refresh(self._frame)

    def _frame(self) -> None:
        runs, frame = self._runs, self.query_one("#runs")
        ascii_only = self.host.settings.screen.graph == "ascii"
        column = runs.columns.metrics.get(self._metric, ())
        with_metric = sum(value is not None for value in column)
        said = [f"{with_metric:,} of {runs.size:,} runs"]
        if with_metric > MOST_LINES:
            said.append(f"every {-(-with_metric // MOST_LINES)}th drawn")
        if left := self.query_one(RunLines).left_out:
            said.append(f"{left} parameters have no room")
        what = f"{self._metric} by {', '.join(runs.varying)}" if self._metric else "no metric yet"
        frame.border_title = Content(clean(f"#{runs.lead} {runs.name}: {what}", 70))
        keys = "m metric  " if len(runs.metrics) > 1 else ""
        marks = "# best  O chosen" if ascii_only else "● best  ◆ chosen"
        frame.border_subtitle = Content(f"{' · '.join(said)} · {marks}  {keys}enter opens  esc closes")

    def action_turn(self, step: int) -> None:
        if len(self._runs.metrics) > 1:
            self._at = (self._at + step) % len(self._runs.metrics)
            self._rank()

    def action_open(self) -> None:
        from cro_tui.screens.job import JobScreen

        run = self.query_one(RunTable).run
        if run is None:
            return
        source, job_id = self.host.source, run.id

        def came(job: Job) -> None:
            self.app.push_screen(JobScreen(job))

        self.host.read(lambda: source.forecasts.explain(job_id), came, key="explain run")

    def action_close(self) -> None:
        self.dismiss(None)
