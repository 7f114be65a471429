"""Several GPUs in one panel: a row each while there are rows, then columns, so that sixteen still read.

It draws what it is given: the share of each now, or of a time before when somebody looks back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from cro_tui.present import bytes_text
from cro_tui.present.machine import busy_text
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.graph import bar, graph_rows
from cro_tui.widgets.load import device_line
from cro_tui.widgets.strips import fit, strip
from jobs.core.jobs import Job
from jobs.core.machine import Device, DeviceSample

_LONG, _SHORT = 30, 15  # cells from which on a device gets its whole line, and its memory
_MOST_GRAPH = 24
LoadHistory = Callable[[int], Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class _Cell:
    uuid: str
    label: str
    busy: str
    share: float | None
    used: str
    line: str


class DeviceRows(Framed, Widget):
    """`show` takes the devices with their readings; `look_back` the past of each by its UUID."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"device-rows--bar"}

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii_only
        self._cells: tuple[_Cell, ...] = ()
        self._past: Mapping[str, LoadHistory] = {}
        self._span = ""
        self._graphs: dict[tuple[str, int], str] = {}
        self._total = self._number = self._longest = 0

    def show(
        self, devices: Sequence[tuple[Device, DeviceSample | None]], active: Sequence[Job], now: float
    ) -> None:
        cells = tuple(
            _Cell(
                device.uuid,
                f"GPU{device.key}" if device.instance is None else device.key,
                busy_text(device, live),
                live.utilisation if live else None,
                bytes_text(live.mem_used_bytes if live else None),
                device_line(device, live, active, now),
            )
            for device, live in devices
        )
        self._total = sum(device.mem_bytes for device, _ in devices if device.instance is None)
        self._number = sum(device.instance is None for device, _ in devices)
        if cells != self._cells:
            taller = len(cells) != len(self._cells)
            self._cells = cells
            self._longest = max((len(cell.line) for cell in cells), default=0)
            self._title()
            self.refresh(layout=taller)

    def look_back(self, span: str, past: Mapping[str, LoadHistory]) -> None:
        """Draw that time in place of the bars; an empty `span` goes back to now."""
        self._span, self._past, self._graphs = span, past, {}
        self._title()
        self.refresh()

    def _title(self) -> None:
        self.frame(
            f"{self._number} GPU{'' if self._number == 1 else 's'}",
            f"{self._span}  {bytes_text(self._total)}".strip(),
        )

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self._cells))

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        rows = max(1, self.size.height)
        columns = -(-len(self._cells) // rows)
        if not columns:
            return Strip.blank(width, base)
        each = width // columns
        parts: list[tuple[str, Style]] = []
        for cell in self._cells[y * columns : (y + 1) * columns]:
            parts += self._drawn(cell, each, base)
        return strip(parts, width, base)

    def _drawn(self, cell: _Cell, width: int, base: Style) -> list[tuple[str, Style]]:
        percent = f"{cell.busy:>4}"
        if width >= _LONG:
            label, text = f" {fit(cell.label, 6)} ", cell.line
            room = width - self._longest - 10
        elif width >= _SHORT:
            label, text = f" {fit(cell.label, 5)}", percent if self._past else f"{percent} {cell.used:>5}"
            room = max(0, width - len(label) - len(text) - 2)
        else:
            label, text = (
                f" {cell.label.removeprefix('GPU').replace('MIG', ''):>2} ",
                percent.removeprefix(" "),
            )
            room = max(0, width - 8) if self._past else 0
        graph = self._graph(cell, min(_MOST_GRAPH, room))
        rest = fit(f" {text}" if graph else text, max(0, width - len(label) - len(graph)))
        return [(label, base), (graph, self.look_of("bar")), (rest, base)]

    def _graph(self, cell: _Cell, cells: int) -> str:
        if cells < 2:
            return ""
        past = self._past.get(cell.uuid)
        if past is None:
            return " " * cells if cell.share is None else bar(cell.share, cells, ascii_only=self._ascii)
        key = cell.uuid, cells
        if key not in self._graphs:
            values = past(cells if self._ascii else 2 * cells)
            self._graphs[key] = graph_rows(values, cells, 1, ascii_only=self._ascii)[0]
        return self._graphs[key]
