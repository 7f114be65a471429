"""The third place: every version of every registered model, its card, and two of them side by side.

It reads and changes the registry elsewhere, by the host; it loads no model.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from textwrap import wrap
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cro_tui.actions import Where, bindings, footer_items
from cro_tui.present import jobs_text, name_text, state_word
from cro_tui.present.amounts import counted
from cro_tui.present.models import aliases_text, card_rows, compared, metric_text, reference_text
from cro_tui.present.serving import serves, serving_rows
from cro_tui.screens.ask import ConfirmDialog, DialogChoice
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.widgets.lines import FooterLine, HeaderLine, NoticeLine
from cro_tui.widgets.strips import fit
from jobs.core.jobs import Job
from jobs.core.tracking import CHALLENGER, CHAMPION, ModelCard, RegisteredModel
from jobs.kinds.service import Service

_EMPTY = """No models.

When a training job has succeeded:
  cro-tui model register ID NAME"""
_LABEL_CELLS = 12
_SERVICES_EVERY_S = 3.0


class _Laid(Message):
    """A part of the screen has a width, or another one."""


class _List(OptionList):
    def on_resize(self) -> None:
        self.post_message(_Laid())


class _Card(Static):
    def on_resize(self) -> None:
        self.post_message(_Laid())


class ModelsScreen(BaseScreen[None]):
    MODE = "models"
    WHERE = Where.MODELS
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.MODELS),
        ("j", "move(1)", "Down"),
        ("k", "move(-1)", "Up"),
        ("escape", "back", "Back"),
    ]
    AUTO_FOCUS = "#model-list"

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[RegisteredModel, ModelCard]] = []
        self._services: tuple[tuple[Job, Service | None], ...] = ()
        self._marked: str | None = None
        self._comparing = False
        self._laid_out = (0, 0)
        self._shown: tuple[str, bool] | None = None

    def compose(self) -> ComposeResult:
        yield HeaderLine(id="header")
        with Horizontal(id="models"):
            with Vertical(id="model-left", classes="panel"):
                yield _List(id="model-list", markup=False)
            with VerticalScroll(id="model-right", classes="panel"):
                yield _Card("Reading the models ...", markup=False, id="model-card")
        yield NoticeLine(id="notice")
        yield FooterLine(footer_items(Where.MODELS, self.host.settings.keys), id="footer")

    def on_mount(self) -> None:
        self.query_one("#model-left").border_title = Content("Models")
        self.set_interval(_SERVICES_EVERY_S, self._read_services)
        self.action_reload()

    def on_screen_resume(self) -> None:
        if self.ready:
            self.action_reload()

    def action_reload(self) -> None:
        source = self.host.source
        self.host.read(lambda: (source.models.list(), source.services.list()), self._came, key="models")

    def _came(
        self, read: tuple[tuple[RegisteredModel, ...], tuple[tuple[Job, Service | None], ...]]
    ) -> None:
        if not self.is_attached:
            return
        models, self._services = read
        self._rows = [(model, card) for model in models for card in model.versions]
        said = f"{counted(len(self._rows), 'version')} of {len(models)}" if self._rows else ""
        self.query_one("#model-left").border_subtitle = Content(said)
        self._fill()

    @on(_Laid)
    def _lay_out(self) -> None:
        """Again, but only for widths that are new: a text of another length has another height."""
        widths = self._widths
        if widths != self._laid_out:
            self._laid_out = widths
            self._fill()

    @property
    def _widths(self) -> tuple[int, int]:
        left, right = self.query_one("#model-list"), self.query_one("#model-card")
        return max(20, left.content_size.width - 2), max(30, right.content_size.width)

    def _fill(self) -> None:
        view = self.query_one(OptionList)
        width = self._widths[0]
        at = view.highlighted
        view.clear_options()
        view.add_options([Option(self._row(*row, width)) for row in self._rows])
        if self._rows:
            view.highlighted = min(at or 0, len(self._rows) - 1)
        self._show()

    def _row(self, model: RegisteredModel, card: ModelCard, width: int) -> Content:
        mark = "*" if self._marked == reference_text(card) else " "
        metric = metric_text(card)
        metrics = min(24, width // 3)
        left = f"{aliases_text(model, card)} " if aliases_text(model, card) else ""
        name = fit(f"{mark}{reference_text(card)}  {left}", max(10, width - metrics - 1))
        return Content(f"{name} {fit(metric, metrics, right=True)}")

    # --- the right side -------------------------------------------------------------------------

    @property
    def _here(self) -> tuple[RegisteredModel, ModelCard] | None:
        at = self.query_one(OptionList).highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    @property
    def _other(self) -> ModelCard | None:
        """What to compare with: the marked version, or else the champion, or the one before."""
        here = self._here
        if here is None:
            return None
        model, card = here
        marked = [each for _, each in self._rows if reference_text(each) == self._marked]
        wanted = model.aliases.get(CHAMPION, card.version - 1)
        fallback = [each for each in model.versions if each.version in (wanted, card.version - 1)]
        return next((each for each in (*marked, *fallback) if each != card), None)

    @on(OptionList.OptionHighlighted)
    def _show(self) -> None:
        here, right = self._here, self.query_one("#model-right")
        if here is None:
            right.border_title = Content("Card")
            self.query_one("#model-card", Static).update(_EMPTY)
            return
        model, card = here
        other = self._other if self._comparing else None
        if other is None:
            right.border_title = Content("Card")
            head, *rest = card_rows(card, model, self.host.now())
            served = serving_rows(model, card, self._services)
            text = _labelled([head, *served, *rest], self._widths[1])
        else:
            right.border_title = Content(f"{reference_text(card)} and {reference_text(other)}")
            text = _side_by_side(card, other, self._widths[1])
        self.query_one("#model-card", Static).update(text)
        if (shown := (reference_text(card), other is not None)) != self._shown:
            self._shown = shown
            right.scroll_home(animate=False)

    # --- actions --------------------------------------------------------------------------------

    def action_mark_model(self) -> None:
        here = self._here
        if here is not None:
            chosen = reference_text(here[1])
            self._marked = None if self._marked == chosen else chosen
            self._fill()

    def action_compare(self) -> None:
        self._comparing = not self._comparing
        if self._comparing and self._here is not None and self._other is None:
            self._comparing = False
            self.host.set_notice("There is no other version to compare with: mark one with space.", "warn")
        self._show()

    def action_promote(self) -> None:
        here = self._here
        if here is None:
            return
        model, card = here
        lines = [
            f"{alias} means {model.name}:{model.aliases[alias]} now."
            if alias in model.aliases
            else f"Nothing is {alias} yet."
            for alias in (CHAMPION, CHALLENGER)
        ]
        answers = [
            DialogChoice("p", "make it the champion", CHAMPION),
            DialogChoice("c", "the challenger", CHALLENGER),
        ]

        def answered(alias: str | None) -> None:
            if alias is not None:
                reference = reference_text(card)
                self._change(
                    lambda: self.host.source.models.promote(reference, alias),
                    lambda made: f"{alias} means {made} now.",
                )

        self.app.push_screen(ConfirmDialog(f"Promote {reference_text(card)}?", lines, answers), answered)

    def action_roll_back(self) -> None:
        here = self._here
        if here is None:
            return
        model, _ = here
        if CHAMPION not in model.aliases:
            self.host.set_notice(f"{model.name} has no champion to roll back.", "warn")
            return
        lines = [f"The champion is {model.name}:{model.aliases[CHAMPION]} now."]
        answers = [DialogChoice("b", "what it was before", CHAMPION)]

        def answered(alias: str | None) -> None:
            if alias is not None:
                self._change(
                    lambda: self.host.source.models.roll_back(model.name, alias),
                    lambda made: f"{alias} means {made} again.",
                )

        self.app.push_screen(
            ConfirmDialog(f"Roll back the champion of {model.name}?", lines, answers), answered
        )

    def action_serve(self) -> None:
        here = self._here
        if here is None:
            return
        model, card = here
        aliases = model.aliases_of(card.version)
        answers = [DialogChoice("v", f"this version, {reference_text(card)}", reference_text(card))]
        if aliases:
            alias = CHAMPION if CHAMPION in aliases else aliases[0]
            name = f"{card.name}@{alias}"
            answers.insert(0, DialogChoice("a", f"what {name} means, now and later", name))
        lines = [
            "It is queued as a job, answers on this machine alone, and goes on until it is stopped.",
            "Its log, and cro-tui serve --list, say its address.",
        ]

        def answered(reference: str | None) -> None:
            if reference is not None:
                self.host.write(
                    lambda: self.host.source.services.serve(reference),
                    lambda job_id: self._served(f"#{job_id} serves {reference} once it starts."),
                )

        self.app.push_screen(ConfirmDialog(f"Serve {reference_text(card)}?", lines, answers), answered)

    def action_stop_serving(self) -> None:
        here = self._here
        if here is None:
            return
        jobs = [job for job, service in self._services if serves(job, service, *here)]
        if not jobs:
            self.host.set_notice(f"{reference_text(here[1])} is not served.", "warn")
            return
        lines = [f"#{job.id} {name_text(job, 40)} ({state_word(job)})" for job in jobs]
        lines.append("It answers what it was asked before, and nothing more.")
        ids = [job.id for job in jobs]

        def answered(answer: str | None) -> None:
            if answer is not None:
                self.host.write(
                    lambda: self.host.source.jobs.cancel(ids),
                    lambda _: self._served(f"{jobs_text(ids)} is being stopped."),
                )

        title = f"Stop serving {reference_text(here[1])}?"
        self.app.push_screen(ConfirmDialog(title, lines, [DialogChoice("x", "stop it", "stop")]), answered)

    def _served(self, said: str) -> None:
        self.host.set_notice(said)
        self._read_services()

    def _read_services(self) -> None:
        """What is served, and how quickly: now and then, and after it was changed."""
        if self.is_current:
            self.host.read(self.host.source.services.list, self._services_came, key="services")

    def _services_came(self, services: tuple[tuple[Job, Service | None], ...]) -> None:
        if self.is_attached and services != self._services:
            self._services = services
            self._show()

    def action_export(self) -> None:
        here = self._here
        if here is not None:
            reference = reference_text(here[1])
            folder = reference.replace(":", "-")
            self.host.write(
                lambda: self.host.source.models.export(reference, folder),
                lambda path: self.host.set_notice(f"{reference} is in {path}."),
            )

    def _change(self, call: Callable[[], ModelCard], said: Callable[[str], str]) -> None:
        def done(card: ModelCard) -> None:
            self.host.set_notice(said(reference_text(card)))
            self.action_reload()

        self.host.write(call, done)

    def action_move(self, by: int) -> None:
        view = self.query_one(OptionList)
        view.action_cursor_down() if by > 0 else view.action_cursor_up()

    def action_back(self) -> None:
        if self._comparing:
            self._comparing = False
            self._show()
        super().action_back()


def _labelled(rows: list[tuple[str, str]], width: int) -> Content:
    """Each value beside its label, and below itself where it is longer than a line."""
    parts: list[str | tuple[str, str]] = []
    for label, text in rows:
        lines = wrap(text, width - _LABEL_CELLS, break_on_hyphens=False) or [""]
        parts += [(f"{label:<{_LABEL_CELLS}}", "dim"), f"{lines[0]}\n"]
        parts += [f"{'':<{_LABEL_CELLS}}{line}\n" for line in lines[1:]]
    return Content.assemble(*parts)


def _side_by_side(one: ModelCard, other: ModelCard, width: int) -> Content:
    rows = compared(one, other)
    if not rows:
        return Content("Nothing differs.")
    cells = (width - _LABEL_CELLS) // 2 - 1
    parts: list[str | tuple[str, str]] = []
    for what, left, right in (("", reference_text(one), reference_text(other)), *rows):
        columns = zip_longest(wrap(left, cells), wrap(right, cells), fillvalue="")
        for number, (first, second) in enumerate(columns):
            parts += [(fit("" if number else what, _LABEL_CELLS), "dim"), f"{fit(first, cells)} {second}\n"]
    return Content.assemble(*parts)
