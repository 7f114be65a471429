"""Keys one after the other: the next is handed on when all that the last one set off is done.

Without this, keys that come in one burst (pasted, sent by a script, typed before a dialog was up) go to the
widget that has the focus when they arrive, not to the one that the key before them brought up. It knows
nothing of what keys mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App, ScreenStackError
from textual.events import Key, Paste
from textual.message_pump import MessagePump
from textual.timer import Timer

_PATIENCE_S = 1.0  # a handler that never comes back must not swallow the keyboard
_PASSES = 8


class KeyQueue:
    """The keys of an app that have not been handed on yet. Used on the app's thread only."""

    def __init__(self, app: App[Any], hand_on: Callable[[Key | Paste], Awaitable[None]]) -> None:
        self._app = app
        self._hand_on = hand_on
        self._waiting: deque[Key | Paste] = deque()
        self._turn = 0  # counts the keys that were handed on: a late answer for one is known by it
        self._patience: Timer | None = None  # runs while a key is followed

    async def take(self, event: Key | Paste) -> None:
        """Hand it on now, or after those before it."""
        self._waiting.append(event)
        await self._next()

    async def _next(self) -> None:
        if self._patience is not None or not self._waiting:
            return
        self._turn += 1
        turn = self._turn
        self._patience = self._app.set_timer(_PATIENCE_S, lambda: self._done(turn))
        await self._hand_on(self._waiting.popleft())
        self._follow(turn, None, _PASSES)

    def _follow(self, turn: int, before: object, passes: int) -> None:
        """Wait until each widget from the focus up to the app has handled what it had, and again until that
        changed neither the screen nor the focus: a dialog that comes up takes some rounds."""
        try:
            screen = self._app.screen
        except ScreenStackError:  # the first is not up, or the last is gone
            self._done(turn)
            return
        focused = self._app.focused or screen
        chain: list[MessagePump] = [*focused.ancestors_with_self]
        if chain[-1] is not self._app:
            chain.append(self._app)
        now = (screen, focused)

        def passed() -> None:
            if now == before or passes == 0:
                self._done(turn)
            else:
                self._follow(turn, now, passes - 1)

        _through(chain, passed)

    def _done(self, turn: int) -> None:
        if turn == self._turn and self._patience is not None:
            self._patience.stop()
            self._patience = None
            self._app.call_next(self._next)


def _through(chain: list[MessagePump], passed: Callable[[], None]) -> None:
    """Call `passed` once each of them, in order, has come to the end of what is in its queue now."""
    for number, pump in enumerate(chain):
        if pump.call_later(_through, chain[number + 1 :], passed):
            return
    passed()
