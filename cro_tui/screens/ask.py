"""One small dialog for every question: a sentence, what will happen, and a key for each answer.

It returns the answer's value, or None for "leave it"; whoever asked acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class DialogChoice:
    """`key` is one character; the first answer is the one that `enter` takes."""

    key: str
    label: str
    value: str


class ConfirmDialog(ModalScreen[str | None]):
    """Ask once; `esc` leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "close", "Leave it")]

    def __init__(
        self, title: str, lines: Sequence[str], answers: Sequence[DialogChoice], chosen: int = 0
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)
        self._answers = tuple(answers)
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical(id="ask"):
            if self._lines:
                yield Static("\n".join(self._lines), markup=False, id="ask-lines")
            options = [
                Option(Content.assemble((f" {answer.key:<3}", "bold"), answer.label), id=answer.value)
                for answer in self._answers
            ]
            yield OptionList(*options, id="ask-answers", markup=False)
            yield Static("enter takes it   esc leaves everything as it is", markup=False, id="ask-keys")

    def on_mount(self) -> None:
        self.query_one("#ask").border_title = Content(self._title)
        answers = self.query_one(OptionList)
        answers.highlighted = self._chosen
        answers.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def on_key(self, event: events.Key) -> None:
        for answer in self._answers:
            if event.character == answer.key:
                event.stop()
                self.dismiss(answer.value)
                return

    def action_close(self) -> None:
        self.dismiss(None)
