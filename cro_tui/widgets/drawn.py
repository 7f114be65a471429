"""The base of every line-drawing widget here: its styles, looked up once until the style sheet changes."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class Drawn(Widget):
    _looks: dict[str, Style]

    def look_of(self, name: str = "") -> Style:
        """The style of one of its component classes (without the widget's prefix), or its own."""
        looks: dict[str, Style] = self.__dict__.setdefault("_looks", {})
        found = looks.get(name)
        if found is None:
            prefix = next(iter(self.COMPONENT_CLASSES)).partition("--")[0] if name else ""
            found = self.get_component_rich_style(f"{prefix}--{name}") if name else self.rich_style
            looks[name] = found
        return found

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.__dict__["_looks"] = {}
