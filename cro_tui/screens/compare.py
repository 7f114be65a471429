"""A dialog with the marked jobs side by side; it is given them and asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from cro_tui.present.compare import head, rows
from cro_tui.widgets.strips import fit
from jobs.model import Job

MOST = 6
_LABEL_CELLS = 14


class Compare(ModalScreen[None]):
    """At most MOST jobs; `esc` or `c` closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,c,q", "close", "Close")]

    def __init__(self, jobs: Sequence[Job], better: Mapping[str, str], now: float) -> None:
        super().__init__()
        self._jobs, self._better, self._now = tuple(jobs), better, now

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare"):
            yield Static(markup=False, id="compare-table")

    def on_mount(self) -> None:
        self.query_one("#compare").border_title = Content("Side by side")
        self.query_one("#compare").border_subtitle = Content("* best   esc closes")
        self.query_one("#compare").focus()

    def on_resize(self) -> None:
        width = self.size.width - 6
        cells = max(8, (width - _LABEL_CELLS) // len(self._jobs) - 1)
        parts: list[str | tuple[str, str]] = []
        for number, row in enumerate((head(self._jobs), *rows(self._jobs, self._better, self._now))):
            line = " ".join(fit(cell, cells) for cell in row[1:])
            parts += [(fit(row[0], _LABEL_CELLS), "dim"), (line + "\n", "" if number else "bold")]
        self.query_one("#compare-table", Static).update(Content.assemble(*parts))

    def action_close(self) -> None:
        self.dismiss(None)
