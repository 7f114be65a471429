"""Is this installation sound: what it runs on, where its files lie, what it can measure.

Each check answers in one finding that says what to do, and none can make another fail. It repairs nothing
and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from jobs.client import Client
from jobs.core.jobs import GIB
from jobs.core.machine import Capacity
from jobs.core.ports import CroError
from jobs.core.requests import JobQuery
from jobs.installation.home import Home
from jobs.installation.settings import Settings

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
OLDEST_SQLITE = (3, 35, 0)
LITTLE_DISK_BYTES = 2 * GIB
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
    }
    | {"gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs"}
)


class Severity(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` says what to do; empty when all is well."""

    check: str
    level: Severity
    text: str
    remedy: str = ""


def examine(home: Home) -> Iterator[Finding]:
    """All checks of an installation, one finding or more each, in a fixed order."""
    yield _python()
    try:
        home.make()
    except CroError as error:
        yield Finding("files", Severity.FAIL, error.title, error.detail)
        return
    yield from _files(home)
    yield _sqlite(home)
    try:
        settings = Settings.load(home.settings_file)
        there = str(home.settings_file) if home.settings_file.exists() else "defaults, no settings file"
        yield Finding("settings", Severity.OK, there)
    except CroError as error:
        settings = Settings()
        yield Finding("settings", Severity.FAIL, error.title, error.detail)
    with Client(home, settings) as client:
        yield _database(client)
        yield _sockets(client)
        yield _scheduler(client)
        yield _pressure()
        yield _limits()
        yield from _machine(client)
        yield from _recipes(client)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return Finding("python", Severity.FAIL, f"Python {version}", "Use Python 3.11, 3.12 or 3.13.")
    return Finding("python", Severity.OK, f"Python {version}, {sys.executable}")


def _files(home: Home) -> Iterator[Finding]:
    kind = file_system_of(home.data)
    if kind in NETWORK_FILE_SYSTEMS:
        yield Finding(
            "files",
            Severity.WARN,
            f"{home.data} lies on a network file system ({kind}), where locks are not reliable.",
            "Set CRO_HOME to a folder on a disk of this machine.",
        )
    else:
        yield Finding("files", Severity.OK, f"{home.data} ({kind or 'unknown file system'})")
    free = shutil.disk_usage(home.data).free
    if free < LITTLE_DISK_BYTES:
        yield Finding(
            "disk",
            Severity.WARN,
            f"{free / GIB:.1f} GiB are free for logs and models.",
            "Make room, or set CRO_HOME to a larger disk.",
        )
    else:
        yield Finding("disk", Severity.OK, f"{free / GIB:.0f} GiB free")
    loose = home.data.stat().st_mode & 0o077
    if loose:
        yield Finding(
            "privacy",
            Severity.WARN,
            "Other users may look into the folder, where logs and variables of jobs are kept.",
            f"Close it with: chmod 700 {home.data}",
        )


