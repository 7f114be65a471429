"""The runs of a sweep as a line-drawn table, the best first, with a cursor: thousands, few repaints.

It shows what it is given in that order; it reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.style import Style
from textual.strip import Strip

from cro_tui.present import MISSING, STATE_WORDS, clean
from cro_tui.widgets.cursor_list import CursorList
from cro_tui.widgets.strips import fit, strip
from jobs.core.jobs import ParamValue
from jobs.core.sweeps import RunColumns, SweepRun

_CELLS = 12  # of a parameter or metric, at most
_LEAST = 8


class RunTable(CursorList):
    """`show` gives it the runs, the best first."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-table--head", "run-table--cursor", "run-table--best", "run-table--quiet",
    }  # fmt: skip

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = RunColumns()
        self._ranked: Sequence[int] = ()  # places of the runs
        self._names: tuple[tuple[str, bool], ...] = ()  # of columns, and whether it is a metric
        self._best: int | None = None

    @property
    def row_count(self) -> int:
        return len(self._ranked)

    def row_key(self, index: int) -> int:
        return self._columns.ids[self._ranked[index]]

    @property
    def run(self) -> SweepRun | None:
        place = self.place
        return None if place is None else self._columns.run(place)

    @property
    def place(self) -> int | None:
        return self._ranked[self.cursor] if self.cursor < len(self._ranked) else None

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
        ids, wanted = columns.ids, None if before is None else before.id
        self.rows_changed(next((at for at, place in enumerate(ranked) if ids[place] == wanted), 0))
        self.scroll_into_view()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        shown = max(1, (width - 19) // (_LEAST + 1))
        names = self._names[:shown]
        cells = min(_CELLS, max(_LEAST, (width - 19) // max(1, len(names)) - 1))
        if y == 0:
            head = " ".join(fit(clean(name, 40), cells, right=True) for name, _ in names)
            return strip([(f"  RANK     ID STATE  {head}", self.look_of("head"))], width, base)
        index = self.index_of_line(y)
        if index >= len(self._ranked):
            return Strip.blank(width, base)
        place = self._ranked[index]
        run = self._columns.run(place)
        state = "PRUNE" if run.pruned else STATE_WORDS[run.state]
        values = " ".join(
            fit(_cell(run.metrics if metric else run.params, name), cells, right=True)
            for name, metric in names
        )
        cursor = index == self.cursor
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
