"""A log view on a screen: which job's log it shows, the line to type in, and searches made elsewhere.

Mix in to a place that yields a `LogView` and an `Input(id="prompt")`.
"""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.widgets import Input

from cro_tui.present import ago, name_text
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.widgets.lines import NoticeLine
from cro_tui.widgets.log_view import LogView, search
from cro_tui.widgets.strips import plain
from jobs.core.jobs import Job, JobId, Waiting

_PROMPTS = {"filter": "filter: ", "find": "find: ", "goto": "line: "}


def _empty(removed_at: float | None, now: float) -> str:
    """What is said in place of a log without lines."""
    if removed_at is None:
        return "Nothing printed yet."
    return f"Removed {ago(removed_at, now)} to make room for newer ones: see [keep] in the settings."


class LogPane(BaseScreen[None]):
    """What is asked for on the prompt comes back through `line_typed` and `line_entered`."""

    _asking = ""
    _log_of: tuple[JobId, int] | None = None

    def on_screen_resume(self) -> None:
        if self.ready:
            self.query_one(LogView).go_on()

    # --- which log ----------------------------------------------------------------------------

    def show_log_of(self, job: Job) -> None:
        """The log of the job's latest attempt; of a job that has none, the log shown before stays."""
        view = self.query_one(LogView)
        if isinstance(job.state, Waiting) and not job.attempts:
            if self._log_of is None:
                view.open(None, "Log", "")
            return
        wanted = (job.id, job.attempts)
        if wanted == self._log_of:
            return
        self._log_of = wanted
        title = f"Log #{job.id} {name_text(job, 40)}"
        source = self.host.source

        def look() -> tuple[Path, float | None]:
            return source.runs.log_path(job.id, job.attempts or None), source.runs.files_removed_at(job.id)

        def found(answer: tuple[Path, float | None]) -> None:
            path, removed_at = answer
            if self._log_of == wanted and self.is_attached:
                view.open(path, title, _empty(removed_at, self.host.now()))

        self.host.read(look, found, key="log_path")

    def action_focus_log(self) -> None:
        self.query_one(LogView).focus()

    def action_full_log(self) -> None:
        self.query_one(LogView).focus()
        self.toggle_class("-full-log")

    def step_back(self) -> bool:
        """Leave the prompt, the full log or the log; whether there was one of them to leave."""
        if self._asking:
            what, self._asking = self._asking, ""
            self.set_class(False, "-asking")
            self.line_left(what)
            return True
        if self.has_class("-full-log"):
            self.remove_class("-full-log")
            return True
        view = self.query_one(LogView)
        if view.has_focus:
            self.leave_log()
            return True
        return False

    def leave_log(self) -> None:
        """Put the focus where it belongs when the log is left."""

    # --- the line to type in -------------------------------------------------------------------

    def ask_line(self, what: str, text: str) -> None:
        """Show the prompt in place of the notice line."""
        self._asking = what
        prompt = self.query_one("#prompt", Input)
        prompt.value = text
        prompt.placeholder = _PROMPTS[what].rstrip(": ") + "   (enter keeps it, esc leaves)"
        self.set_class(True, "-asking")
        prompt.focus()

    @on(Input.Changed, "#prompt")
    def _typed(self, event: Input.Changed) -> None:
        if self._asking:
            self.line_typed(self._asking, event.value)

    @on(Input.Submitted, "#prompt")
    def _entered(self, event: Input.Submitted) -> None:
        what, self._asking = self._asking, ""
        self.set_class(False, "-asking")
        self.line_entered(what, event.value)

    def line_typed(self, what: str, text: str) -> None:
        """The text has changed."""

    def line_left(self, what: str) -> None:
        self.query_one(LogView).focus()

    def line_entered(self, what: str, text: str) -> None:
        view = self.query_one(LogView)
        view.focus()
        if what == "find" and text:
            view.wanted = text
            view.seek()
            view.refresh()
        elif what == "goto":
            number = text.replace(",", "").strip()
            if number.isdecimal():
                view.go_to(int(number))
            else:
                self.host.set_notice("Type a line number, such as 1200.", "warn")

    # --- searches -----------------------------------------------------------------------------

    @on(LogView.Ask)
    def _log_asks(self, event: LogView.Ask) -> None:
        view = self.query_one(LogView)
        self.ask_line(event.what, view.wanted if event.what == "find" else "")

    @on(LogView.Seek)
    def _seek(self, event: LogView.Seek) -> None:
        self.query_one(NoticeLine).show(f"Searching for {plain(event.text, 40)} ...")

        def found(line: int | None) -> None:
            view = self.query_one(LogView)
            if view.path != event.path:
                return
            if line is None:
                self.host.set_notice(f"{plain(event.text, 40)} is not in this log.", "warn")
            else:
                view.found(line)
            self.show_notice()

        self.host.read(
            lambda: search(event.path, event.text, event.start, event.backwards), found, key="find"
        )
