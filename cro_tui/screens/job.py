"""Everything about one job: where it stands and why, needs and use, parameters, history, and its log.

It follows the newest picture; what the picture lacks it reads elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from cro_tui.actions import Where, bindings, footer_items
from cro_tui.poller import ScreenState
from cro_tui.present import (
    bytes_text,
    clean,
    clock_text,
    duration_text,
    elapsed_s,
    finished_at,
    flagged_text,
    metrics_text,
    name_text,
    needs_text,
    number_text,
    reported_text,
    result_sentence,
    started_at,
    state_word,
    why_lines,
)
from cro_tui.present.compare import outcome_sentence
from cro_tui.present.sweep import sweep_line
from cro_tui.screens.job_actions import JobActions
from cro_tui.screens.log_pane import LogPane
from cro_tui.widgets.lines import FooterLine, HeaderLine, NoticeLine
from cro_tui.widgets.log_view import LogView
from cro_tui.widgets.strips import plain
from cro_tui.widgets.usage_trace import UsageTrace
from cro_tui.widgets.why_panel import command_text
from jobs.core.jobs import Ended, Job, Waiting
from jobs.core.requests import FirstRun, HistoryEntry
from jobs.core.sweeps import SweepSummary
from jobs.core.tracking import Reported
from jobs.kinds.optimization import in_sweep
from jobs.records.usage_trace import Moment

Part = str | tuple[str, str]
_TRACE_S = 5.0  # between two readings of a running job's trace


class JobScreen(LogPane, JobActions):
    WHERE = Where.JOB
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.JOB)]
    AUTO_FOCUS = "#log"

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._history: tuple[HistoryEntry, ...] = ()
        self._told: tuple[str, str] = ("", "")
        self._traced: tuple[int, bool] | None = None
        self._traced_at = self._swept_at = 0.0
        self._sweep = self._outcome = ""

    @property
    def targets(self) -> Sequence[Job]:
        return (self._job,)

    def compose(self) -> ComposeResult:
        yield HeaderLine(id="header")
        with Horizontal(id="facts"):
            with VerticalScroll(id="job-left", classes="panel"):
                yield Static(markup=False, id="job-facts")
            with VerticalScroll(id="job-right", classes="panel"):
                yield Static(markup=False, id="job-story")
        yield UsageTrace(ascii_only=self.host.settings.screen.graph == "ascii", id="usage")
        yield LogView(id="log")
        yield NoticeLine(id="notice")
        yield Input(id="prompt", compact=True, select_on_focus=False)
        yield FooterLine(footer_items(Where.JOB, self.host.settings.keys), id="footer")

    def on_mount(self) -> None:
        self.query_one("#job-left").border_title = Content(f"Job #{self._job.id}")
        self.query_one("#job-right").border_title = Content("Why and when")

    def show_state(self, picture: ScreenState) -> None:
        super().show_state(picture)
        found = next((job for job in picture.snapshot.jobs if job.id == self._job.id), None)
        if found is not None:
            self._take(found)
        else:
            job_id = self._job.id
            self.host.read(lambda: self.host.source.forecasts.explain(job_id), self._take, key="explain")
        self._show()

    def _take(self, job: Job) -> None:
        if not self.is_attached:
            return
        if job.state != self._job.state or not self._history:
            job_id = self._job.id
            self.host.read(lambda: self.host.source.jobs.history(job_id), self._remember, key="history")
            if job.spec.retry_of is not None and isinstance(job.state, Ended):
                self.host.read(
                    lambda: self.host.source.runs.retry_origin(job),
                    partial(self._compare, job),
                    key="first run",
                )
        self._job = job
        if isinstance(job.state, Waiting) and not job.attempts:
            self.query_one(LogView).open(None, f"Log #{job.id} {name_text(job, 40)}", "")
        self.show_log_of(job)
        self._show()
        self._read_trace()
        self._read_sweep()

    def _read_sweep(self) -> None:
        """How far the sweep is that it belongs to, and which is the best: every few seconds."""
        job_id, now = self._job.id, self.host.now()
        if not in_sweep(self._job) or 0 <= now - self._swept_at < _TRACE_S:
            return
        self._swept_at = now

        def came(sweep: SweepSummary) -> None:
            self._sweep = sweep_line(sweep)
            if self.is_attached:
                self._show()

        self.host.read(lambda: self.host.source.groups.summary(job_id), came, key="sweep")

    def _read_trace(self) -> None:
        """Once for a job that has ended, every few seconds for one that runs."""
        job, now = self._job, self.host.now()
        key = (job.attempts, isinstance(job.state, Ended))
        if not job.attempts or (key == self._traced and (key[1] or 0 <= now - self._traced_at < _TRACE_S)):
            return
        self._traced, self._traced_at = key, now
        job_id = job.id

        def came(moments: tuple[Moment, ...]) -> None:
            if self.is_attached:
                self.query_one(UsageTrace).show(moments)

        self.host.read(lambda: self.host.source.runs.usage_trace(job_id), came, key="trace")

    def action_scrub(self, by: int) -> None:
        self.query_one(UsageTrace).scrub(by)

    @on(UsageTrace.Scrubbed)
    def _scrubbed(self, event: UsageTrace.Scrubbed) -> None:
        moment, job_id = event.moment, self._job.id
        if moment is None:
            return

        def came(line: str) -> None:
            if self.is_attached:
                self.query_one(UsageTrace).tell(line)

        self.host.read(lambda: self.host.source.runs.log_line_at(job_id, moment), came, key="scrub")

    def _remember(self, history: tuple[HistoryEntry, ...]) -> None:
        self._history = history
        if self.is_attached:
            self._show()

    def _compare(self, job: Job, first: FirstRun | None) -> None:
        self._outcome = outcome_sentence(job, first)
        if self.is_attached:
            self._show()

    def _show(self) -> None:
        """Lay the texts out anew only if a word of them changed."""
        now = self.host.now()
        left = _facts(
            self._job, now, self.host.state.reported.get(self._job.id), self._sweep, self._outcome
        )
        right = _story(self._job, self._history, now, self.host.state)
        told = (left.plain, right.plain)
        if told != self._told:
            self._told = told
            self.query_one("#job-facts", Static).update(left)
            self.query_one("#job-story", Static).update(right)

    def action_back(self) -> None:
        if self.has_class("-full-log") or self._asking:
            self.step_back()
        elif self.host.notice() is not None:
            super().action_back()
        else:
            self.dismiss(None)


def _facts(job: Job, now: float, reported: Reported | None, sweep: str, outcome: str) -> Content:
    usage, spec = job.usage, job.spec
    rows = [
        ("State", f"{state_word(job)}  {result_sentence(job)}".rstrip()),
        ("Name", name_text(job, 80)),
        ("Sweep", sweep),
        ("Submitted", clock_text(job.submitted_at, now)),
        ("Started", clock_text(started_at(job), now)),
        ("Ended", clock_text(finished_at(job), now)),
        ("Elapsed", duration_text(elapsed_s(job, now))),
        ("Attempt", str(job.attempts)),
        ("Priority", str(spec.priority)),
        ("Needs", needs_text(spec.needs)),
        ("CPU now", f"{number_text(usage.cpus)} cores"),
        ("CPU used", duration_text(usage.cpu_s)),
        ("Memory", f"{bytes_text(usage.mem_bytes)} now, {bytes_text(usage.peak_mem_bytes)} at most"),
        ("Metrics", metrics_text(job, 8)),
        ("Reports", "" if reported is None else reported_text(reported, 8)),
        ("Step", "" if reported is None or reported.step is None else str(reported.step)),
        ("Note", "" if reported is None or not reported.notes else plain(reported.notes[-1], 300)),
        ("Flagged", "" if reported is None else flagged_text(reported)),
        ("Outcome", outcome),
        ("Command", command_text(job, 1000)),
        ("Folder", plain(spec.cwd, 300)),
    ]
    if spec.retry_of is not None:
        rows.append(("Retry of", f"#{spec.retry_of}"))
    parts: list[Part] = []
    for label, value in rows:
        if value and value != "-":
            parts += [(f" {label:<10} ", "dim"), f"{value}\n"]
    for name, given in spec.params:
        parts += [(f" {clean(name, 24):<24} ", "dim"), f"{plain(str(given), 200)}\n"]
    return Content.assemble(*parts)


def _story(job: Job, history: Sequence[HistoryEntry], now: float, picture: ScreenState) -> Content:
    parts: list[Part] = [f" {line}\n" for line in why_lines(job, now, picture.snapshot.capacity, keys=True)]
    if history:
        parts.append(("\n History\n", "bold"))
    for entry in history:
        attempt = f"attempt {entry.attempt}  " if entry.attempt else ""
        when, event = clock_text(entry.at, now), plain(entry.event, 40)
        parts.append(f" {when}  {event}  {attempt}{plain(entry.detail, 200)}\n")
    return Content.assemble(*parts)
