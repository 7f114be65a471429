"""The runs of a sweep as a line-drawn table, the best first, with a cursor: thousands, few repaints.

It shows what it is given in that order; it reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cro_tui.actions import Where, bindings
from cro_tui.present import MISSING, STATE_WORDS, clean
from cro_tui.widgets.drawn import Drawn
from cro_tui.widgets.strips import fit, strip
from jobs.core.jobs import ParamValue
from jobs.core.sweeps import RunColumns, SweepRun

_CELLS = 12  # of a parameter or metric, at most
_LEAST = 8


class RunTable(Drawn, ScrollView, can_focus=True):
    """`show` gives it the runs; `Chosen` tells that the cursor is on another one."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.LIST)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-table--head", "run-table--cursor", "run-table--best", "run-table--quiet",
    }  # fmt: skip

    class Chosen(Message):
        """The cursor stands on another run."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = RunColumns()
        self._ranked: Sequence[int] = ()  # places of the runs
        self._names: tuple[tuple[str, bool], ...] = ()  # of columns, and whether it is a metric
        self._best: int | None = None
        self._cursor = 0

    @property
    def run(self) -> SweepRun | None:
        place = self.place
        return None if place is None else self._columns.run(place)

    @property
    def place(self) -> int | None:
        return self._ranked[self._cursor] if self._cursor < len(self._ranked) else None

    def show(
        self,
        columns: RunColumns,
        ranked: Sequence[int],
        params: Sequence[str],
        metrics: Sequence[str],
        best: int | None,
    ) -> None:
        before = self.run
        self._columns, self._ranked, self._best = columns, ranked, best
        self._names = (*((name, True) for name in metrics[:1]), *((name, False) for name in params),
                       *((name, True) for name in metrics[1:]))  # fmt: skip
        self._cursor = 0
        if before is not None:
            ids = columns.ids
            self._cursor = next((at for at, place in enumerate(ranked) if ids[place] == before.id), 0)
        self.virtual_size = Size(0, len(ranked) + 1)
        self._scroll_into_view()
        self.refresh()

    def action_cursor(self, by: int) -> None:
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._cursor + by * max(1, self.size.height - 2))

    def action_end(self, which: int) -> None:
        self._move_to(0 if which < 0 else len(self._ranked) - 1)

    def on_click(self, event: events.Click) -> None:
        row = event.get_content_offset(self)
        if row is not None and row.y >= 1:
            self._move_to(row.y - 1 + self.scroll_offset.y)

    def _move_to(self, row: int) -> None:
        row = max(0, min(row, len(self._ranked) - 1))
        if row == self._cursor or not self._ranked:
            return
        self.refresh_line(self._cursor + 1)
        self._cursor = row
        self.refresh_line(row + 1)
        self._scroll_into_view()
        self.post_message(self.Chosen())

    def _scroll_into_view(self) -> None:
        rows, top = max(1, self.size.height - 1), self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True, force=True)
        elif self._cursor >= top + rows:
            self.scroll_to(y=self._cursor - rows + 1, animate=False, immediate=True, force=True)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        shown = max(1, (width - 19) // (_LEAST + 1))
        names = self._names[:shown]
        cells = min(_CELLS, max(_LEAST, (width - 19) // max(1, len(names)) - 1))
        if y == 0:
            head = " ".join(fit(clean(name, 40), cells, right=True) for name, _ in names)
            return strip([(f"  RANK     ID STATE  {head}", self.look_of("head"))], width, base)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._ranked):
            return Strip.blank(width, base)
        place = self._ranked[index]
        run = self._columns.run(place)
        state = "PRUNE" if run.pruned else STATE_WORDS[run.state]
        values = " ".join(
            fit(_cell(run.metrics if metric else run.params, name), cells, right=True)
            for name, metric in names
        )
        cursor = index == self._cursor
        mark = ">" if cursor else "*" if place == self._best else " "
        look = Style() if run.metrics else self.look_of("quiet")
        if place == self._best:
            look = self.look_of("best")
        if cursor:
            look = self.look_of("cursor")
        text = f"{mark} {index + 1:>4} {run.id:>6} {fit(state, 5)}  {values}"
        return strip([(text, look)], width, base)


def _cell(values: Mapping[str, ParamValue], name: str) -> str:
    value = values.get(name)
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else clean(str(value), 40)
