"""A dialog with the marked jobs side by side, and their curves; it is given them and asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from cro_tui.present.compare import curve_names, head, rows
from cro_tui.widgets.curves import Curves
from cro_tui.widgets.strips import fit
from jobs.core.jobs import Job
from jobs.core.tracking import Curve

MOST = 6
_LABEL_CELLS = 14
_WIDEST, _FRAME_CELLS = 140, 8  # of the dialog, as in the style sheet; its border, padding and scroll bar


class Compare(ModalScreen[None]):
    """At most MOST jobs; `esc` or `c` closes it, `m` shows the next metric's curves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,c,q", "close", "Close"),
        ("m", "turn(1)", "Next metric"),
        ("M", "turn(-1)", "Metric before"),
    ]

    def __init__(
        self,
        jobs: Sequence[Job],
        better: Mapping[str, str],
        now: float,
        curves: Sequence[Mapping[str, Curve]] = (),
    ) -> None:
        super().__init__()
        self._jobs, self._better, self._now = tuple(jobs), better, now
        self._curves = tuple(curves)
        self._drawn = curve_names(curves, better)
        self._at = 0

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare"):
            yield Static(markup=False, id="compare-table")
            if self._drawn:
                yield Curves(id="compare-curves")

    def on_mount(self) -> None:
        self.query_one("#compare").border_title = Content("Side by side")
        self.query_one("#compare").border_subtitle = Content(
            "* best   m next curve   esc closes" if len(self._drawn) > 1 else "* best   esc closes"
        )
        self._draw()
        self.query_one("#compare").focus()

    def on_resize(self) -> None:
        width = min(self.size.width, _WIDEST) - _FRAME_CELLS
        cells = max(8, (width - _LABEL_CELLS) // len(self._jobs) - 1)
        parts: list[str | tuple[str, str]] = []
        for number, row in enumerate((head(self._jobs), *rows(self._jobs, self._better, self._now))):
            line = " ".join(fit(cell, cells) for cell in row[1:])
            parts += [(fit(row[0], _LABEL_CELLS - 1) + " ", "dim"), (line + "\n", "" if number else "bold")]
        self.query_one("#compare-table", Static).update(Content.assemble(*parts))

    def _draw(self) -> None:
        if self._drawn:
            name = self._drawn[self._at]
            found = zip(self._jobs, self._curves, strict=True)
            curves = [(f"#{job.id}", each[name]) for job, each in found if name in each]
            self.query_one(Curves).draw_curves(f"{name} by step", curves)

    def action_turn(self, step: int) -> None:
        if self._drawn:
            self._at = (self._at + step) % len(self._drawn)
            self._draw()
            self.query_one(Curves).scroll_visible(animate=False)

    def action_close(self) -> None:
        self.dismiss(None)
