"""The base of every list with a cursor: moving, pages, scrolling and marks.

A head line, and rows below it that the subclass draws. It knows how many rows there are and what the key of
each is, nothing of what they show.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView

from cro_tui.actions import Where, bindings
from cro_tui.widgets.drawn import Drawn

HEAD_LINES = 1


class CursorList(Drawn, ScrollView, can_focus=True):
    """Subclasses give `row_count` and `row_key`, and call `rows_changed` once they have other rows.

    One that is framed as well has to say `can_focus=True` again: Textual takes it from the first base.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.LIST)]

    class CursorMoved(Message):
        """The cursor stands on another row, on none, or its row has changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.marks: set[Hashable] = set()

    # --- what a subclass gives ----------------------------------------------------------------

    @property
    def row_count(self) -> int:
        raise NotImplementedError

    def row_key(self, index: int) -> Hashable:
        """What stays the same of a row while its place and its words change."""
        raise NotImplementedError

    def repaint_row(self, index: int) -> None:
        """Draw a row again, if it can be seen."""
        self.refresh_line(index + HEAD_LINES)

    # --- the cursor ---------------------------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.size.height - HEAD_LINES - 1))

    def action_end(self, which: int) -> None:
        self.move_to(0 if which < 0 else self.row_count - 1)

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        if at is not None and at.y >= HEAD_LINES:
            self.move_to(at.y - HEAD_LINES + self.scroll_offset.y)

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, or on the nearest that there is."""
        index = self.nearest(index)
        if index == self.cursor or not self.row_count:
            return
        before, self.cursor = self.cursor, index
        self.repaint_row(before)
        self.repaint_row(index)
        self.scroll_into_view()
        self.post_message(self.CursorMoved())

    def nearest(self, index: int) -> int:
        return max(0, min(index, self.row_count - 1))

    def rows_changed(self, cursor: int) -> None:
        """There are other rows: the cursor stands on this one, and the scroll bar fits."""
        self.cursor = self.nearest(cursor)
        self.measure_rows()

    def measure_rows(self) -> None:
        size = Size(0, self.row_count + HEAD_LINES)
        if size != self.virtual_size:
            self.virtual_size = size

    def scroll_into_view(self) -> None:
        rows, top = max(1, self.size.height - HEAD_LINES), self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True, force=True)
        elif self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False, immediate=True, force=True)

    def index_of_line(self, y: int) -> int:
        """The row that stands in a line of the widget."""
        return y - HEAD_LINES + self.scroll_offset.y

    # --- marks --------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the row under the cursor or take its mark away, and go on to the next."""
        if self.row_count:
            self.marks ^= {self.row_key(self.cursor)}
            self.repaint_row(self.cursor)
            self.move_to(self.cursor + 1)

    def is_marked(self, index: int) -> bool:
        return self.row_key(index) in self.marks
