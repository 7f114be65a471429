"""The first step of queueing: choose a recipe by typing a part of its name, or a command of one's own.

Returns a recipe, `COMMAND`, or None. It reads the catalogue elsewhere and never blocks.
"""

from __future__ import annotations

from typing import ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cro_tui.actions import Where, bindings
from cro_tui.screen_host import ScreenHost
from cro_tui.screens.recipe_list import COMMAND, as_recipe, options, problems_of, refill
from cro_tui.source import RecipeCatalogue, RecipeEntry, UsableRecipe
from cro_tui.widgets.strips import plain

_COMMAND_ID = "command"


class Pick(ModalScreen[UsableRecipe | str | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in bindings(Where.FORM) if binding.id == "form.back"
    ]
    AUTO_FOCUS = "#pick-search"

    def __init__(self) -> None:
        super().__init__()
        self._entries: tuple[RecipeEntry, ...] = ()
        self._read = False
        self._entered = False

    @property
    def host(self) -> ScreenHost:
        return cast(ScreenHost, self.app)

    def compose(self) -> ComposeResult:
        with Vertical(id="pick", classes="dialog"):
            yield Input(placeholder="type a part of a recipe's name", compact=True, id="pick-search")
            yield OptionList(id="pick-list", markup=False)
            yield Static("", markup=False, id="pick-note")

    def on_mount(self) -> None:
        self.query_one("#pick").border_title = Content("Queue a recipe")
        self.query_one(OptionList).can_focus = False
        self._fill("")
        self.host.read(self.host.source.recipes.catalogue, self._came, key="recipes")

    def _came(self, recipes: RecipeCatalogue) -> None:
        if not self.is_attached:
            return
        self._read = True
        self._entries = tuple(sorted(recipes.entries, key=lambda entry: bool(problems_of(entry))))
        self._fill(self.query_one(Input).value)
        if self._entered:
            self._take()

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        width = max(30, self.query_one("#pick").content_size.width or 70)
        found = options(self._entries, text, width)
        if not text or text.lower() in COMMAND or not found:
            found.append(Option(Content.assemble(f"   {COMMAND}"), id=_COMMAND_ID))
        refill(self.query_one(OptionList), found)
        note = "enter takes it   up, down choose   esc back"
        if not self._read:
            note = "Reading the recipes ..."
        self.query_one("#pick-note", Static).update(note)

    def on_key(self, event: events.Key) -> None:
        view = self.query_one(OptionList)
        moves = {"down": view.action_cursor_down, "up": view.action_cursor_up}
        moves |= {"pagedown": view.action_page_down, "pageup": view.action_page_up}
        if event.key in moves:
            moves[event.key]()
            event.stop()
            event.prevent_default()

    @on(Input.Submitted)
    def _take(self) -> None:
        view = self.query_one(OptionList)
        self._entered = not self._read
        if self._read and view.highlighted is not None:
            self._chosen(view.get_option_at_index(view.highlighted).id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._chosen(event.option_id)

    def _chosen(self, option_id: str | None) -> None:
        if option_id == _COMMAND_ID:
            self.dismiss(COMMAND)
        elif option_id is not None:
            entry = self._entries[int(option_id)]
            recipe = as_recipe(entry)
            if recipe is not None:
                self.dismiss(recipe)
                return
            first = problems_of(entry)[0]
            said = f"x line {first.line}: {plain(first.message, 200)}"
            self.query_one("#pick-note", Static).update(Content(said))

    def action_close(self) -> None:
        self.dismiss(None)
