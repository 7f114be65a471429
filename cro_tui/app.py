"""The Textual App: receives its parts ready-made, owns the feed and the errands, and passes pictures on.

It schedules nothing and asks the engine for nothing on its own thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakSet

from textual.app import App, ScreenStackError
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.events import Event, Key, Paste
from textual.filter import LineFilter
from textual.screen import Screen

from cro_tui.actions import Where, bindings, first_key, unknown_ids
from cro_tui.background_calls import BackgroundCalls, CallFinished
from cro_tui.key_queue import KeyQueue
from cro_tui.palette import CommandProvider
from cro_tui.poller import Poller, ScreenState, SnapshotReady
from cro_tui.present import counted
from cro_tui.screen_host import Notice
from cro_tui.screens.ask import ConfirmDialog, DialogChoice
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.screens.dashboard import Dashboard
from cro_tui.source import Source, UsableRecipe
from cro_tui.widgets.ascii import ASCII
from cro_tui.widgets.job_list import JobList
from cro_tui.widgets.strips import plain
from jobs.core.jobs import JobId, StateName
from jobs.core.machine import Sample
from jobs.core.ports import CroError, WrongState
from jobs.core.requests import DaemonStatus, JobQuery, Snapshot
from jobs.installation.settings import Settings

if TYPE_CHECKING:
    from cro_tui.screens.form import JobsQueued

Result = TypeVar("Result")
_NEWS_S = 8.0
_HIDDEN_S = 0.005  # while a place comes up
_GO_ON = (StateName.STARTING, StateName.RUNNING, StateName.PAUSED)
_WAIT = (StateName.QUEUED,)


def _recipes_screen() -> Screen[None]:
    from cro_tui.screens.recipes import RecipesScreen

    return RecipesScreen()


def _models_screen() -> Screen[None]:
    from cro_tui.screens.models import ModelsScreen

    return ModelsScreen()


def _processes_screen() -> Screen[None]:
    from cro_tui.screens.processes import ProcessesScreen

    return ProcessesScreen()


class CroApp(App[str]):
    """`run_test` and `export_screenshot` work as for any Textual app; the result is the parting line."""

    CSS_PATH = "cro.tcss"
    TITLE = "cro-tui"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.APP)]
    COMMANDS: ClassVar[set[Any]] = {CommandProvider}
    MODES: ClassVar[dict[str, Any]] = {
        "jobs": Dashboard,
        "recipes": _recipes_screen,
        "models": _models_screen,
        "processes": _processes_screen,
    }
    DEFAULT_MODE = "jobs"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self, source: Source, settings: Settings, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self.source = source
        self.settings = settings
        self.state = ScreenState(Snapshot(0.0))
        self.now = clock
        self._notice: Notice | None = None
        self._feed = Poller(source, self.post_message, refresh_s=settings.screen.refresh_s, clock=clock)
        self._reads = BackgroundCalls("reads", self.post_message)
        self._writes = BackgroundCalls("writes", self.post_message)
        self._keys = KeyQueue(self, super().on_event)
        self._colours, self._styled = self._themes, WeakSet[Screen[Any]]()

    # --- beginning and end ----------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_keymap(dict(self.settings.keys))
        theme = self.settings.screen.theme
        if theme and theme in self.available_themes:
            self.theme = theme
        elif theme:
            self.set_notice(f"There is no theme {plain(theme, 40)}.", "warn")
        if wrong := unknown_ids(self.settings.keys):
            self.set_notice(
                f"The settings name keys for {plain(', '.join(wrong))}: there is no such action.", "warn"
            )
        self._feed.start()
        self.action_start_engine()

    def on_unmount(self) -> None:
        self._feed.close()
        self._reads.close()
        self._writes.close()

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def get_line_filters(self) -> Sequence[LineFilter]:
        own = (ASCII,) if self.settings.screen.graph == "ascii" else ()
        return *super().get_line_filters(), *own

    def delay_update(self, delay: float = 0.05) -> None:
        """Textual shows nothing of another place for 50 ms; ours are there before."""
        super().delay_update(min(delay, _HIDDEN_S))

    @property
    def _themes(self) -> tuple[object, ...]:
        return self.theme, self.ansi_theme_dark, self.ansi_theme_light

    def refresh_css(self, animate: bool = True) -> None:
        """Textual calls it for each new screen too, and parses all style sheets again. That is done when
        colours change; else a screen is styled once."""
        with suppress(ScreenStackError):  # the first is not up
            if self._themes != self._colours:
                self._colours, self._styled = self._themes, WeakSet()
                super().refresh_css(animate)
            elif self.screen not in self._styled:
                self.stylesheet.update(self.screen, animate=animate)
            self._styled.update(self.screen_stack)

    def clear_selection(self) -> None:
        """As Textual has it, but also while the first screen is not up: its input asks for this then."""
        with suppress(ScreenStackError):
            super().clear_selection()

    # --- pictures and errands -------------------------------------------------------------------

    def on_snapshot_ready(self, event: SnapshotReady) -> None:
        before, self.state = self.state, event.picture
        self._raise_alarm(before.snapshot.sample, self.state.snapshot.sample)
        for screen in self._places():
            with suppress(NoMatches):  # it is being taken down
                screen.show_state(self.state)

    def _raise_alarm(self, before: Sample | None, now: Sample | None) -> None:
        """Ring, or ask the terminal to tell, for each alert that is new."""
        known = {(alert.kind, alert.subject) for alert in (before.alerts if before else ())}
        fresh = [a for a in (now.alerts if now else ()) if (a.kind, a.subject) not in known]
        settings = self.settings.screen
        if fresh and settings.bell:
            self.bell()
        if settings.notify == "off" or self._driver is None:
            return
        for alert in fresh:
            text = plain(alert.text)
            form = f"9;cro-tui: {text}" if settings.notify == "osc9" else f"777;notify;cro-tui;{text}"
            self._driver.write(f"\x1b]{form}\x07")

    def on_call_finished(self, event: CallFinished) -> None:
        with suppress(NoMatches):  # whoever asked is being taken down
            event.deliver()

    def _places(self) -> list[BaseScreen[None]]:
        return [screen for screen in self.screen_stack if isinstance(screen, BaseScreen) and screen.ready]

    def read(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        *,
        key: str = "",
        failed: Callable[[CroError], None] | None = None,
    ) -> None:
        self._reads.run(call, done, failed or self._failed, key=key)

    def write(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        *,
        failed: Callable[[CroError], None] | None = None,
    ) -> None:
        """Do something that changes the queue or the machine; a screen that only shows says so instead."""
        if self.settings.screen.readonly:
            (failed or self._failed)(
                WrongState("This screen only shows.", "Open one without --readonly to change something.")
            )
            return
        self._writes.run(call, done, failed or self._failed)

    def _failed(self, error: CroError) -> None:
        self.set_notice(f"{plain(error.title)} {plain(error.detail)}".rstrip(), "bad")

    def ask(self, query: JobQuery) -> None:
        self._feed.show(query)

    def more(self) -> None:
        self._feed.more()

    def refresh_state(self) -> None:
        self._feed.show()

    # --- news -------------------------------------------------------------------------------------

    def set_notice(self, text: str, kind: str = "info") -> None:
        self._notice = Notice(text, kind, None if kind == "bad" else self.now() + _NEWS_S)
        for screen in self._places():
            with suppress(NoMatches):  # it is being taken down
                screen.show_notice()

    def notice(self) -> Notice | None:
        if self._notice is not None and self._notice.until is not None and self.now() >= self._notice.until:
            self._notice = None
        return self._notice

    def clear_notice(self) -> None:
        self._notice = None

    def key(self, action_id: str) -> str:
        return first_key(action_id, self.settings.keys)

    def watch_for(self, job_id: JobId) -> None:
        for jobs in self.get_screen_stack("jobs")[0].query(JobList) if self._jobs_there else ():
            jobs.choose(job_id)
        self.refresh_state()

    @property
    def _jobs_there(self) -> bool:
        return "jobs" in self._screen_stacks and bool(self.get_screen_stack("jobs"))

    # --- actions --------------------------------------------------------------------------------

    def action_mode(self, name: str) -> None:
        self.switch_mode(name)

    def action_new_job(self) -> None:
        from cro_tui.screens.pick import Pick

        def picked(choice: UsableRecipe | str | None) -> None:
            if choice is not None:
                self.queue_recipe(None if isinstance(choice, str) else choice)

        self.push_screen(Pick(), picked)

    def queue_recipe(self, recipe: UsableRecipe | None) -> None:
        from cro_tui.screens.form import QueueForm

        self.push_screen(QueueForm(recipe), self._queued)

    def _queued(self, queued: JobsQueued | None) -> None:
        if queued is None:
            return
        job_id = queued.ids[0]
        self.set_notice(f"#{job_id} queued - {queued.outlook(self.now())}")
        self.watch_for(job_id)

    def action_drain(self) -> None:
        if self.state.snapshot.daemon.draining:
            self.write(
                lambda: self.source.scheduler.drain(False), lambda _: self._drained("The queue goes on.")
            )
            return
        key = self.key("queue.pause")

        def answered(answer: str | None) -> None:
            if answer == "drain":
                said = f"The queue is paused: nothing new starts. {key} lets it go on."
                self.write(lambda: self.source.scheduler.drain(True), lambda _: self._drained(said))

        lines = ["Running jobs go on to their end; nothing new starts", "until you let the queue go on."]
        self.push_screen(
            ConfirmDialog("Pause the queue?", lines, [DialogChoice("P", "pause the queue", "drain")]),
            answered,
        )

    def _drained(self, said: str) -> None:
        self.set_notice(said)
        self.refresh_state()

    def action_start_engine(self) -> None:
        if self.settings.screen.readonly:
            return
        self.write(self.source.scheduler.start, self._engine_started)

    def _engine_started(self, _: DaemonStatus) -> None:
        for text in self.source.scheduler.notices():
            self.set_notice(plain(text, 200))
        self.refresh_state()

    def action_help(self) -> None:
        from cro_tui.screens.help import Help

        self.push_screen(Help())

    def action_help_quit(self) -> None:
        self.set_notice(f"{self.key('quit')} leaves; jobs keep running.")

    async def action_quit(self) -> None:
        said = self._parting()
        if not said:
            self.exit("")
            return
        if isinstance(self.screen, ConfirmDialog):
            return

        def answered(answer: str | None) -> None:
            if answer == "leave":
                self.exit(self._parting())

        lines = ["Leaving stops nothing: the engine and the jobs go on without this screen."]
        self.push_screen(ConfirmDialog(said, lines, [DialogChoice("q", "leave", "leave")]), answered)

    def _parting(self) -> str:
        """What goes on without the screen; empty when nothing does."""
        counts = self.state.snapshot.counts
        running = sum(counts.get(name, 0) for name in _GO_ON)
        waiting = sum(counts.get(name, 0) for name in _WAIT)
        if not running:
            return ""
        verb = "keeps" if running == 1 else "keep"
        rest = f", {waiting} wait{'s' if waiting == 1 else ''}" if waiting else ""
        return f"{counted(running, 'job')} {verb} running{rest}."


def run(source: Source, settings: Settings) -> int:
    """Open the screen, and return the exit code once it is left; jobs go on."""
    app = CroApp(source, settings)
    said = app.run()
    if said:
        print(f"{said} cro-tui opens the screen again; cro-tui ls lists the jobs.")
    return app.return_code or 0
