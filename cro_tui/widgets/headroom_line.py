"""One row: what is free for a job beside what the next one needs, and which limit it waits for.

It draws what it is given; what is short for the next job has the look of a warning, and a sign.
"""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from cro_tui.present.headroom import HeadroomRow, headroom_row
from cro_tui.widgets.drawn import Drawn
from cro_tui.widgets.strips import fit, strip
from jobs.core.machine import Capacity, Sample
from jobs.core.requests import Headroom

_TITLE = " Free  "


class HeadroomLine(Drawn):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"headroom-line--short", "headroom-line--quiet"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._given: tuple[Headroom | None, Capacity | None, Sample | None, float] | None = None
        self._drawn: HeadroomRow | None = None

    def show(
        self, headroom: Headroom | None, capacity: Capacity | None, sample: Sample | None, now: float
    ) -> None:
        """`headroom` None: it is not known now."""
        self._given = headroom, capacity, sample, now
        if self._row() != self._drawn:
            self.refresh()

    def _row(self) -> HeadroomRow | None:
        if self._given is None:
            return None
        return headroom_row(*self._given, width=self.size.width - len(_TITLE) - 2)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        row = self._drawn = self._row()
        quiet = self.look_of("quiet")
        parts: list[tuple[str, Style]] = [(_TITLE, quiet)]
        for words, short in row.free if row is not None else ():
            parts.append((f"{words}{'! ' if short else '  '}", self.look_of("short") if short else base))
        room = max(0, width - 1 - sum(cell_len(words) for words, _ in parts))
        parts.append((fit(row.next_job if row is not None else "", room, right=True), quiet))
        return strip(parts, width, base)
