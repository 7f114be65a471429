"""The queue form: fields made from the recipe's parameters, needs, and a live word on when it would start.

It keeps what was typed, shows every problem at its field at once, and returns what was queued; the rules
are the engine's, asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Input, Static

from cro_tui.actions import Where, bindings
from cro_tui.present import bytes_text, learned_text, number_text
from cro_tui.screen_host import ScreenHost
from cro_tui.screens.form_values import (
    Typed,
    default_text,
    expected,
    need_defaults,
    request_of,
    would_start,
)
from cro_tui.source import RecipeParam, UsableRecipe
from cro_tui.widgets.strips import plain
from cro_tui.widgets.tick import Tick
from jobs.core.jobs import JobId, OnReboot, ParamValue
from jobs.core.ports import CroError
from jobs.core.requests import Preview, SubmitRequest

_COMMAND_HINT = "a program and its arguments"
_PAUSE_S = 0.15  # after the last key, before the engine is asked again
_NEEDS = (
    ("cpus", "CPU", 5),
    ("mem", "MEM", 6),
    ("gpus", "GPU", 3),
    ("vram", "VRAM", 6),
    ("time", "time", 6),
)


@dataclass(frozen=True, slots=True)
class JobsQueued:
    """What the form did: the new jobs, and what was foreseen for them."""

    ids: tuple[JobId, ...]
    preview: Preview

    def outlook(self, now: float) -> str:
        said = would_start(self.preview, now)
        return "starts now" if self.preview.starts_now else f"waits: {said}"


class QueueForm(ModalScreen[JobsQueued | None]):
    """For a recipe, or (with None) for a command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.FORM),
        ("down", "app.focus_next", "Next field"),
        ("up", "app.focus_previous", "Previous field"),
    ]
    AUTO_FOCUS = "#form-fields Input, #form-fields Tick"

    def __init__(self, recipe: UsableRecipe | None) -> None:
        super().__init__()
        self._recipe = recipe
        self._params: tuple[RecipeParam, ...] = tuple(recipe.params) if recipe else ()
        self._timer: Timer | None = None
        self._asked = 0
        self._problems: dict[str, str] = {}
        self._queueing = False
        self._preview: Preview | None = None

    @property
    def host(self) -> ScreenHost:
        return cast(ScreenHost, self.app)

    def compose(self) -> ComposeResult:
        defaults = self.host.settings.defaults
        asked = self._recipe.needs if self._recipe else None
        shown = need_defaults(asked, defaults.cpus, defaults.mem_bytes)
        with Vertical(id="form", classes="dialog"):
            with VerticalScroll(id="form-fields", can_focus=False):
                if self._recipe is None:
                    with Horizontal(classes="row"):
                        yield Static("command", classes="label short", markup=False)
                        yield from _boxed(Input(placeholder=_COMMAND_HINT, compact=True, id="f-command"))
                    yield Static("", id="h-command", classes="problem", markup=False)
                for number, param in enumerate(self._params):
                    yield from _row(plain(param.name, 40), _field(param, number), _hint(param), str(number))
            with Horizontal(classes="row"):
                yield Static("Needs", classes="label short", markup=False)
                for name, label, width in _NEEDS:
                    yield Static(label, classes="small", markup=False)
                    field = Input(placeholder=shown[name], compact=True, id=f"f-{name}")
                    field.styles.width = width
                    yield from _boxed(field)
            yield Static("", id="p-needs", classes="problem", markup=False)
            with Horizontal(classes="row"):
                yield Static("After", classes="label short", markup=False)
                yield from _boxed(Input(placeholder="nothing; or 39 41", compact=True, id="f-after"))
                yield Static("priority", classes="small", markup=False)
                yield from _boxed(Input(placeholder=str(defaults.priority), compact=True, id="f-priority"))
                yield Static("reboot", classes="small", markup=False)
                usual = self._recipe.on_reboot if self._recipe else OnReboot.FAIL.value
                words = SuggestFromList([each.value for each in OnReboot], case_sensitive=False)
                yield from _boxed(
                    Input(placeholder=str(usual), compact=True, id="f-on_reboot", suggester=words)
                )
                yield Tick("hold", id="f-hold")
            yield Static("", id="p-rest", classes="problem", markup=False)
            yield Static("Would start: ...", id="form-outlook", markup=False)
            yield Static("", id="form-keys", markup=False)

    def on_mount(self) -> None:
        title = "a command" if self._recipe is None else plain(self._recipe.name, 40)
        self.query_one("#form").border_title = Content(f"Queue a job: {title}")
        if self._recipe is not None:
            self.query_one("#form").border_subtitle = Content(f"{self._recipe.framework}")
        self._say_keys()
        self._changed()

    # --- what was typed -----------------------------------------------------------------------

    def _request(self) -> tuple[SubmitRequest, dict[str, str]]:
        def text(name: str) -> str:
            return self.query_one(f"#f-{name}", Input).value

        params: dict[str, ParamValue] = {}
        for number, param in enumerate(self._params):
            field = self.query_one(f"#v-{number}")
            params[param.name] = field.value if isinstance(field, Input | Tick) else ""
        typed = Typed(
            recipe=self._recipe.name if self._recipe else None,
            command="" if self._recipe else text("command"),
            params=params,
            after=text("after"),
            priority=text("priority"),
            on_reboot=text("on_reboot"),
            hold=self.query_one("#f-hold", Tick).value,
            **{name: text(name) for name, _, _ in _NEEDS},
        )
        return request_of(typed, self.host.settings.defaults.priority)

    @on(Input.Changed)
    @on(Tick.Changed)
    def _changed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE_S, self._ask_preview)

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    def _ask_preview(self) -> None:
        request, unreadable = self._request()
        self._asked += 1
        asked = self._asked
        source = self.host.source

        def came(preview: Preview) -> None:
            if asked == self._asked and self.is_attached:
                self._show(preview, unreadable)

        self.host.read(lambda: source.forecasts.preview(request), came, key="preview", failed=self._failed)

    # --- what is said -------------------------------------------------------------------------

    def _show(self, preview: Preview, unreadable: Mapping[str, str]) -> None:
        self._problems = {**preview.problems, **unreadable}
        left = dict(self._problems)
        for number, param in enumerate(self._params):
            self._at(f"#h-{number}", left.pop(param.name, None), _hint(param))
        if self._recipe is None:
            self._at("#h-command", left.pop("command", None), "")
        needs = [f"{name}: {left.pop(name)}" for name, _, _ in _NEEDS if name in left]
        self._preview = preview
        self._at("#p-needs", " ".join(needs) or None, self._learned())
        self._at("#p-rest", " ".join(f"{name}: {said}" for name, said in left.items()) or None, "")
        if self._problems:
            said = f"Would start: not with {self._names()} as it is."
        else:
            said = f"Would start: {would_start(preview, self.host.now())}"
        self.query_one("#form-outlook", Static).update(Content(plain(said, 400)))
        self._say_keys()

    def _learned(self) -> str:
        """What earlier runs used beside what is asked for, and how to take it."""
        preview = self._preview
        if preview is None or preview.learned is None or preview.needs is None:
            return ""
        said = learned_text(preview.needs, preview.learned, preview.learned_runs)
        typed = any(self.query_one(f"#f-{name}", Input).value.strip() for name in ("cpus", "mem", "vram"))
        if not said:
            return ""
        return f"{said}: {self.host.key('form.learned')} takes it" if typed else f"{said}."

    def _at(self, where: str, problem: str | None, otherwise: str) -> None:
        line = self.query_one(where, Static)
        line.set_class(problem is not None, "-wrong")
        line.set_class(problem is None and bool(otherwise), "-said")
        line.update(Content(f"x {plain(problem, 300)}" if problem is not None else otherwise))

    def _names(self) -> str:
        return ", ".join(plain(name, 30) for name in self._problems)

    def _say_keys(self) -> None:
        key, back = self.host.key("form.queue"), self.host.key("form.back")
        queue = f"Queue (fix {self._names()})" if self._problems else "Queue"
        said = "Queueing ..." if self._queueing else f"{key} {queue}    {back} Back    tab next field"
        self.query_one("#form-keys", Static).update(Content(plain(said, 200)))

    # --- queueing -----------------------------------------------------------------------------

    def action_queue(self) -> None:
        if self._queueing:
            return
        request, unreadable = self._request()
        source = self.host.source
        self._asked += 1

        def look() -> Preview:
            return source.forecasts.preview(request)

        def looked(preview: Preview) -> None:
            if self.is_attached:
                self._show(preview, unreadable)
            if self._problems:
                self._queueing = False
                self._say_keys()
                self._focus_problem()
                return
            self.host.write(
                lambda: source.jobs.submit([request]), lambda ids: queued(ids, preview), failed=self._failed
            )

        def queued(ids: tuple[JobId, ...], preview: Preview) -> None:
            if self.is_attached and self.is_current:
                self.dismiss(JobsQueued(ids, preview))
            else:
                self.host.set_notice(f"#{ids[0]} queued.")

        self._queueing = not unreadable
        self._say_keys()
        self.host.read(look, looked, key="queue", failed=self._failed)

    def action_learned(self) -> None:
        """Write what earlier runs used into the fields."""
        learned = None if self._preview is None else self._preview.learned
        if learned is None:
            return
        self.query_one("#f-cpus", Input).value = number_text(learned.cpus)
        self.query_one("#f-mem", Input).value = bytes_text(learned.mem_bytes)
        if learned.gpu_mem_bytes is not None:
            self.query_one("#f-vram", Input).value = bytes_text(learned.gpu_mem_bytes)

    def _failed(self, error: CroError) -> None:
        """Say it here, where the person looks; what was typed stays."""
        said = plain(f"{error.title} {error.detail}", 300)
        if not self.is_attached:
            self.host.set_notice(f"Not queued: {said}", "bad")
            return
        self._queueing = False
        self.query_one("#form-outlook", Static).update(Content(f"x {said}"))
        self._say_keys()

    def _focus_problem(self) -> None:
        for number, param in enumerate(self._params):
            if param.name in self._problems:
                self.query_one(f"#v-{number}").focus()
                return
        for name in self._problems:
            for field in self.query(f"#f-{name}").results(Input):
                field.focus()
                return

    def action_close(self) -> None:
        self.dismiss(None)


def _field(param: RecipeParam, number: int) -> Input | Tick:
    if param.type == "bool":
        return Tick("", bool(param.default), id=f"v-{number}")
    suggester = SuggestFromList(param.choices, case_sensitive=False) if param.choices else None
    return Input(default_text(param.default), compact=True, id=f"v-{number}", suggester=suggester)


def _hint(param: RecipeParam) -> str:
    return f"{expected(param)}; {plain(param.help, 120)}" if param.help else expected(param)


def _row(label: str, field: Input | Tick, hint: str, number: str) -> ComposeResult:
    with Horizontal(classes="row"):
        yield Static(label, classes="label", markup=False)
        yield from _boxed(field)
        yield Static(hint, classes="hint", id=f"h-{number}", markup=False)


def _boxed(field: Input | Tick) -> ComposeResult:
    """Brackets show where one can type, also without colour."""
    if isinstance(field, Tick):
        yield field
        return
    yield Static("[", classes="edge", markup=False)
    yield field
    yield Static("]", classes="edge edge-right", markup=False)
