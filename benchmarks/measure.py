"""Shared by the benchmarks: medians, a throw-away state folder, a table of ratios.

Measures and prints; it never judges. No benchmark asserts on time. What it starts may keep its bytecode, as
installed programs do: a process that compiles all it imports takes twice as long to start.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobs.client import Client
from jobs.installation.home import Home
from jobs.installation.settings import Settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing: wall seconds of each round, and how many jobs a round had."""

    name: str
    seconds: tuple[float, ...]
    per: int = 1

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1000 / self.per


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a whole run: ext4 makes files slowly for minutes after many were removed."""
    with tempfile.TemporaryDirectory(prefix="cro-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def running_client(scratch_folder: Path, settings: str = "") -> Iterator[Client]:
    """A Client on a new, empty state folder within `scratch_folder`, with its own running daemon."""
    home = Home.find({**os.environ, "CRO_HOME": tempfile.mkdtemp(dir=scratch_folder)})
    home.settings_file.write_text(settings)
    client = Client(home, Settings.load(home.settings_file))
    client.scheduler.start()
    try:
        yield client
    finally:
        client.scheduler.stop()
        client.close()


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def machine() -> str:
    """One line about where the numbers come from."""
    memory = psutil.virtual_memory().total / 2**30
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, load before {load}"
    )


def version(*command: str) -> str:
    """First line that a peer prints of its version, or that it is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return "not installed"
    return (done.stdout or done.stderr).strip().splitlines()[0]


def packaged(name: str) -> str:
    """The version of a Debian package, empty when that cannot be told."""
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def high(seconds: Sequence[float], share: float = 0.99) -> float:
    """The value that so large a share of them does not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


SPREAD = (
    "| | aim, ms | median ms | 99th percentile ms | largest | samples |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |"
)


def spread(name: str, seconds: Sequence[float], aim: str = "") -> str:
    """A row of the table that `SPREAD` begins."""
    return (
        f"| {name} | {aim} | {statistics.median(seconds) * 1000:.2f} | {high(seconds) * 1000:.2f} "
        f"| {max(seconds) * 1000:.1f} | {len(seconds)} |"
    )


def table(title: str, rows: Sequence[Row], base: str, unit: str = "ms per job") -> str:
    """A Markdown table of medians, their ranges and the ratio to the row named `base`."""
    floor = next(row.median_ms for row in rows if row.name == base)
    lines = [
        f"**{title}**",
        "",
        f"| | median {unit} | min to max | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        low, high = (f(row.seconds) * 1000 / row.per for f in (min, max))
        lines.append(
            f"| {row.name} | {row.median_ms:.2f} | {low:.2f} to {high:.2f} | {row.median_ms / floor:.2f} |"
        )
    return "\n".join(lines)


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Return when `condition()` holds; raises TimeoutError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def cpu_percent(pid: int, over_s: float) -> float:
    """CPU use of one process over an interval, in percent of one core."""
    process = psutil.Process(pid)
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(over_s)
    after, ended = process.cpu_times(), time.monotonic()
    return 100 * (after.user + after.system - before.user - before.system) / (ended - started)


def repository() -> Path:
    return Path(__file__).resolve().parent.parent
