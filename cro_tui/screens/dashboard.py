"""The first place: live load, the queue, why a job waits, and its log.

It shows pictures and passes wishes on; it never schedules, and never waits for the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from cro_tui.actions import Where, bindings, footer_items
from cro_tui.poller import ScreenState
from cro_tui.present import clock_text, counted, next_step, reason_short, result_sentence, start_sentence
from cro_tui.present.groups import group_sentence
from cro_tui.screens.ask import ConfirmDialog, DialogChoice
from cro_tui.screens.job_actions import JobActions
from cro_tui.screens.log_pane import LogPane
from cro_tui.widgets.headroom_line import HeadroomLine
from cro_tui.widgets.job_list import JobList
from cro_tui.widgets.lines import FooterLine, HeaderLine, NoticeLine
from cro_tui.widgets.log_view import LogView
from cro_tui.widgets.meters import Meters
from cro_tui.widgets.strips import plain
from cro_tui.widgets.why_panel import WhyPanel
from jobs.core.jobs import Ended, Job, JobId, ReasonCode, Succeeded, Waiting
from jobs.core.requests import Headroom, JobGroup, JobQuery, ListRow, SortKey, StartEstimate
from jobs.core.sweeps import GroupRuns
from jobs.core.tracking import Curve
from jobs.records.load_history import EVERY_S, Point

_SORTS = (
    (SortKey.QUEUE, "q", "running, then the order of starting, then ended"),
    (SortKey.ID, "i", "id"),
    (SortKey.NAME, "n", "name"),
    (SortKey.PRIORITY, "p", "priority"),
    (SortKey.STATE, "s", "state"),
    (SortKey.FINISHED, "f", "when it ended"),
)
_STALE_S = 3.0
_SPANS = (("", 0.0), ("10m", 600.0), ("1h", 3600.0), ("6h", 21_600.0), ("24h", 86_400.0))  # of the graphs
_LOOK_AHEAD_S = 30.0
_ROOM_EVERY_S = 5.0  # what is free for the next job takes a decision's work to tell


class Dashboard(LogPane, JobActions):
    """Two size classes share one set of widgets; the style sheet does the rest."""

    MODE = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.DASHBOARD)]
    AUTO_FOCUS = "JobList"

    def __init__(self) -> None:
        super().__init__()
        self._query = JobQuery(folded=True)
        self._zoom = 0  # of _SPANS
        self._zoomed_at = -math.inf
        self._room: Headroom | None = None
        self._room_of: tuple[object, ...] = ()
        self._room_at = -math.inf
        self._outlook: StartEstimate | None = None
        self._outlook_of: JobId | None = None
        self._looked_for: tuple[JobId, tuple[ReasonCode, ...]] | None = None
        self._looked_at = 0.0

    def compose(self) -> ComposeResult:
        settings = self.host.settings
        ascii_only = settings.screen.graph == "ascii"
        yield HeaderLine(id="header")
        yield Meters(settings.admission, ascii_only=ascii_only, id="meters")
        yield HeadroomLine(id="room")
        with Container(id="middle"):
            yield JobList(ascii_only=ascii_only, id="jobs")
            yield WhyPanel(id="why")
        yield LogView(id="log")
        yield NoticeLine(id="notice")
        yield Input(id="prompt", compact=True, select_on_focus=False)
        yield FooterLine(footer_items(Where.DASHBOARD, settings.keys), id="footer")

    @property
    def targets(self) -> tuple[ListRow, ...]:
        return self.query_one(JobList).targets

    def action_compare(self) -> None:
        from cro_tui.screens.compare import MOST, Compare

        rows = self.targets
        if len(rows) == 1 and isinstance(rows[0], JobGroup):
            self._compare_runs(rows[0])
            return
        jobs = tuple(row.foremost if isinstance(row, JobGroup) else row for row in rows)
        if not 2 <= len(jobs) <= MOST:
            say = f"Mark 2 to {MOST} jobs with space to see them side by side; of a sweep, all of its runs."
            self.host.set_notice(say, "warn")
            return
        source, now = self.host.source, self.host.now()

        def read() -> tuple[Mapping[str, str], list[Mapping[str, Curve]]]:
            return source.recipes.better_metrics(jobs[0].spec.recipe), [
                source.runs.curves(job.id) for job in jobs
            ]

        def came(found: tuple[Mapping[str, str], list[Mapping[str, Curve]]]) -> None:
            better, curves = found
            self.app.push_screen(Compare(jobs, better, now, curves))

        self.host.read(read, came, key="compare")

    def _compare_runs(self, group: JobGroup) -> None:
        """All runs of a sweep, as lines through its parameters and metrics."""
        source = self.host.source

        def came(runs: GroupRuns) -> None:
            from cro_tui.screens.runs import RunsScreen

            self.app.push_screen(RunsScreen(runs))

        self.host.read(lambda: source.groups.runs(group.id), came, key="compare")

    def action_zoom(self, step: int) -> None:
        self._zoom = max(0, min(len(_SPANS) - 1, self._zoom + step))
        self._zoomed_at = -math.inf
        self._look_back()

    def _look_back(self) -> None:
        """Draw the load of the time that was chosen; it is read again as it moves on."""
        span, span_s = _SPANS[self._zoom]
        now = self.host.now()
        if not span:
            self.query_one(Meters).look_back("", (), 0.0, 0.0)
            return
        if abs(now - self._zoomed_at) < max(EVERY_S, span_s / 100):
            return
        self._zoomed_at = now
        chosen = self._zoom

        def came(points: tuple[Point, ...]) -> None:
            if self._zoom == chosen and self.is_attached:
                self.query_one(Meters).look_back(span, points, now - span_s, now)

        self.host.read(lambda: self.host.source.machine.load_history(span_s), came, key="load history")

    # --- showing ------------------------------------------------------------------------------

    def show_state(self, picture: ScreenState) -> None:
        super().show_state(picture)
        snapshot, now = picture.snapshot, self.host.now()
        self.query_one(Meters).show(snapshot.sample, snapshot.capacity, picture.active)
        if self._zoom:
            self._look_back()
        self._show_room()
        if self.is_current and picture.fresh_at:
            self._measure_room(picture, now)
        jobs = self.query_one(JobList)
        jobs.show(
            snapshot.rows,
            now,
            picture.progress,
            self._empty_text(picture),
            reported=picture.reported,
            active=picture.active,
        )
        jobs.frame("Jobs", self._list_state(picture, len(jobs.marks)))
        self._show_job()

    def _show_room(self) -> None:
        snapshot = self.host.state.snapshot
        self.query_one(HeadroomLine).show(self._room, snapshot.capacity, snapshot.sample, self.host.now())

    def _measure_room(self, picture: ScreenState, now: float) -> None:
        """Ask what is free for the next job: when jobs came or went, and every few seconds."""
        asked = tuple(sorted(picture.snapshot.counts.items()))
        if asked == self._room_of and 0 <= now - self._room_at < _ROOM_EVERY_S:
            return
        self._room_of, self._room_at = asked, now

        def came(found: Headroom | None) -> None:
            self._room = found
            if self.is_attached:
                self._show_room()

        self.host.read(self.host.source.forecasts.headroom, came, key="headroom", failed=lambda _: None)

    def _empty_text(self, picture: ScreenState) -> str:
        if self._query.text:
            return f'No job matches "{plain(self._query.text, 40)}". esc shows all.'
        if not picture.fresh_at:
            return "Reading the queue ..."
        new, keys = self.host.key("job.new"), self.host.key("help")
        return f"No jobs. Press {new} to queue a recipe.\n\n{keys} shows every key."

    def _list_state(self, picture: ScreenState, marked: int) -> str:
        total = sum(picture.snapshot.counts.values())
        rows = picture.snapshot.rows
        shown = len(rows)
        parts = [f"{marked} marked"] if marked else []
        if any(isinstance(row, JobGroup) for row in rows):
            parts.append(f"{counted(shown, 'row')} · {total:,} jobs")
            opened = (row for row in rows if isinstance(row, JobGroup) and row.id in self._query.unfolded)
            limit = self._query.limit
            parts += [f"the first {limit} of #{group.id}" for group in opened if group.size > limit]
        else:
            parts.append(f"{shown} of {total:,}" if total else "none")
        if self._query.sort is not SortKey.QUEUE:
            parts.append(f"sort {self._query.sort.value}")
        if self._query.text:
            parts.append(f"filter {plain(self._query.text, 20)}")
        return " · ".join(parts)

    @on(JobList.NearEnd)
    def _read_on(self) -> None:
        self.host.more()

    @on(JobList.CursorMoved)
    def _show_job(self) -> None:
        picture, now = self.host.state, self.host.now()
        row, job, panel = self.query_one(JobList).row, self.query_one(JobList).job, self.query_one(WhyPanel)
        foreseen = self._outlook if job is not None and job.id == self._outlook_of else None
        panel.show(row, now, picture.snapshot.capacity, self.host.key("job.why"), foreseen)
        if job is not None and panel.region:
            self._look_ahead(job, now)
        if job is not None:
            self.show_log_of(job)
        elif not picture.snapshot.rows:
            self.query_one(LogView).open(None, "Log", "")
        self.show_notice()

    def _look_ahead(self, job: Job, now: float) -> None:
        """Ask what is foreseen for a waiting job: when it is another one, or waits for something else, and
        now and then."""
        asked = (job.id, tuple(reason.code for reason in job.reasons))
        old = now - self._looked_at >= _LOOK_AHEAD_S or now < self._looked_at
        if not isinstance(job.state, Waiting) or (asked == self._looked_for and not old):
            return
        self._looked_for, self._looked_at = asked, now
        source = self.host.source

        def came(outlook: StartEstimate | None) -> None:
            self._outlook, self._outlook_of = outlook, job.id
            if self.is_attached:
                self._show_job()

        self.host.read(
            lambda: source.forecasts.start_estimate(job.id),
            came,
            key="start_estimate",
            failed=lambda _: None,
        )

    def quiet_notice(self) -> tuple[str, str]:
        picture, now = self.host.state, self.host.now()
        if picture.fresh_at and (picture.note or now - picture.fresh_at > _STALE_S + 1):
            why = plain(picture.note) or "The store does not answer."
            return f"{why} Showing {clock_text(picture.fresh_at, now)}.", "warn"
        if picture.note:
            return plain(picture.note), "warn"
        if picture.fresh_at and not picture.snapshot.daemon.running:
            key = self.host.key("engine.start")
            return f"The engine is stopped: nothing starts. {key} starts it.", "warn"
        row, job = self.query_one(JobList).row, self.query_one(JobList).job
        if row is None or job is None:
            return "", "info"
        if isinstance(row, JobGroup):
            return group_sentence(row), "info"
        narrow = not self.query_one(WhyPanel).region
        if isinstance(job.state, Waiting) and narrow:
            reason = reason_short(job.reasons[0]) if job.reasons else "not seen yet"
            return f"#{job.id} waits: {reason}. {start_sentence(job, now)}", "info"
        if isinstance(job.state, Ended) and not isinstance(job.state, Succeeded):
            return f"#{job.id} {result_sentence(job)}. {next_step(job).sentence}.", "info"
        if isinstance(job.state, Ended) and narrow:
            return f"#{job.id} {result_sentence(job)}.", "info"
        return "", "info"

    # --- acting -------------------------------------------------------------------------------

    def action_open_job(self) -> None:
        from cro_tui.screens.job import JobScreen

        row = self.query_one(JobList).row
        if isinstance(row, JobGroup):
            self.action_unfold(0)
        elif row is not None:
            self.app.push_screen(JobScreen(row))

    def action_unfold(self, which: int) -> None:
        """Show the jobs of the group under the cursor below its row (1), or not (-1), or the other (0)."""
        jobs = self.query_one(JobList)
        group = jobs.group
        if group is None:
            return
        shown = group.id in self._query.unfolded
        if shown and which <= 0:
            jobs.choose_group(group)
            self._show_only(replace(self._query, unfolded=self._query.unfolded - {group.id}))
        elif not shown and which >= 0:
            self._show_only(replace(self._query, unfolded=self._query.unfolded | {group.id}))

    def action_why(self) -> None:
        self.query_one(WhyPanel).toggle_class("-hidden")
        self.call_after_refresh(self.show_notice)

    def action_mark(self) -> None:
        self.query_one(JobList).toggle_mark()
        self._show_marks()

    def action_mark_all(self) -> None:
        self.query_one(JobList).toggle_all()
        self._show_marks()

    def _show_marks(self) -> None:
        jobs = self.query_one(JobList)
        jobs.frame("Jobs", self._list_state(self.host.state, len(jobs.marks)))

    def action_sort(self) -> None:
        answers = [DialogChoice(key, label, sort.value) for sort, key, label in _SORTS]
        chosen = [sort for sort, _, _ in _SORTS].index(self._query.sort)

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._show_only(replace(self._query, sort=SortKey(answer)))

        self.app.push_screen(ConfirmDialog("Sort by", (), answers, chosen), answered)

    def action_filter(self) -> None:
        self.ask_line("filter", self._query.text)

    def _show_only(self, query: JobQuery) -> None:
        self._query = query
        self.host.ask(query)

    def line_typed(self, what: str, text: str) -> None:
        if what == "filter" and text != self._query.text:
            self._show_only(replace(self._query, text=text))

    def line_left(self, what: str) -> None:
        if what == "filter":
            self.line_typed("filter", "")
            self.query_one(JobList).focus()
        else:
            super().line_left(what)

    def leave_log(self) -> None:
        self.query_one(JobList).focus()

    def line_entered(self, what: str, text: str) -> None:
        if what == "filter":
            self.query_one(JobList).focus()
        else:
            super().line_entered(what, text)

    def action_back(self) -> None:
        """One step back: from the log, from the full log, from the filter, from the marks."""
        jobs = self.query_one(JobList)
        if self.step_back():
            return
        if self.host.notice() is not None:
            super().action_back()
        elif self._query.text:
            self._show_only(replace(self._query, text=""))
        elif jobs.marks:
            jobs.marks.clear()
            jobs.refresh()
            self._show_marks()
