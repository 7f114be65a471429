"""A rounded border with a title on its left and a state on its right.

Titles are plain text and never markup. Repaints only when the words or the edge's colour change.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Region
from textual.style import Style

from cro_tui.widgets.drawn import Drawn
from cro_tui.widgets.strips import fit


class Framed(Drawn):
    """Mix in before the widget's class and call `frame`; the border itself comes from the style sheet."""

    _words: tuple[str, str] = ("", "")
    _framed: tuple[object, ...] = ()

    def frame(self, left: str, right: str = "") -> None:
        """Both texts must be clean. Of a narrow border the right one goes first."""
        self._words = (left, right)
        self._reframe()

    def on_resize(self) -> None:
        self._reframe()

    def on_focus(self) -> None:
        self.call_after_refresh(self._reframe)

    def on_blur(self) -> None:
        self.call_after_refresh(self._reframe)

    def _reframe(self) -> None:
        width = self.outer_size.width - 6
        edge, color = self.styles.border_top
        if not edge or width < 4:
            self._framed = ()
            return
        key = (self._words, width, color)
        if key == self._framed:
            return
        self._framed = key
        left, right = self._words
        if cell_len(left) + cell_len(right) + 4 > width:
            right = ""
        left = fit(left, min(cell_len(left), width - 2))
        fill = width - cell_len(left) - cell_len(right) - (2 if right else 1)
        line = Style(foreground=color)
        # setting `border_title` would draw the whole widget again, once a second for the sake of one row
        self._border_title = Content.assemble(
            (left, Style(bold=True)), (" " + "─" * fill + (" " if right else ""), line), (right, Style())
        )
        corner = self.content_offset
        self.refresh(Region(-corner.x, -corner.y, self.outer_size.width, 1))
