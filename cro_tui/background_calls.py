"""Calls that may take seconds, made one after another on a plain daemon thread, never on the screen's.

Results come back as messages. It knows nothing of what it calls; a call that hangs delays only those
behind it, and never the way out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual.message import Message

from jobs.core.ports import CroError


@dataclass(frozen=True, slots=True)
class BackgroundCall:
    call: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[CroError], None]
    key: str


class CallFinished(Message):
    """One errand has come back; `deliver` is to be called on the screen's thread."""

    def __init__(self, deliver: Callable[[], None]) -> None:
        super().__init__()
        self.deliver = deliver


class BackgroundCalls:
    """One thread's queue. An errand with a `key` replaces one with the same key that has not begun."""

    def __init__(self, name: str, post: Callable[[Message], bool]) -> None:
        self._name = name
        self._post = post
        self._waiting: deque[BackgroundCall] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.busy = False

    def run(
        self,
        call: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[CroError], None],
        *,
        key: str = "",
    ) -> None:
        with self._changed:
            if key:
                self._waiting = deque(each for each in self._waiting if each.key != key)
            self._waiting.append(BackgroundCall(call, done, failed, key))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Begin nothing more; what is under way is left alone."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self.busy = False
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                errand = self._waiting.popleft()
                self.busy = True
            self._post(CallFinished(_outcome(errand)))


def _outcome(errand: BackgroundCall) -> Callable[[], None]:
    try:
        result = errand.call()
    except CroError as error:
        problem = error
        return lambda: errand.failed(problem)
    except Exception as error:  # shown instead of a screen that silently stops answering
        surprise = error

        def fail() -> None:
            raise surprise

        return fail
    return lambda: errand.done(result)
