"""What every full screen has: the header line, the notice line, and the newest picture.

A place is told of each picture and shows what changed; it never asks the engine for anything on its own
thread. Behind another one it rests. Textual calls the `on_` handlers of a subclass and then these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from textual.screen import Screen
from textual.timer import Timer

from cro_tui.actions import Where
from cro_tui.poller import ScreenState
from cro_tui.present import clock_text, counts_line, span_text
from cro_tui.present.machine import health_line
from cro_tui.screen_host import ScreenHost
from cro_tui.widgets.lines import HeaderLine, NoticeLine
from jobs.core.jobs import StateName

_Answer = TypeVar("_Answer")
_SHORT = 7  # letters of a place's name on a narrow screen
_PLACES = (("jobs", "Jobs"), ("recipes", "Recipes"), ("models", "Models"), ("processes", "Processes"))


class BaseScreen(Screen[_Answer], Generic[_Answer]):
    """Subclasses yield `HeaderLine(id="header")` and `NoticeLine(id="notice")`, and name their mode."""

    MODE = ""
    ready = False  # whether its widgets are there
    WHERE = Where.DASHBOARD

    def __init__(self) -> None:
        super().__init__()
        self._clocks: list[Timer] = []

    @property
    def host(self) -> ScreenHost:
        return cast(ScreenHost, self.app)

    def on_mount(self) -> None:
        self.ready = True
        self.each(1.0, self._tick)
        self.show_state(self.host.state)

    def each(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it so often while this place is in front."""
        self._clocks.append(self.set_interval(seconds, call))

    def on_screen_suspend(self) -> None:
        for clock in self._clocks:
            clock.pause()

    def on_screen_resume(self) -> None:
        for clock in self._clocks:
            clock.resume()
        if self.ready:
            self.show_state(self.host.state)

    def _tick(self) -> None:
        if self.is_current:
            self.show_header()
            self.show_notice()

    def show_state(self, picture: ScreenState) -> None:
        """Show what changed; a place of its own adds to this."""
        self.show_header()
        self.show_notice()

    def show_header(self) -> None:
        picture, now = self.host.state, self.host.now()
        daemon, counts = picture.snapshot.daemon, picture.snapshot.counts
        key = self.host.key
        wide = self.size.width >= 100
        places = [
            (f"{key('mode.' + mode)} {title if wide else title[:_SHORT]}", mode == self.MODE)
            for mode, title in _PLACES
        ]
        if not picture.fresh_at and not picture.note:
            engine, alarm = "engine ...", False
        elif not daemon.running:
            engine, alarm = "engine ○ stopped", True
        elif daemon.draining:
            engine, alarm = "engine ● starts nothing new", True
        else:
            up = "" if daemon.since_at is None else f" up {span_text(now - daemon.since_at)}"
            engine, alarm = f"engine ●{up}" if wide else "●", False
        clock = clock_text(now, now)
        words = counts_line(counts) if picture.fresh_at else ""
        few = {name: count for name, count in counts.items() if name not in _LESS}
        short = counts_line(few) if few else words
        self.query_one(HeaderLine).show(
            places, engine, alarm, [f"{words}  {clock}", f"{short}  {clock}", clock]
        )

    def show_notice(self) -> None:
        notice = self.host.notice()
        if notice is not None:
            self.query_one(NoticeLine).show(notice.text, notice.kind)
        else:
            text, kind = self.quiet_notice()
            health = health_line(self.host.state.snapshot.sample)
            said = (health, "warn") if health and kind == "info" else (text, kind)
            self.query_one(NoticeLine).show(*said)

    def quiet_notice(self) -> tuple[str, str]:
        """What to say, and how, when there is no news."""
        return "", "info"

    def action_back(self) -> None:
        self.host.clear_notice()
        self.show_notice()


_LESS = frozenset({StateName.SUCCEEDED, StateName.CANCELLED, StateName.HELD})
