"""One job's log of any size as a line-drawn view that reads only the lines on the screen.

It follows the end, stays where a person scrolled to, and goes to a line or a hit. It never writes, and a
progress bar that rewrites itself is one line, as `jobs.records.logs` reads it.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cro_tui.actions import Where, bindings
from cro_tui.present import bytes_text
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.strips import fit, strip
from jobs.records.logs import LogFile

GROWING_S, RESTING_S = 0.1, 0.5
_BUDGET_BYTES = 2 << 20  # indexed at once on the screen's thread
_WIDEST = 2_000


class LogView(Framed, ScrollView, can_focus=True):
    """`open` shows a file; it follows until a person scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.LOG)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"log-view--hit", "log-view--quiet"}
    HELP = "A job's output. `f` follows its end, `/` finds, `]` and `[` go from hit to hit, `:` to a line."

    class Ask(Message):
        """The person wants to type: "find" or "goto"."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    class Seek(Message):
        """The next hit is wanted; a search may take long and is done elsewhere."""

        def __init__(self, path: Path, text: str, start: int, backwards: bool) -> None:
            super().__init__()
            self.path = path
            self.text = text
            self.start = start
            self.backwards = backwards

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._log: LogFile | None = None
        self._title = "Log"
        self._empty = ""
        self._lines: dict[int, str] = {}
        self._era = 0
        self._hit: int | None = None
        self._grew_at = 0.0
        self._widest = 0
        self._pause_s = RESTING_S
        self._resting = True
        self.following = True
        self.wanted = ""

    # --- what it shows ------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        return self._log.path if self._log else None

    def open(self, path: Path | None, title: str, empty: str) -> None:
        """Show a file from its end, or go on with the same; `empty` is said while it has no lines."""
        if path != self.path:
            if self._log is not None:
                self._log.close()
            self._log = LogFile(path) if path is not None else None
            self._lines, self._hit, self._widest, self.following = {}, None, 0, True
            self.wanted = ""
            self.virtual_size = Size(0, 0)
            self.scroll_to(x=0, y=0, animate=False, immediate=True, force=True)
            self._grew_at = monotonic()
        if (title, empty) != (self._title, self._empty):
            self._title, self._empty = title, empty
            self.refresh()
        self.look()

    def look(self) -> None:
        """Take in what was written since."""
        if self._log is None:
            self._label()
            return
        before = self._log.line_count
        if self._log.refresh(_BUDGET_BYTES):
            self._grew_at = monotonic()
            if self._log.line_count < before or self._log.era != self._era:
                self._era = self._log.era
                self._lines = {}
                before = 0
            for number in [each for each in self._lines if each >= before - 1]:
                del self._lines[number]
            self._measure()
            if self.following:
                self._scroll(self._last_top)
            self.refresh()
        self._label()

    def lines_shown(self) -> list[str]:
        """The lines on the screen now."""
        top = self.scroll_offset.y
        return [self._line(number) for number in range(top, min(self._count, top + self.size.height))]

    def on_mount(self) -> None:
        self._again()

    def on_unmount(self) -> None:
        if self._log is not None:
            self._log.close()

    def _again(self) -> None:
        """Its own timer: ten times a second while the file grows and is seen, slower otherwise."""
        self._pause_s = min(RESTING_S, max(GROWING_S, (monotonic() - self._grew_at) * 2))
        if self._log is not None and not self._log.complete:
            self._pause_s = GROWING_S
        self._resting = False
        self.set_timer(self._pause_s, self._tick)

    def _tick(self) -> None:
        self._resting = not self.is_in_front
        if not self._resting:
            if self.size.height > 0:
                self.look()
            self._again()

    def go_on(self) -> None:
        """Its place is in front again; behind another one it does not look."""
        if self._resting:
            self.look()
            self._again()

    @property
    def is_in_front(self) -> bool:
        return self.is_attached and self.screen.is_current

    @property
    def _count(self) -> int:
        return self._log.line_count if self._log else 0

    def _measure(self) -> None:
        size = Size(max(self._widest, self.size.width), self._count)
        if size == self.virtual_size:
            return
        if self.show_vertical_scrollbar and size.height > self.size.height:
            self.set_reactive(LogView.virtual_size, size)  # one more line needs no new layout
            self.vertical_scrollbar.window_virtual_size = size.height
        else:
            self.virtual_size = size

    def _label(self) -> None:
        if self._log is None:
            self.frame(self._title)
            return
        state = "TAIL" if self.following else "PAUSED"
        if not self._log.complete:
            state += " · reading"
        count = f"{self._count:,} line{'' if self._count == 1 else 's'}"
        hit = "" if self._hit is None else f"hit at {self._hit + 1:,} · "
        self.frame(self._title, f"{hit}{state} · {count} · {bytes_text(self._log.size_bytes)}")

    # --- moving -------------------------------------------------------------------------------

    def action_cursor(self, by: int) -> None:
        self._go(self.scroll_offset.y + by)

    def action_page(self, by: int) -> None:
        self._go(self.scroll_offset.y + by * max(1, self.size.height - 1))

    def action_end(self, which: int) -> None:
        self._go(0 if which < 0 else self._count)

    def action_follow(self) -> None:
        self.following = not self.following
        if self.following:
            self._scroll(self._last_top)
        self._label()

    def action_sideways(self, by: int) -> None:
        self.scroll_to(x=max(0, self.scroll_offset.x + by), animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(new_value) < round(old_value) and round(new_value) < self._last_top:
            self.following = False
            self._label()

    def go_to(self, line: int) -> None:
        """Put a line (numbered from 1) on the screen and stay there."""
        self._hit = max(0, min(line - 1, self._count - 1)) if self._count else None
        if self._hit is not None:
            self.following = False
            self._go(self._hit - self.size.height // 2)
        self.refresh()

    @property
    def _last_top(self) -> int:
        return max(0, self._count - self.size.height)

    def _go(self, top: int) -> None:
        top = max(0, min(top, self._last_top))
        self.following = top >= self._last_top and top > 0 if self._last_top else True
        self._scroll(top)
        self._label()

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, immediate=True, force=True)

    # --- finding ------------------------------------------------------------------------------

    def action_find(self) -> None:
        self.post_message(self.Ask("find"))

    def action_goto(self) -> None:
        self.post_message(self.Ask("goto"))

    def action_hit(self, which: int) -> None:
        self.seek(backwards=which < 0)

    def seek(self, *, backwards: bool = False) -> None:
        """Ask for the next line that has the wanted text, from the last hit or the screen's top."""
        if self._log is None or not self.wanted:
            return
        start = self.scroll_offset.y if self._hit is None else self._hit + (-1 if backwards else 1)
        self.post_message(self.Seek(self._log.path, self.wanted, start, backwards))

    def found(self, line: int) -> None:
        """A search came back: `line` is numbered from 0."""
        self.go_to(line + 1)
        self._label()

    # --- drawing ------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._reframe()
        self._measure()
        if self.following:
            self._scroll(self._last_top)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.look_of()
        if self._count == 0:
            text = self._empty if y == 0 else ""
            quiet = self.look_of("quiet")
            return strip([(" " + fit(text, width - 1), quiet)], width, base)
        number = y + self.scroll_offset.y
        if number >= self._count:
            return Strip.blank(width, base)
        text = self._line(number)
        skip = self.scroll_offset.x
        look = Style()
        if self.wanted and _has(text, self.wanted):
            look = self.look_of("hit")
        marker = ">" if number == self._hit else " "
        return strip([(marker + text[skip : skip + width * 2], look)], width, base)

    def _line(self, number: int) -> str:
        known = self._lines.get(number)
        if known is None and self._log is not None:
            first = max(0, min(number, self.scroll_offset.y))
            stop = max(number + 1, first + self.size.height)
            if len(self._lines) > 4 * max(64, self.size.height):
                self._lines = {}
            for at, text in enumerate(self._log.read_lines(first, stop), first):
                self._lines[at] = text
                self._widest = max(self._widest, min(_WIDEST, len(text) + 2))
            known = self._lines.get(number, "")
        return known or ""


def _has(line: str, wanted: str) -> bool:
    return wanted in (line if wanted != wanted.lower() else line.lower())


def search(path: Path, text: str, start: int, backwards: bool) -> int | None:
    """The line of the next hit, by a reader of its own; for another thread. Wraps around once."""
    with LogFile(path) as log:
        while log.refresh() and not log.complete:
            pass
        found = log.find(text, start, backwards=backwards)
        if found is None:
            found = log.find(text, log.line_count - 1 if backwards else 0, backwards=backwards)
        return found
