"""One load over time on a fixed scale: a framed graph where there is room, one line where there is none.

It draws what it is given and measures nothing. Repaints only itself, only when something changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from cro_tui.present import percent_text
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.graph import cores_row, graph_rows
from cro_tui.widgets.load import Gauge
from cro_tui.widgets.strips import fit, strip

HISTORY = 600
_LABEL_CELLS = 6


class Meter(Framed, Widget):
    """`show` takes the newest gauge; `tick` says whether it is a new reading or the same one again."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"meter--calm", "meter--busy", "meter--full", "meter--quiet"}

    def __init__(self, gauge: Gauge, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._gauge = gauge
        self._ascii = ascii_only
        self._history: deque[float | None] = deque(maxlen=HISTORY)
        self._past: Callable[[int], Sequence[float | None]] | None = None
        self._span = ""
        self._rows: dict[tuple[int, int], list[str]] = {}

    def look_back(self, span: str, past: Callable[[int], Sequence[float | None]] | None) -> None:
        """Draw another time than the last seconds: `past` gives so many values as are asked for, the newest
        last, `span` says how long that is. None goes back to the present."""
        self._span, self._past, self._rows = span, past, {}
        self._title()
        self.refresh()

    def show(self, gauge: Gauge, *, tick: bool) -> None:
        if not tick and gauge == self._gauge:
            return
        self._gauge = gauge
        if tick:
            self._history.append(gauge.share)
            if self._past is None:
                self._rows = {}
        self._title()
        self.refresh()

    def _title(self) -> None:
        gauge = self._gauge
        self.frame(
            f"{gauge.label} {gauge.size}".rstrip(), f"{self._span}  {percent_text(gauge.share)}".strip()
        )

    def _graph(self, width: int, height: int) -> list[str]:
        """The graph's rows, drawn once for each reading and size."""
        found = self._rows.get((width, height))
        if found is None:
            most = width if self._ascii else 2 * width
            values = list(self._history) if self._past is None else self._past(most)
            found = graph_rows(values, width, height, ascii_only=self._ascii)
            self._rows = {(width, height): found}
        return found

    def render_line(self, y: int) -> Strip:
        width, height = self.size.width, self.size.height
        base = self.look_of()
        if height <= 1:
            return self._one_line(width, base)
        inner = max(1, width - 2)
        rows = height - (2 if height >= 4 else 1)
        if y < rows:
            return strip([(self._graph(width, rows)[y], self._look(self._gauge.share))], width, base)
        if y == rows and height >= 4:
            return strip([(" " + fit(self._extra(inner), inner), self.look_of("quiet"))], width, base)
        return strip([(" " + fit(self._gauge.foot, inner), base)], width, base)

    def _one_line(self, width: int, base: Style) -> Strip:
        gauge = self._gauge
        tail = f" {percent_text(gauge.share):>4}  {gauge.brief}" + (f"  {self._span}" if self._span else "")
        cores = ""
        if width > 60 and gauge.cores:
            cores = "  cores " + cores_row(gauge.cores, 16, ascii_only=self._ascii)
        elif width > 60 and gauge.extra:
            cores = "  " + gauge.extra
        graph_width = max(
            4, min(14 if width < 50 else 30, width - _LABEL_CELLS - len(tail) - len(cores) - 2)
        )
        (drawn,) = self._graph(graph_width, 1)
        return strip(
            [
                (" " + fit(gauge.label, _LABEL_CELLS), base),
                (drawn, self._look(gauge.share)),
                (tail, base),
                (cores, self.look_of("quiet")),
            ],
            width,
            base,
        )

    def _extra(self, width: int) -> str:
        gauge = self._gauge
        if gauge.cores:
            return "cores " + cores_row(gauge.cores, width - 6, ascii_only=self._ascii)
        return gauge.extra

    def _look(self, share: float | None) -> Style:
        if share is None or share < 0.75:
            return self.look_of("calm")
        return self.look_of("busy" if share < 0.95 else "full")


class Lines(Framed, Widget):
    """A framed panel of a few plain lines, one text each; repaints only when they differ."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--quiet"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[str, ...] = ()

    def show(self, left: str, right: str, lines: tuple[str, ...]) -> None:
        self.frame(left, right)
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        text = self._lines[y] if y < len(self._lines) else ""
        width = self.size.width
        quiet = self.look_of("quiet")
        return strip([(" " + fit(text, width - 1), quiet)], width, self.look_of())