def file_system_of(path: Path) -> str | None:
    """The type of the file system that holds a folder; None where the kernel does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    best, kind = "", None
    real = str(path.resolve())
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind


def _sqlite(home: Home) -> Finding:
    import sqlite3

    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Finding(
            "sqlite", Severity.FAIL, f"SQLite {version}", "Use a Python with SQLite 3.35 or newer."
        )
    trial = home.run / f"doctor-{os.getpid()}.db"
    try:
        with closing(sqlite3.connect(trial)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("CREATE TABLE trial (x)")
            connection.commit()
    except sqlite3.Error as error:
        return Finding("sqlite", Severity.FAIL, f"SQLite cannot write here: {error}.", _ELSEWHERE)
    finally:
        for suffix in ("", "-wal", "-shm"):
            trial.with_name(trial.name + suffix).unlink(missing_ok=True)
    if mode != "wal":
        return Finding("sqlite", Severity.FAIL, "SQLite's write-ahead log does not work here.", _ELSEWHERE)
    return Finding("sqlite", Severity.OK, f"SQLite {version}, write-ahead log works")


_ELSEWHERE = "Set CRO_HOME to a folder on a disk of this machine."


def _database(client: Client) -> Finding:
    try:
        client.jobs.list(JobQuery(limit=1))
    except CroError as error:
        return Finding("database", Severity.FAIL, error.title, error.detail)
    if note := client.scheduler.status().note:
        return Finding(
            "database", Severity.WARN, note, "Queue again what is missing; then delete the damaged file."
        )
    return Finding("database", Severity.OK, str(client.home.database))


def _sockets(client: Client) -> Finding:
    try:
        client.scheduler.watch().close()
    except OSError as error:
        return Finding(
            "sockets",
            Severity.WARN,
            f"A socket cannot be opened in {client.home.subscriptions}: {error}.",
            "Changes show with a delay; set CRO_HOME to a folder on a disk of this machine.",
        )
    return Finding("sockets", Severity.OK, "wake-ups work")


def _scheduler(client: Client) -> Finding:
    try:
        status = client.scheduler.status()
    except CroError as error:
        return Finding("scheduler", Severity.FAIL, error.title, error.detail)
    if not status.running:
        return Finding("scheduler", Severity.OK, "not running; it starts with the next job")
    if status.draining:
        return Finding(
            "scheduler",
            Severity.WARN,
            "It is paused: nothing new starts.",
            "Try: cro-tui daemon --no-drain",
        )
    return Finding("scheduler", Severity.OK, f"runs as process {status.pid}")


def _pressure() -> Finding:
    try:
        Path("/proc/pressure/memory").read_text()
    except OSError:
        return Finding(
            "pressure",
            Severity.WARN,
            "The kernel keeps no pressure readings.",
            "Jobs start by memory and load alone; boot with psi=1 to have them.",
        )
    return Finding("pressure", Severity.OK, "the kernel tells pressure")


def _limits() -> Finding:
    """Who keeps memory limits; found out as a supervisor does, by making a group and removing it."""
    from jobs.runtime import cgroup

    made = cgroup.make(f"cro-doctor-{os.getpid()}")
    if made is None:
        return Finding("limits", Severity.OK, "memory limits are kept by looking at the processes")
    made.remove()
    return Finding("limits", Severity.OK, f"memory limits are kept by the kernel (cgroup v{made.version})")


def _machine(client: Client) -> Iterator[Finding]:
    try:
        snapshot = client.jobs.snapshot(JobQuery(limit=1))
    except (CroError, OSError) as error:
        yield Finding("machine", Severity.FAIL, f"The machine cannot be read: {error}")
        return
    capacity, sample = snapshot.capacity, snapshot.sample
    if capacity is not None:
        yield Finding(
            "machine", Severity.OK, f"{capacity.cpus:g} cores, {capacity.mem_bytes / GIB:.1f} GiB memory"
        )
        for device in capacity.all_devices:
            size = f"{device.mem_bytes / GIB:.1f} GiB"
            use = "" if capacity.is_for_jobs(device) else ", not for jobs"
            yield Finding("gpu", Severity.OK, f"GPU {device.key}: {device.name}, {size}{use}")
    yield from _gpus(capacity, None if sample is None else sample.gpu_note)
    age_s = None if sample is None else time.time() - sample.at
    if age_s is not None and age_s > 60:
        yield Finding("machine", Severity.WARN, f"The last reading is {age_s:.0f} s old.", "Look again.")


def _gpus(capacity: Capacity | None, note: str | None) -> Iterator[Finding]:
    """What is wrong with GPUs, and which are plugged in that nothing here reads."""
    from jobs.machine.adapters import NOT_AVAILABLE, adapters

    none_here = capacity is None or not capacity.all_devices
    unread = {each.why_unread: each.remedy for each in adapters() if each.why_unread is not None}
    for why, remedy in unread.items():
        serious = none_here and bool(remedy)
        yield Finding("gpu", Severity.WARN if serious else Severity.OK, why, remedy if serious else "")
    if note is None or any(note.startswith(why) for why in unread):
        return
    what, _, remedy = note.partition("; ")
    told = note.startswith("no ") or NOT_AVAILABLE in what
    if none_here and told and not remedy:
        yield Finding("gpu", Severity.OK, note)
        return
    remedy = remedy or ("See what nvidia-smi says." if "NVIDIA" in note else "")
    yield Finding(
        "gpu", Severity.WARN, f"No GPU can be used: {what}" if none_here and not told else what, remedy
    )


def _recipes(client: Client) -> Iterator[Finding]:
    catalogue = client.recipes.catalogue()
    usable = {recipe.name for recipe in catalogue.recipes}
    yield Finding(
        "recipes", Severity.OK if usable else Severity.WARN, f"{len(usable)} recipes can be queued"
    )
    for entry in catalogue.entries:
        for problem in getattr(entry, "problems", ()):
            where = f"{entry.path}, line {problem.line}"
            yield Finding(
                "recipes", Severity.WARN, f"{where}: {problem.message}", "Correct the file's header."
            )
    for each in catalogue.notes:
        yield Finding("recipes", Severity.WARN, f"{each.path}: {each.message}")
