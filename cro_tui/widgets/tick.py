"""A yes or no that can be read without colour: `[x]` or `[ ]`; space and enter turn it over."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


class Tick(Widget, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [("space,enter", "turn", "Turn over")]

    class Changed(Message):
        """It was turned over."""

    def __init__(self, label: str = "", value: bool = False, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self.value = value

    def render(self) -> Content:
        return Content(f"[{'x' if self.value else ' '}] {self._label}".rstrip())

    def action_turn(self) -> None:
        self.value = not self.value
        self.refresh()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_turn()
