"""The one-row widgets: header, notice and footer, drawn as they are told and repainted only on a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from cro_tui.actions import Action
from cro_tui.widgets.drawn import Drawn
from cro_tui.widgets.strips import fit, strip

_DROPPED_WHEN_NARROW = ("mark.row", "quit", "job.raise", "job.open")


class HeaderLine(Drawn):
    """Name, places, engine on the left; counts and clock on the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"header-line--here", "header-line--warn", "header-line--quiet"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()
        self._places: Sequence[tuple[str, bool]] = ()
        self._engine, self._alarm = "", False
        self._right: Sequence[str] = ()

    def show(
        self, places: Sequence[tuple[str, bool]], engine: str, alarm: bool, right: Sequence[str]
    ) -> None:
        """`right` offers the same facts from long to short; the first that fits is drawn."""
        shown = (tuple(places), engine, alarm, tuple(right))
        if shown != self._shown:
            self._shown = shown
            self._places, self._engine, self._alarm, self._right = places, engine, alarm, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        gap = "   " if width >= 100 else " "
        parts: list[tuple[str, Style]] = [(" cro-tui", Style(bold=True)), (gap, base)]
        for name, here in self._places:
            look = self.look_of("here") if here else Style()
            parts.append((f"[{name}]" if here else f" {name} ", look))
        name = "header-line--warn" if self._alarm else "header-line--quiet"
        parts.append((gap + self._engine, self.get_component_rich_style(name)))
        used = sum(cell_len(text) for text, _ in parts)
        right = next((text for text in self._right if cell_len(text) + used + 2 <= width), "")
        parts.append((fit(right + " ", max(0, width - used), right=True), base))
        return strip(parts, width, base)


class NoticeLine(Drawn):
    """One line of news; `kind` is "info", "warn" or "bad", each with its own sign."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"notice-line--info", "notice-line--warn", "notice-line--bad"}
    _SIGNS: ClassVar[dict[str, str]] = {"info": " ", "warn": "!", "bad": "x"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.text, self.kind = "", "info"

    def show(self, text: str, kind: str = "info") -> None:
        if (text, kind) != (self.text, self.kind):
            self.text, self.kind = text, kind
            self.refresh()

    def render_line(self, y: int) -> Strip:
        look = self.look_of(self.kind)
        line = fit(self._SIGNS[self.kind] + self.text, self.size.width)
        return strip([(line, look)], self.size.width, self.look_of())


class FooterLine(Drawn):
    """The keys of a place, from the registry."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"footer-line--key"}

    def __init__(self, items: Sequence[tuple[str, Action]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._items = list(items)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        key_look = self.look_of("key")
        shown, gap, compact = list(self._items), "  ", False
        dropped = list(_DROPPED_WHEN_NARROW)
        while _width(shown, gap, compact) > width:
            if not compact:
                gap, compact = " ", True
            elif dropped:
                name = dropped.pop(0)
                shown = [item for item in shown if item[1].id != name]
            else:
                shown.pop()
        parts: list[tuple[str, Style]] = [(" ", base)]
        for key, action in shown:
            parts += [(key, key_look), (f" {_label(action, compact)}{gap}", base)]
        return strip(parts, width, base)


def _label(action: Action, compact: bool) -> str:
    return (action.compact_label or action.label) if compact else action.label


def _width(items: Sequence[tuple[str, Action]], gap: str, compact: bool) -> int:
    return sum(len(key) + 1 + len(_label(action, compact)) + len(gap) for key, action in items) + 1
