"""The real scheduler with clocks around its parts: when each began and ended, on the monotonic clock.

`python -m benchmarks.watched FOLDER FILE` is the scheduler's process, started by `watched_client`; it
writes the spans when it leaves. It changes nothing that the scheduler does; a clock costs it a microsecond.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import repository, wait_for
from jobs.client import Client
from jobs.installation.home import Home
from jobs.installation.settings import Settings

STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """One call of one part, in seconds of the monotonic clock, and its CPU seconds."""

    name: str
    began: float
    ended: float
    cpu_s: float

    @staticmethod
    def read(path: Path) -> list[Span]:
        rows = (line.split("\t") for line in path.read_text().splitlines())
        return [Span(name, float(began), float(ended), float(cpu)) for name, began, ended, cpu in rows]


@contextmanager
def watched_client(scratch_folder: Path, spans: Path, settings: str = "") -> Iterator[Client]:
    """As `running_client`, with a scheduler whose spans are in the file afterwards."""
    home = Home.find({**os.environ, "CRO_HOME": tempfile.mkdtemp(dir=scratch_folder)})
    home.settings_file.write_text(settings)
    client = Client(home, Settings.load(home.settings_file))
    client.scheduler.status()
    command = [sys.executable, "-m", "benchmarks.watched", str(home.data), str(spans)]
    process = subprocess.Popen(command, cwd=repository(), stderr=subprocess.DEVNULL)
    try:
        wait_for(
            lambda: client.scheduler.status().running and home.scheduler_socket.exists(), "the scheduler"
        )
        yield client
    finally:
        client.scheduler.stop()
        process.wait(STOP_S)
        client.close()


def clocked(owner: Any, name: str, into: list[tuple[str, float, float, float]]) -> None:
    """Replace a function of a module or class by one that notes its calls."""
    inner = getattr(owner, name)
    label = f"{owner.__name__.rsplit('.', 1)[-1]}.{name}"

    @functools.wraps(inner)
    def call(*words: Any, **named: Any) -> Any:
        began, cpu = time.monotonic(), time.thread_time()
        try:
            return inner(*words, **named)
        finally:
            into.append((label, began, time.monotonic(), time.thread_time() - cpu))

    @functools.wraps(inner)
    async def wait(*words: Any, **named: Any) -> Any:
        began, cpu = time.monotonic(), time.thread_time()
        try:
            return await inner(*words, **named)
        finally:
            into.append((label, began, time.monotonic(), time.thread_time() - cpu))

    is_async = bool(getattr(inner, "__code__", None) and inner.__code__.co_flags & 0x80)
    setattr(owner, name, wait if is_async else call)


def main() -> int:
    from jobs.daemon.__main__ import serve
    from jobs.daemon.attempts import Attempts
    from jobs.daemon.cycle import Cycle
    from jobs.daemon.loop import Daemon
    from jobs.executors.launcher_client import LauncherClient
    from jobs.executors.local import LocalExecutor
    from jobs.installation.notify import Notifier
    from jobs.runtime import job_folder

    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    spans: list[tuple[str, float, float, float]] = []
    for owner, names in (
        (Daemon, ("_work", "_hear", "_look", "_sample", "_keep_warm")),
        (Cycle, ("take_intents", "decide", "commit")),
        (Attempts, ("perform",)),
        (LocalExecutor, ("_submit", "_watch")),
        (LauncherClient, ("fork",)),
        (job_folder, ("make_folder", "write_json")),
        (Notifier, ("ring_all",)),
    ):
        for name in names:
            clocked(owner, name, spans)
    try:
        return serve(Home(folder, folder / "settings.toml"), to_terminal=False)
    finally:
        file.write_text("".join("\t".join(map(str, span)) + "\n" for span in spans))


if __name__ == "__main__":
    sys.exit(main())
