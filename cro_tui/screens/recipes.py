"""The second place: every recipe that was found, what its header says, and what is wrong with broken ones.

Enter opens the queue form. It reads the catalogue elsewhere and runs nothing.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from cro_tui.actions import Where, bindings, footer_items
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.screens.recipe_list import as_recipe, details, options, problems_of, refill
from cro_tui.source import RecipeCatalogue, RecipeEntry
from cro_tui.widgets.lines import FooterLine, HeaderLine, NoticeLine
from cro_tui.widgets.strips import plain


class RecipesScreen(BaseScreen[None]):
    MODE = "recipes"
    WHERE = Where.RECIPES
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.RECIPES),
        ("j", "move(1)", "Down"),
        ("k", "move(-1)", "Up"),
        ("escape", "back", "Back"),
    ]
    AUTO_FOCUS = "#recipe-list"

    def __init__(self) -> None:
        super().__init__()
        self._entries: tuple[RecipeEntry, ...] = ()

    def compose(self) -> ComposeResult:
        yield HeaderLine(id="header")
        with Horizontal(id="recipes"):
            with Vertical(id="recipe-left", classes="panel"):
                yield Input(placeholder="search", compact=True, id="recipe-search")
                yield OptionList(id="recipe-list", markup=False)
            with VerticalScroll(id="recipe-right", classes="panel"):
                yield Static("Reading the recipes ...", markup=False, id="recipe-details")
        yield NoticeLine(id="notice")
        yield FooterLine(footer_items(Where.RECIPES, self.host.settings.keys), id="footer")

    def on_mount(self) -> None:
        self.query_one("#recipe-left").border_title = Content("Recipes")
        self.query_one("#recipe-right").border_title = Content("Details")
        self.action_reload()

    def action_reload(self) -> None:
        self.host.read(self.host.source.recipes.catalogue, self._came, key="recipes")

    def _came(self, recipes: RecipeCatalogue) -> None:
        if not self.is_attached:
            return
        self._entries = tuple(sorted(recipes.entries, key=lambda entry: bool(problems_of(entry))))
        broken = sum(1 for entry in self._entries if problems_of(entry))
        said = f"{len(self._entries)}" + (f", {broken} broken" if broken else "")
        self.query_one("#recipe-left").border_subtitle = Content(said)
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._fill)

    @on(Input.Changed)
    def _fill(self) -> None:
        text = self.query_one(Input).value
        width = self.query_one("#recipe-left").content_size.width
        refill(self.query_one(OptionList), options(self._entries, text, width))
        if not self._entries:
            return
        if self.query_one(OptionList).option_count == 0:
            self._tell(Content(f'No recipe matches "{plain(text, 40)}".'))

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_id is not None:
            width = self.query_one("#recipe-details").size.width
            self._tell(details(self._entries[int(event.option_id)], width))

    def _tell(self, content: Content) -> None:
        self.query_one("#recipe-details", Static).update(content)
        self.query_one("#recipe-right").scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def action_queue_recipe(self) -> None:
        view = self.query_one(OptionList)
        if view.highlighted is None:
            return
        entry = self._entries[int(view.get_option_at_index(view.highlighted).id or 0)]
        recipe = as_recipe(entry)
        if recipe is not None:
            self.host.queue_recipe(recipe)
        else:
            self.host.set_notice(f"{plain(entry.name, 40)} cannot be used: see its problems.", "warn")

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_move(self, by: int) -> None:
        view = self.query_one(OptionList)
        view.action_cursor_down() if by > 0 else view.action_cursor_up()

    def on_key(self, event: events.Key) -> None:
        if event.key in ("down", "up") and self.query_one(Input).has_focus:
            self.action_move(1 if event.key == "down" else -1)
            event.stop()

    def action_back(self) -> None:
        search = self.query_one(Input)
        if search.has_focus or search.value:
            search.value = ""
            self.query_one(OptionList).focus()
        super().action_back()
