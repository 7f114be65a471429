"""The list of jobs as a line-drawn view: thousands of rows, a cursor, marks, few repaints.

It shows what it is given and says what is chosen; it neither sorts nor filters nor calls the engine.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from cro_tui.present import JobRow, job_row
from cro_tui.present.groups import group_row, member_name
from cro_tui.source import Progress, Reports
from cro_tui.widgets.cursor_list import CursorList
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.job_rows import ColumnWidths, cells, columns, head
from cro_tui.widgets.strips import fit, strip
from jobs.core.jobs import Ended, Job, JobId
from jobs.core.requests import JobGroup, ListRow

_NEAR = 20  # rows
_NOTHING: Reports = {}
RowKey = tuple[bool, JobId]  # whether it is a group, and its id
_BAD = frozenset({"FAIL", "TIME", "OOM", "LOST"})
_LOOKS = {"RUN": "run", "START": "run", "WAIT": "wait", "HELD": "held", "PAUSE": "held", "DONE": "done"}


def key_of(row: ListRow) -> RowKey:
    return isinstance(row, JobGroup), row.id


class JobList(Framed, CursorList, can_focus=True):
    """`show` gives it jobs and groups; an action applies to `targets`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "job-list--head", "job-list--cursor", "job-list--marked", "job-list--quiet",
        "job-list--run", "job-list--wait", "job-list--held", "job-list--done", "job-list--bad",
    }  # fmt: skip
    HELP = (
        "The jobs: running, then waiting by priority and age, then ended. `enter` opens one. The jobs of a "
        "sweep are one row, which `enter` unfolds; keys on it apply to all of them."
    )

    class NearEnd(Message):
        """The cursor is near the last row: there may be more to show."""

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii_only
        self._rows: tuple[ListRow, ...] = ()
        self._group_at: tuple[JobGroup | None, ...] = ()  # below which group each row stands
        self._active: dict[JobId, list[Job]] = {}  # what runs of each group
        self._now = 0.0
        self._progress: Progress = {}
        self._reported: Reports = {}
        self._wanted: JobId | None = None
        self._drawn: dict[RowKey, tuple[tuple[JobRow, bool, bool], Strip]] = {}
        self._columns: ColumnWidths = columns(80, 0)
        self._width = 0
        self._empty = ""

    # --- what it shows ------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def row_key(self, index: int) -> RowKey:
        return key_of(self._rows[index])

    @property
    def row(self) -> ListRow | None:
        """The job or group under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def job(self) -> Job | None:
        """The job under the cursor; of a group the one that it stands for."""
        return self.row.foremost if isinstance(self.row, JobGroup) else self.row

    @property
    def group(self) -> JobGroup | None:
        """The group under the cursor, or in which the cursor stands."""
        row = self.row
        return row if row is None or isinstance(row, JobGroup) else self._group_at[self.cursor]

    @property
    def targets(self) -> tuple[ListRow, ...]:
        """What an action applies to: the marked rows, or else the one under the cursor."""
        marked = tuple(row for row in self._rows if key_of(row) in self.marks)
        return marked or ((self.row,) if self.row else ())

    def show(
        self,
        rows: Sequence[ListRow],
        now: float,
        progress: Progress,
        empty: str,
        *,
        reported: Reports = _NOTHING,
        active: Sequence[Job] = (),
    ) -> None:
        """Take a new picture; the cursor stays on its row, or else where it was."""
        before = self.row
        keys = [key_of(row) for row in rows]
        moved = keys != [key_of(row) for row in self._rows] or empty != self._empty
        self._rows, self._now, self._progress, self._empty = tuple(rows), now, progress, empty
        self._reported = reported
        self._group(active)
        there = set(keys)
        self.marks &= there
        if moved:
            self._drawn = {key: kept for key, kept in self._drawn.items() if key in there}
            self.rows_changed(self._cursor_among(keys, key_of(before) if before else None))
            self.call_after_refresh(self.scroll_into_view)
            self._measure()
            self.refresh()
        else:
            self._refresh_changed()
        if self.row is not before:
            self.post_message(self.CursorMoved())

    def _group(self, active: Sequence[Job]) -> None:
        """Which rows stand below which group, and what runs of each."""
        at: list[JobGroup | None] = []
        group: JobGroup | None = None
        for row in self._rows:
            if isinstance(row, JobGroup):
                group = row
                at.append(None)
                continue
            if group is not None and not _is_member(row, group):
                group = None
            at.append(group)
        self._group_at = tuple(at)
        self._active = {}
        for job in active:
            if job.spec.group is not None:
                self._active.setdefault(JobId(job.spec.group[0]), []).append(job)

    def choose(self, job_id: JobId) -> None:
        """Put the cursor on a job, now or as soon as it is there."""
        key = self._where(job_id)
        if key is not None:
            self.move_to(next(at for at, row in enumerate(self._rows) if key_of(row) == key))
        else:
            self._wanted = job_id

    def choose_group(self, group: JobGroup) -> None:
        self.move_to(next((at for at, row in enumerate(self._rows) if row is group), self.cursor))

    def _where(self, job_id: JobId) -> RowKey | None:
        """The row of a job: its own, or that of the group which it leads."""
        keys = {key_of(row) for row in self._rows}
        return next((key for key in ((False, job_id), (True, job_id)) if key in keys), None)

    def toggle_all(self) -> None:
        keys: set[Hashable] = {
            key_of(row) for at, row in enumerate(self._rows) if self._group_at[at] is None
        }
        self.marks = set() if self.marks >= keys else keys
        self.refresh()

    # --- moving -------------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        before, self._wanted = self.cursor, None
        super().move_to(index)
        if self.cursor != before and self.cursor >= len(self._rows) - _NEAR:
            self.post_message(self.NearEnd())

    def _cursor_among(self, keys: list[RowKey], before: RowKey | None) -> int:
        """Where the cursor belongs now: on the row that was asked for, or on the one it was on."""
        wanted = None if self._wanted is None else self._where(self._wanted)
        if wanted is not None:
            self._wanted = None
            return keys.index(wanted)
        return keys.index(before) if before in keys else self.cursor

    # --- drawing ------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._reframe()
        self._measure()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = {}

    def _measure(self) -> None:
        self._width = self.scrollable_content_region.width
        found = columns(self._width, max((row.id for row in self._rows), default=0))
        if found != self._columns:
            self._columns = found
            self._drawn = {}
        self.measure_rows()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        if width != self._width:
            self._measure()
        if y == 0:
            return strip([(head(self._columns), self.look_of("head"))], width, base)
        if not self._rows:
            lines = self._empty.splitlines()
            text = lines[y - 2] if 0 <= y - 2 < len(lines) else ""
            return strip([("  " + fit(text, width - 2), self.look_of("quiet"))], width, base)
        index = self.index_of_line(y)
        if index >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[index]
        key = self._key(index)
        known = self._drawn.get(key_of(row))
        if known is not None and known[0] == key and known[1].cell_length == width:
            return known[1]
        drawn = self._draw_row(row, key, width, base)
        self._drawn[key_of(row)] = (key, drawn)
        return drawn

    def _key(self, index: int) -> tuple[JobRow, bool, bool]:
        row, group = self._rows[index], self._group_at[index]
        if isinstance(row, JobGroup):
            cells = group_row(row, self._now, self._active.get(row.id, ()))
            unfolded = index + 1 < len(self._rows) and self._group_at[index + 1] is row
            cells = replace(cells, name=f"{'-' if unfolded else '+'} {cells.name}")
        else:
            cells = job_row(row, self._now, self._progress.get(row.id), self._reported.get(row.id))
            if group is not None:
                cells = replace(cells, name=f"  {member_name(row, group, self._columns.name - 2)}")
        return cells, index == self.cursor, self.is_marked(index)

    def _refresh_changed(self) -> None:
        top = self.scroll_offset.y
        for index in range(top, min(len(self._rows), top + self.size.height)):
            known = self._drawn.get(key_of(self._rows[index]))
            if known is None or known[0] != self._key(index):
                self.repaint_row(index)

    def _draw_row(self, of: ListRow, key: tuple[JobRow, bool, bool], width: int, base: Style) -> Strip:
        row, cursor, marked = key
        lead, state, rest = cells(row, self._columns, cursor=cursor, marked=marked, ascii_only=self._ascii)
        body = Style()
        if isinstance((of.foremost if isinstance(of, JobGroup) else of).state, Ended):
            body = self.look_of("quiet")
        if marked:
            body = body + self.look_of("marked")
        word = body + self.look_of(_LOOKS.get(row.state, "bad" if row.state in _BAD else "held"))
        if cursor:
            over = self.look_of("cursor")
            body, word = over, word + Style(bgcolor=over.bgcolor)
        return strip([(lead, body), (state, word), (rest, body)], width, base)


def _is_member(job: Job, group: JobGroup) -> bool:
    return job.id == group.controller or (job.spec.group is not None and job.spec.group[0] == group.id)
