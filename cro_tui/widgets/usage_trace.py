"""A job's use over its whole life: cores, memory and GPU memory as graphs, and a second under the cursor.

It draws what it is given; the moments and the log line of one come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cro_tui.present import bytes_text, duration_text, number_text
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.graph import graph_rows
from cro_tui.widgets.strips import fit, plain, strip
from jobs.records.usage_trace import Moment, binned

_LABEL_CELLS = 5
_GRAPHS = ("CPU", "MEM", "VRAM")


class UsageTrace(Framed, Widget):
    """`show` takes all moments; `Scrubbed` names the one that the cursor stands on (None: none)."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "usage-trace--cpu", "usage-trace--mem", "usage-trace--vram",
        "usage-trace--cursor", "usage-trace--quiet",
    }  # fmt: skip

    class Scrubbed(Message):
        def __init__(self, moment: Moment | None) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii_only
        self._moments: tuple[Moment, ...] = ()
        self._cells: tuple[Moment | None, ...] = ()
        self._cursor: int | None = None
        self._line = ""

    def show(self, moments: Sequence[Moment]) -> None:
        if tuple(moments) != self._moments:
            self._moments = tuple(moments)
            self._measure()

    def tell(self, line: str) -> None:
        """The log line of the moment under the cursor."""
        self._line = plain(line, 400)
        self.refresh()

    def scrub(self, by: int) -> None:
        """Move the cursor by some cells; it enters at the newest, and leaves beyond it."""
        if not self._cells:
            return
        last = len(self._cells) - 1
        place = last + 1 if self._cursor is None else self._cursor
        place = max(0, place + by)
        self._cursor = None if place > last else place
        self._line = ""
        self.post_message(self.Scrubbed(self._here()))
        self.refresh()

    def _here(self) -> Moment | None:
        return None if self._cursor is None else self._cells[self._cursor]

    def on_resize(self) -> None:
        self._reframe()
        self._measure()

    def _measure(self) -> None:
        width = max(0, self.content_size.width - _LABEL_CELLS)
        self._cells = binned(self._moments, width)
        if self._cursor is not None and self._cursor >= len(self._cells):
            self._cursor = None
        self._headline()
        self.refresh()

    def _headline(self) -> None:
        if not self._moments:
            self.frame("Use", "nothing measured yet")
            return
        span = duration_text(self._moments[-1].at - self._moments[0].at)
        cpus = max((m.cpus for m in self._moments if m.cpus is not None), default=None)
        mem = max((m.mem_bytes for m in self._moments if m.mem_bytes is not None), default=None)
        vram = max((m.gpu_mem_bytes for m in self._moments if m.gpu_mem_bytes is not None), default=None)
        gpu = "" if vram is None else f" VRAM {bytes_text(vram)}"
        self.frame("Use", f"{span} · most {number_text(cpus)} cores {bytes_text(mem)}{gpu}")

    def render_line(self, y: int) -> Strip:
        width, height, base = self.size.width, self.size.height, self.look_of()
        graphs = _GRAPHS if any(m.gpu_mem_bytes is not None for m in self._cells if m) else _GRAPHS[:2]
        rows = max(1, (height - 1) // len(graphs))
        if y == height - 1:
            return strip([(fit(self._caption(), width), self.look_of("quiet"))], width, base)
        which, row = divmod(y, rows)
        if which >= len(graphs) or not self._cells:
            return Strip.blank(width, base)
        name, values = graphs[which], self._values(graphs[which])
        label = name if row == rows - 1 else ""
        doubled = [value for value in values for _ in (0, 1)]  # two dots a cell, one moment
        if self._ascii:
            doubled = list(values)
        text = graph_rows(doubled, len(self._cells), rows, ascii_only=self._ascii)[row]
        look = self.look_of(name.lower())
        parts = [(fit(label, _LABEL_CELLS), self.look_of("quiet"))]
        if self._cursor is None:
            parts.append((text, look))
        else:
            at = self._cursor
            parts += [
                (text[:at], look),
                (text[at : at + 1], self.look_of("cursor")),
                (text[at + 1 :], look),
            ]
        return strip(parts, width, base + Style())

    def _values(self, name: str) -> list[float | None]:
        """Shares of the most there was."""
        field = {"CPU": "cpus", "MEM": "mem_bytes", "VRAM": "gpu_mem_bytes"}[name]
        values: list[float | None] = [
            None if each is None else getattr(each, field) for each in self._cells
        ]
        most = max((value for value in values if value is not None), default=0.0) or 1.0
        return [None if value is None else value / most for value in values]

    def _caption(self) -> str:
        here = self._here()
        if self._cursor is None:
            return ""
        if here is None:
            return "nothing was measured then"
        after = duration_text(here.at - self._moments[0].at)
        gpu = "" if here.gpu_mem_bytes is None else f"  VRAM {bytes_text(here.gpu_mem_bytes)}"
        used = f"{number_text(here.cpus)} cores  {bytes_text(here.mem_bytes)}{gpu}"
        return f"{after}  {used}  {self._line}"
