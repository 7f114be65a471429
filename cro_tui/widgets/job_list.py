"""The list of jobs as a line-drawn view: thousands of rows, a cursor, marks, few repaints.

It shows what it is given and says what is chosen; it neither sorts nor filters nor calls the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cro_tui.actions import Where, bindings
from cro_tui.present import JobRow, job_row
from cro_tui.source import Progress, Reports
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.job_rows import Columns, cells, columns, head
from cro_tui.widgets.strips import fit, strip
from jobs.model import Ended, Job, JobId, StateName

_NOTHING: Reports = {}
_LOOKS = {"RUN": "run", "START": "run", "WAIT": "wait", "HELD": "held", "PAUSE": "held", "DONE": "done"}


class JobList(Framed, ScrollView, can_focus=True):
    """`show` gives it jobs; `Chosen` tells that the cursor is on another one, or it changed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.LIST)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "job-list--head", "job-list--cursor", "job-list--marked", "job-list--quiet",
        "job-list--run", "job-list--wait", "job-list--held", "job-list--done", "job-list--bad",
    }  # fmt: skip
    HELP = "The jobs: running, then waiting by priority and age, then ended. `enter` opens one."

    class Chosen(Message):
        """The cursor stands on `job` (None: there is none)."""

        def __init__(self, job: Job | None) -> None:
            super().__init__()
            self.job = job

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii_only
        self._jobs: tuple[Job, ...] = ()
        self._now = 0.0
        self._progress: Progress = {}
        self._reported: Reports = {}
        self._cursor = 0
        self._wanted: JobId | None = None
        self._drawn: dict[JobId, tuple[tuple[JobRow, bool, bool], Strip]] = {}
        self._columns: Columns = columns(80, 0)
        self._width = 0
        self._empty = ""
        self.marks: set[JobId] = set()

    # --- what it shows ------------------------------------------------------------------------

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        return self._jobs[self._cursor] if self._cursor < len(self._jobs) else None

    @property
    def targets(self) -> tuple[Job, ...]:
        """What an action applies to: the marked jobs, or else the one under the cursor."""
        marked = tuple(job for job in self._jobs if job.id in self.marks)
        return marked or ((self.job,) if self.job else ())

    def show(
        self, jobs: Sequence[Job], now: float, progress: Progress, empty: str, reported: Reports = _NOTHING
    ) -> None:
        """Take a new picture; the cursor stays on its job, or else on its row."""
        before = self.job
        ids = [job.id for job in jobs]
        moved = ids != [job.id for job in self._jobs] or empty != self._empty
        self._jobs, self._now, self._progress, self._empty = tuple(jobs), now, progress, empty
        self._reported = reported
        there = set(ids)
        self.marks &= there
        if moved:
            self._drawn = {job_id: kept for job_id, kept in self._drawn.items() if job_id in there}
            self._find_cursor(ids, before.id if before else None)
            self._measure()
            self.refresh()
        else:
            self._refresh_changed()
        if self.job is not before:
            self.post_message(self.Chosen(self.job))

    def choose(self, job_id: JobId) -> None:
        """Put the cursor on a job, now or as soon as it is there."""
        ids = [job.id for job in self._jobs]
        if job_id in ids:
            self._move_to(ids.index(job_id))
        else:
            self._wanted = job_id

    def toggle_mark(self) -> None:
        if self.job is not None:
            self.marks ^= {self.job.id}
            self.refresh_line(self._cursor + 1)
            self._move_to(self._cursor + 1)

    def toggle_all(self) -> None:
        ids = {job.id for job in self._jobs}
        self.marks = set() if self.marks >= ids else ids
        self.refresh()

    # --- moving -------------------------------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._cursor + by * max(1, self.size.height - 2))

    def action_end(self, which: int) -> None:
        self._move_to(0 if which < 0 else len(self._jobs) - 1)

    def on_click(self, event: events.Click) -> None:
        row = event.get_content_offset(self)
        if row is not None and row.y >= 1:
            self._move_to(row.y - 1 + self.scroll_offset.y)

    def _move_to(self, row: int) -> None:
        row = max(0, min(row, len(self._jobs) - 1))
        self._wanted = None
        if row == self._cursor or not self._jobs:
            return
        self.refresh_line(self._cursor + 1)
        self._cursor = row
        self.refresh_line(row + 1)
        self._scroll_into_view()
        self.post_message(self.Chosen(self.job))

    def _find_cursor(self, ids: list[JobId], before: JobId | None) -> None:
        if self._wanted is not None and self._wanted in ids:
            self._cursor, self._wanted = ids.index(self._wanted), None
        elif before in ids:
            self._cursor = ids.index(before)
        self._cursor = max(0, min(self._cursor, len(ids) - 1))
        self.call_after_refresh(self._scroll_into_view)

    def _scroll_into_view(self) -> None:
        rows, top = max(1, self.size.height - 1), self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True, force=True)
        elif self._cursor >= top + rows:
            self.scroll_to(y=self._cursor - rows + 1, animate=False, immediate=True, force=True)

    # --- drawing ------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._reframe()
        self._measure()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = {}

    def _measure(self) -> None:
        self._width = self.scrollable_content_region.width
        found = columns(self._width, max((job.id for job in self._jobs), default=0))
        if found != self._columns:
            self._columns = found
            self._drawn = {}
        size = Size(0, len(self._jobs) + 1)
        if size != self.virtual_size:
            self.virtual_size = size

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        if width != self._width:
            self._measure()
        if y == 0:
            return strip([(head(self._columns), self.look_of("head"))], width, base)
        if not self._jobs:
            lines = self._empty.splitlines()
            text = lines[y - 2] if 0 <= y - 2 < len(lines) else ""
            return strip([("  " + fit(text, width - 2), self.look_of("quiet"))], width, base)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._jobs):
            return Strip.blank(width, base)
        job = self._jobs[index]
        key = self._key(index)
        known = self._drawn.get(job.id)
        if known is not None and known[0] == key and known[1].cell_length == width:
            return known[1]
        drawn = self._draw_row(job, key, width, base)
        self._drawn[job.id] = (key, drawn)
        return drawn

    def _key(self, index: int) -> tuple[JobRow, bool, bool]:
        job = self._jobs[index]
        row = job_row(job, self._now, self._progress.get(job.id), self._reported.get(job.id))
        return row, index == self._cursor, job.id in self.marks

    def _refresh_changed(self) -> None:
        top = self.scroll_offset.y
        for index in range(top, min(len(self._jobs), top + self.size.height)):
            known = self._drawn.get(self._jobs[index].id)
            if known is None or known[0] != self._key(index):
                self.refresh_line(index + 1)

    def _draw_row(self, job: Job, key: tuple[JobRow, bool, bool], width: int, base: Style) -> Strip:
        row, cursor, marked = key
        lead, state, rest = cells(row, self._columns, cursor=cursor, marked=marked, ascii_only=self._ascii)
        body = Style()
        if isinstance(job.state, Ended):
            body = self.look_of("quiet")
        if marked:
            body = body + self.look_of("marked")
        word = body + self.look_of(_LOOKS.get(row.state, "bad" if _is_bad(job) else "held"))
        if cursor:
            over = self.look_of("cursor")
            body, word = over, word + Style(bgcolor=over.bgcolor)
        return strip([(lead, body), (state, word), (rest, body)], width, base)


def _is_bad(job: Job) -> bool:
    return isinstance(job.state, Ended) and job.state.name not in (StateName.SUCCEEDED, StateName.CANCELLED)
