"""Every key and what it does, from the registry of actions; the keys a person has set are shown."""

from __future__ import annotations

from typing import ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from cro_tui.actions import ACTIONS, Where, keys_of
from cro_tui.screen_host import ScreenHost

_TITLES = {
    Where.APP: "Everywhere",
    Where.DASHBOARD: "On the dashboard",
    Where.JOB: "On a job's screen",
    Where.LIST: "In the list",
    Where.LOG: "In the log",
    Where.RECIPES: "On the recipes screen",
    Where.FORM: "In the queue form",
}
_WORDS = (
    "in percent, use: live load   rsv: reserved by jobs   cap: may be taken\n"
    "x is in the way, v is fine; ~16m is an estimate, - is not known\n"
)


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark", "close", "Back")]

    def compose(self) -> ComposeResult:
        keymap = cast(ScreenHost, self.app).settings.keys
        parts: list[str | tuple[str, str]] = [_WORDS]
        for where, title in _TITLES.items():
            parts.append((f"\n{title}\n", "bold"))
            for action in ACTIONS:
                keys = " ".join(keys_of(action, keymap))
                if where in action.where and keys:
                    parts += [(f"  {keys:<12}", "bold"), f" {action.label:<14} {action.help}\n"]
        with VerticalScroll(id="help", classes="dialog"):
            yield Static(Content.assemble(*parts), markup=False)

    def on_mount(self) -> None:
        self.query_one("#help").border_title = Content("Keys")
        self.query_one("#help").border_subtitle = Content("esc back")
        self.query_one("#help").focus()

    def action_close(self) -> None:
        self.dismiss(None)
