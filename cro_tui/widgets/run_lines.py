"""A sweep's runs as lines through parallel axes: the best one and the one under the cursor stand out.

It draws what it is given; which run is chosen, and by which metric, is the dialog's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from cro_tui.widgets.drawn import Drawn
from cro_tui.widgets.parallel import Cell, axes_of, drawn_of, line_of, picture
from jobs.core.sweeps import GroupRuns


class RunLines(Drawn, Widget):
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-lines--other", "run-lines--best", "run-lines--chosen", "run-lines--axis", "run-lines--label",
    }  # fmt: skip

    def __init__(self, *, ascii_only: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._runs: GroupRuns | None = None
        self._ascii = ascii_only
        self._ranked: Sequence[int] = ()
        self._metric = ""
        self._best: int | None = None
        self._chosen: int | None = None
        self._rows: list[list[Cell]] = []
        self._drawn: tuple[object, ...] = ()
        self.left_out = 0  # parameters that have no axis

    def show(
        self, runs: GroupRuns, ranked: Sequence[int], metric: str, best: int | None, chosen: int | None
    ) -> None:
        """`ranked` are the places of the runs, the best first; so is what is the best, or chosen."""
        self._runs, self._ranked, self._metric = runs, ranked, metric
        self._best, self._chosen = best, chosen
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        self._lay_out()
        if y >= len(self._rows):
            return Strip.blank(width, base)
        styles = {look: base + self.look_of(look) for look in ("other", "best", "chosen", "axis", "label")}
        segments: list[Segment] = []
        text, last = "", ""
        for char, look in [*self._rows[y], ("", "\0")]:
            if look != last and text:
                segments.append(Segment(text, styles.get(last, base)))
                text = ""
            text, last = text + char, look
        return Strip(segments).adjust_cell_length(width, base)

    def _lay_out(self) -> None:
        """Draw anew only if another run is chosen, or the size is another one."""
        runs = self._runs
        key = (self.size, self._metric, self._chosen, self._best, id(runs))
        if key == self._drawn or not self._metric or runs is None:
            return
        self._drawn = key
        axes, self.left_out = axes_of(runs, self._metric, self.size.width)
        places = drawn_of(self._ranked, runs, self._metric)
        others = [line_of(axes, runs, self._metric, place) for place in places]
        best, chosen = (
            None if place is None else line_of(axes, runs, self._metric, place)
            for place in (self._best, self._chosen)
        )
        size = self.size.width, self.size.height
        self._rows = picture(axes, others, best, chosen, size, ascii_only=self._ascii)
