"""A dialog that asks under which name the model of a job is kept, and what is to mean it at once.

It returns both, or None; whoever asked registers. An empty alias promotes nothing.
"""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from cro_tui.actions import Where, bindings
from cro_tui.widgets.strips import plain
from jobs.core.tracking import ALIAS, CHALLENGER, CHAMPION, NAME

_KEYS = "enter keeps it   tab the other field   esc leaves everything as it is"


class Register(ModalScreen[tuple[str, str] | None]):
    """`proposed` is a name to begin with."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in bindings(Where.FORM) if binding.id == "form.back"
    ]
    AUTO_FOCUS = "#register-name"

    def __init__(self, title: str, proposed: str) -> None:
        super().__init__()
        self._title = title
        self._proposed = proposed if NAME.fullmatch(proposed) else ""

    def compose(self) -> ComposeResult:
        words = SuggestFromList([CHAMPION, CHALLENGER])
        fields = {
            "name": Input(self._proposed, placeholder="digits", compact=True, id="register-name"),
            "alias": Input(
                placeholder=f"none; or {CHAMPION}", compact=True, id="register-alias", suggester=words
            ),
        }
        with Vertical(id="register", classes="dialog"):
            for label, field in fields.items():
                with Horizontal(classes="row"):
                    yield Static(label, classes="label short", markup=False)
                    yield Static("[", classes="edge", markup=False)
                    yield field
                    yield Static("]", classes="edge edge-right", markup=False)
            yield Static("Its files are copied, so that the job's folder may go.", markup=False)
            yield Static(_KEYS, markup=False, id="register-keys")

    def on_mount(self) -> None:
        self.query_one("#register").border_title = Content(plain(self._title, 60))

    @on(Input.Submitted)
    def _submit(self) -> None:
        name, alias = (
            self.query_one(f"#register-{each}", Input).value.strip() for each in ("name", "alias")
        )
        problem = ""
        if not NAME.fullmatch(name):
            problem = "x a name has letters, digits, _, . and -, 64 at most"
        elif alias and not ALIAS.fullmatch(alias):
            problem = f"x an alias is a word like {CHAMPION} or {CHALLENGER}, or nothing"
        if problem:
            self.query_one("#register-keys", Static).update(problem)
        else:
            self.dismiss((name, alias))

    def action_close(self) -> None:
        self.dismiss(None)
