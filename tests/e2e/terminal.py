"""A real terminal for tests: tmux runs the program, keys go in, the screen comes out.

Waits for conditions with a deadline, never for a fixed time; a time-out shows the last screen.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence


class Terminal:
    """One program in one tmux session on a server of its own."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, environ: Mapping[str, str]) -> None:
        self._server = f"cro-test-{uuid.uuid4().hex[:8]}"
        size = ["-x", str(columns), "-y", str(rows)]
        variables = [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", *size, *variables, *command, ";",
            "set-option", "-g", "remain-on-exit", "on",
        )  # fmt: skip

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, *words],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TMUX": ""},
        )
        return done.stdout

    def screen(self) -> str:
        """The visible text, one line per row."""
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Send named keys (`Enter`, `C-s`, `n`), in tmux's spelling."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Send text as it is."""
        self._tmux("send-keys", "-l", text)

    def wait(self, pattern: str, timeout_s: float = 30.0) -> str:
        """Return the screen once `pattern` (a regular expression) is on it."""
        return self._wait(lambda screen: re.search(pattern, screen) is not None, pattern, timeout_s)

    def wait_gone(self, pattern: str, timeout_s: float = 30.0) -> str:
        """Return the screen once `pattern` is no longer on it."""
        return self._wait(lambda screen: re.search(pattern, screen) is None, f"no {pattern}", timeout_s)

    def wait_change(self, before: str, pattern: str, timeout_s: float = 30.0) -> None:
        """Return once the part of the screen that `pattern` matches differs from that of `before`."""
        first = re.findall(pattern, before)
        self._wait(lambda screen: re.findall(pattern, screen) != first, f"{pattern} to change", timeout_s)

    def _wait(self, holds: object, what: str, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while True:
            screen = self.screen()
            if callable(holds) and holds(screen):
                return screen
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout_s:.0f} s for {what!r}; the screen was:\n{screen}")
            time.sleep(0.05)

    def wait_end(self, timeout_s: float = 20.0) -> str:
        """Return the screen once the program has left."""
        deadline = time.monotonic() + timeout_s
        while self._tmux("display-message", "-p", "#{pane_dead}").strip() != "1":
            if time.monotonic() > deadline:
                raise AssertionError(f"the program is still there:\n{self.screen()}")
            time.sleep(0.05)
        return self.screen()

    def close(self) -> None:
        """Close the terminal as a person closes a window: the program gets SIGHUP."""
        subprocess.run(["tmux", "-L", self._server, "kill-server"], capture_output=True, check=False)
