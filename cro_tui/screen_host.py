"""What a screen may use of the app: a Protocol, so that screens and app do not import each other.

Every call that may take long goes through `read` or `write` and comes back on the screen's own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cro_tui.poller import ScreenState
from cro_tui.source import Source, UsableRecipe
from jobs.core.jobs import JobId
from jobs.core.ports import CroError
from jobs.core.requests import JobQuery
from jobs.installation.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Notice:
    """News for the notice line; `until` None stays until it is read (esc, or the next news)."""

    text: str
    kind: str = "info"
    until: float | None = None


class ScreenHost(Protocol):
    source: Source
    settings: Settings
    state: ScreenState

    def now(self) -> float:
        """Unix seconds."""

    def ask(self, query: JobQuery) -> None:
        """Show other jobs from now on."""

    def more(self) -> None:
        """Show more of the list below what is shown."""

    def refresh_state(self) -> None:
        """A new picture, soon."""

    def read(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        *,
        key: str = "",
        failed: Callable[[CroError], None] | None = None,
    ) -> None:
        """Call it elsewhere; an unfinished one with the same key is replaced. `failed` in place of news."""

    def write(
        self,
        call: Callable[[], Result],
        done: Callable[[Result], None],
        *,
        failed: Callable[[CroError], None] | None = None,
    ) -> None:
        """Call it elsewhere, in the order asked; what goes wrong is said."""

    def set_notice(self, text: str, kind: str = "info") -> None:
        """News for the notice line; text must be clean."""

    def notice(self) -> Notice | None:
        """What there is to say now, or nothing."""

    def clear_notice(self) -> None:
        """The notice has been read."""

    def key(self, action_id: str) -> str:
        """The key to name in a sentence."""

    def queue_recipe(self, recipe: UsableRecipe | None) -> None:
        """Open the form for a recipe, or for a command."""

    def watch_for(self, job_id: JobId) -> None:
        """Put the cursor on a job as soon as it is there."""
