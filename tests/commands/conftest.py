"""The real command line on a state folder of its own, with the real scheduler behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cro_tui.__main__ import main
from tests.daemon.conftest import empty_database

__all__ = ["empty_database"]

# The load of the tests themselves must neither keep jobs waiting nor starve them.
TOLERANT = """[jobs]
low_priority = false
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
cpu_some_close = 100
"""
SMALL = ("--cpus", "0.1", "--mem", "64M")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs commands in this process (quick) or, where it matters, in one of their own."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capture = capture
        self.environ = {**os.environ, "CRO_HOME": str(home)}

    def __call__(self, *words: str) -> Answer:
        self._capture.readouterr()
        code = main(words)
        out, err = self._capture.readouterr()
        return Answer(code, out, err)

    def submit(self, *words: str) -> int:
        """Queue a small command; its id."""
        answer = self("submit", *SMALL, "--quiet", *words)
        assert answer.code == 0, answer.err
        return int(answer.out)

    def process(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-m", "cro_tui", *words],
            env=self.environ,
            text=True,
            **({"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe} | options),
        )

    def settings(self, text: str) -> None:
        (self.home / "settings.toml").write_text(text)

    def state(self, job_id: int) -> str:
        return str(self("show", str(job_id), "--json").json["state"])


@pytest.fixture
def cro(
    tmp_path: Path, empty_database: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(empty_database, home / "cro.db")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("CRO_HOME", str(home))
    monkeypatch.chdir(work)
    line = CommandLine(home, capfd)
    line.settings(TOLERANT)
    yield line
    line.settings(TOLERANT)
    line("cancel", "--all")
    line("daemon", "--stop")


Until = Callable[[Callable[[], object], str], None]


@pytest.fixture
def until() -> Until:
    """Wait for a condition, with a deadline."""
    import time

    def wait(holds: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline, f"waited for {what}"
            time.sleep(0.02)

    return wait
