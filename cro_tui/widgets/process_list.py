"""The processes as a line-drawn list: one row for each job, container or session, unfolded on demand.

It sorts and filters what it is given, keeps the cursor on its row, and draws only what is in view; it reads
nothing and signals nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from cro_tui.widgets.cursor_list import HEAD_LINES, CursorList
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.process_rows import ProcessRow, head, idle, text_of
from cro_tui.widgets.strips import fit, strip
from jobs.machine.process_groups import GroupKind, Process, ProcessGroup, ordered

SORTS: dict[str, Callable[[ProcessGroup], float | None]] = {
    "cpu": lambda group: group.cpus,
    "mem": lambda group: group.mem_bytes,
    "vram": lambda group: group.gpu_mem_bytes,
    "disk": lambda group: group.io_per_s,
    "newest": lambda group: group.started_at,
}
_LARGE = 64  # processes; the disk use of so many costs more to read than all the rest of them
_LOOKS = {GroupKind.JOB: "ours", GroupKind.OWN: "ours", GroupKind.UNSEEN: "bad", GroupKind.KERNEL: "quiet"}


class _Line(NamedTuple):
    """What one line shows: the first column in its own look, and the rest, quiet or under the cursor."""

    look: str
    quiet: bool
    marked: bool
    lead: str
    rest: str

    def changed(self, before: _Line | None, width: int) -> int:
        """How many cells from the left are to be drawn again."""
        if before is None or self[:4] != before[:4] or len(self.rest) != len(before.rest):
            return width
        if not (self.rest.isascii() and before.rest.isascii()):  # a character may be two cells
            return width
        same = next(at for at, old in enumerate(reversed(before.rest)) if self.rest[-1 - at] != old)
        return len(self.lead) + len(self.rest) - same


class ProcessList(Framed, CursorList, can_focus=True):
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "process-list--head", "process-list--cursor", "process-list--quiet",
        "process-list--ours", "process-list--bad", "process-list--warn",
    }  # fmt: skip
    HELP = "What runs: a row for each job, container or session. `enter` unfolds one."

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._groups: tuple[ProcessGroup, ...] = ()
        self._rows: list[ProcessRow] = []
        self._now = 0.0
        self._gpu = False
        self._test: Callable[[ProcessGroup], bool] = lambda _: True
        self._narrowed = False
        self._sort = "cpu"
        self._drawn: dict[int, _Line] = {}
        self._ready: dict[int, _Line] = {}  # what is about to be drawn
        self._empty = ""
        self.unfolded: set[str] = set()

    # --- what it shows ------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def row_key(self, index: int) -> str:
        return self._rows[index].key

    def repaint_row(self, index: int) -> None:
        self._repaint()

    @property
    def row(self) -> ProcessRow | None:
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def in_view(self) -> tuple[Process, ...]:
        """The processes of the rows that can be seen; all, where the order or the filter needs them."""
        if self._sort == "disk" or self._narrowed:
            return tuple(process for group in self._groups for process in group.processes)
        top = self.scroll_offset.y
        shown = self._rows[top : top + max(1, self.size.height)]
        groups = {row.group.key: row.group for row in shown if row.group.kind is not GroupKind.KERNEL}
        return tuple(process for group in groups.values() for process in self._named(group))

    def _named(self, group: ProcessGroup) -> tuple[Process, ...]:
        """Those of a group that are read in full: of a large one who leads it, unless it is unfolded."""
        if len(group.processes) <= _LARGE or group.key in self.unfolded:
            return group.processes
        leads = [process for process in group.processes if process.pid == process.session]
        return (group.processes[0], *leads[:1])

    @property
    def shown(self) -> int:
        """How many groups pass the filter."""
        return sum(row.process is None for row in self._rows)

    def show(self, groups: Sequence[ProcessGroup], now: float, *, gpu: bool, empty: str) -> None:
        self._groups, self._now, self._gpu, self._empty = tuple(groups), now, gpu, empty
        self._arrange()

    def narrow(self, test: Callable[[ProcessGroup], bool], *, narrowed: bool) -> None:
        """Show only the groups that pass; not `narrowed`: all of them do."""
        self._test, self._narrowed = test, narrowed
        self._arrange()

    def sort_by(self, name: str) -> None:
        """One of SORTS."""
        self._sort = name
        self._arrange()

    def fold(self) -> None:
        """Unfold the group under the cursor, or fold it again."""
        if self.row is not None and len(self.row.group.processes) > 1:
            self.unfolded ^= {self.row.group.key}
            self._arrange(stay=self.row.group.key)

    def _arrange(self, stay: str | None = None) -> None:
        key = stay or (self.row.key if self.row is not None else None)
        rows: list[ProcessRow] = []
        for group in ordered(filter(self._test, self._groups), SORTS[self._sort]):
            rows.append(ProcessRow(group))
            if group.key in self.unfolded:
                last = group.processes[-1]
                rows += [ProcessRow(group, process, process is last) for process in group.processes]
        self._rows = rows
        keys = [row.key for row in rows]
        self.rows_changed(keys.index(key) if key in keys and self.cursor else self.cursor)
        self._repaint()

    # --- drawing ------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._reframe()
        self._drawn, self._ready = {}, {}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = {}

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._ready = {}

    def _repaint(self) -> None:
        """Only the cells of lines whose words have changed."""
        width, top = self.scrollable_content_region.width, self.scroll_offset.y
        self._ready = {}
        for y in range(1, self.size.height):
            line, before = self._line(y, top, width), self._drawn.get(y)
            if line != before:
                self._ready[y] = line
                self.refresh(Region(0, y, line.changed(before, width), 1))

    def _line(self, y: int, top: int, width: int) -> _Line:
        index = y - HEAD_LINES + top
        if not self._rows:
            lines = self._empty.splitlines()
            said = fit("  " + lines[y - 2], width) if 0 <= y - 2 < len(lines) else ""
            return _Line("", True, False, "", said)
        if index >= len(self._rows):
            return _Line("", True, False, "", "")
        row, marked = self._rows[index], index == self.cursor
        unfolded = row.group.key in self.unfolded
        look = "warn" if idle(row) is not None else _LOOKS.get(row.group.kind, "")
        text = text_of(row, width, self._now, cursor=marked, unfolded=unfolded, gpu=self._gpu)
        return _Line(look, row.process is not None, marked, *text)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        if y == 0:
            return strip([(head(width, gpu=self._gpu), self.look_of("head"))], width, base)
        line = self._ready.pop(y, None) or self._line(y, self.scroll_offset.y, width)
        self._drawn[y] = line
        first = self.look_of(line.look) if line.look else Style()
        body = self.look_of("quiet") if line.quiet else Style()
        if line.marked:
            body = self.look_of("cursor")
            first = first + Style(bgcolor=body.bgcolor)
        return strip([(line.lead, first), (line.rest, body)], width, base)
