"""Fixtures of the end-to-end tests: a state folder of its own, the real command, the real daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import Terminal


class Machine:
    """One cro-tui installation with its state in one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = {"CRO_HOME": str(home), "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        self._terminals: list[Terminal] = []

    def run(
        self, *words: str, check: bool = True, timeout_s: float = 90
    ) -> subprocess.CompletedProcess[str]:
        """Run one plain command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "cro_tui", *words],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"cro-tui {' '.join(words)} -> {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def submit(self, *words: str) -> int:
        """Submit and return the job's id."""
        split = words.index("--") if "--" in words else len(words)
        done = self.run("submit", *words[:split], "--json", *words[split:])
        answer = json.loads(done.stdout)
        return int((answer[0] if isinstance(answer, list) else answer)["id"])

    def jobs(self) -> dict[int, dict[str, Any]]:
        return {job["id"]: job for job in self.json("ls", "--all")}

    def settings(self, text: str) -> None:
        (self.home / "settings.toml").write_text(text)

    def terminal(self, *command: str, size: tuple[int, int]) -> Terminal:
        words = command or (sys.executable, "-m", "cro_tui")
        terminal = Terminal(words, *size, {**self.environ, "PATH": os.environ["PATH"]})
        self._terminals.append(terminal)
        return terminal

    def daemon_pid(self) -> int:
        return int(self.json("daemon", "--status")["pid"])

    def close(self) -> None:
        for terminal in self._terminals:
            terminal.close()
        self.run("cancel", "--all", check=False)
        self.run("daemon", "--stop", check=False)


# The load of the tests themselves must neither keep jobs waiting nor starve them.
TOLERANT = """[jobs]
low_priority = false
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    machine = Machine(home)
    machine.settings(TOLERANT)
    yield machine
    machine.close()
