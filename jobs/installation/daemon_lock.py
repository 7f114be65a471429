"""One scheduler for each installation: who holds the lock, how it is started, how it is asked to leave.

The lock is a file held with flock, so it can never outlive its holder. The file's text (pid and start) is
for people and signals only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from jobs.core.ports import StateUnavailable
from jobs.core.requests import DaemonStatus
from jobs.core.versions import stamp, version_of
from jobs.installation.home import Home
from jobs.installation.notify import Notifier

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
_LONGEST_TEXT = 4096


def take(path: Path, pid: int, since_at: float) -> int | None:
    """Take the lock and return its descriptor, to be kept open; None when another process has it."""
    lock = _locked(path)
    if lock is not None:
        os.pwrite(lock, json.dumps({"pid": pid, "since": since_at, **stamp()}).encode(), 0)
    return lock


def _locked(path: Path) -> int | None:
    """A look by somebody else holds it for microseconds, so this tries for a moment."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for attempt in range(20):
        if attempt:
            time.sleep(0.01)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        os.ftruncate(descriptor, 0)
        return descriptor
    os.close(descriptor)
    return None


def look(path: Path) -> DaemonStatus:
    """Whether somebody holds the lock, and who."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return DaemonStatus(False)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return DaemonStatus(False)
        except BlockingIOError:
            text = os.pread(descriptor, _LONGEST_TEXT, 0)
    finally:
        os.close(descriptor)
    try:
        table = json.loads(text)
        return DaemonStatus(True, int(table["pid"]), float(table["since"]), version=version_of(table))
    except (ValueError, KeyError, TypeError, AttributeError):
        return DaemonStatus(True, note="starting")


def listens(home: Home) -> bool:
    """Whether a scheduler hears of what is written: one that leaves holds the lock a little longer."""
    with closing(Notifier()) as ringer:
        return ringer.reaches(home.scheduler_socket)


def until_it_listens(home: Home) -> DaemonStatus:
    """Wait while a scheduler comes up or leaves: one that runs afterwards listens, or has not for long."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (status := look(home.scheduler_lock)).running:
        if listens(home) or time.monotonic() > deadline:
            return status
        time.sleep(0.01)
    return status


def owner(home: Home) -> str | None:
    """The login name of another person whose scheduler this is; None where it is one's own."""
    import pwd

    try:
        number = os.stat(home.scheduler_lock).st_uid
    except OSError:
        return None
    if number == os.geteuid():
        return None
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


@contextmanager
def instead_of_older(home: Home) -> Iterator[DaemonStatus | None]:
    """Hold the lock, so that no scheduler runs: one of an earlier version is asked to leave.

    Answers with what it was, or with None, and holds nothing, while another process of this version has the
    lock. Raises Unreachable when the scheduler does not leave, or is somebody else's.
    """
    home.make()
    found = look(home.scheduler_lock)
    if found.running and found.version.is_older and found.pid is not None:
        if who := owner(home):
            raise StateUnavailable(
                f"The scheduler that runs here is {who}'s and of another version of cro-tui "
                f"({found.version}).",
                f"Ask {who} to update cro-tui, or to stop it: cro-tui daemon --stop",
            )
        stop(home)
    lock = _locked(home.scheduler_lock)
    try:
        yield None if lock is None else found
    finally:
        if lock is not None:
            os.close(lock)


def start(home: Home) -> DaemonStatus:
    """Start a scheduler in a session of its own and wait until it answers. Raises Unreachable."""
    import select
    import subprocess

    if Path(os.environ.get("CRO_OUTPUT_DIR", "/")).is_relative_to(home.jobs):
        raise StateUnavailable(
            "No scheduler runs, and a job cannot start one: it would end with the job.",
            "Type in a terminal: cro-tui daemon --start",
        )
    home.make()
    ready, theirs = os.pipe()
    above_the_packages = str(Path(__file__).resolve().parents[2])
    paths = [above_the_packages, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "jobs.daemon", "--detach", "--ready-fd", str(theirs)]
    command += ["--data", str(home.data), "--settings", str(home.settings_file)]
    try:
        with open(home.scheduler_log, "ab") as log:
            os.fchmod(log.fileno(), 0o600)
            done = subprocess.Popen(
                command,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs],
                start_new_session=True,
            )
            os.close(theirs)
            theirs = -1
            done.wait(START_TIMEOUT_S)
        select.select([ready], [], [], START_TIMEOUT_S)
        os.set_blocking(ready, False)
        try:
            answered = os.read(ready, 16) == b"ready"
        except BlockingIOError:
            answered = False
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateUnavailable(
            f"The scheduler cannot be started: {error}.", "Run the daemon in the foreground."
        ) from error
    finally:
        os.close(ready)
        if theirs >= 0:
            os.close(theirs)
    status = look(home.scheduler_lock)
    if answered or status.running:
        return status
    raise StateUnavailable(
        "The scheduler did not start. Its log ends with:", _last_lines(home.scheduler_log)
    )


def stop(home: Home) -> bool:
    """Ask the scheduler to leave and wait until it has; False when none ran. Raises Unreachable."""
    status = look(home.scheduler_lock)
    if not status.running:
        return False
    deadline = time.monotonic() + STOP_TIMEOUT_S
    asked: int | None = None
    while (status := look(home.scheduler_lock)).running:
        if status.pid is not None and asked != status.pid:
            asked = status.pid
            try:
                os.kill(asked, signal.SIGTERM)
            except ProcessLookupError:
                pass
            except PermissionError:
                raise StateUnavailable(
                    f"The scheduler (process {asked}) belongs to somebody else.",
                    "Ask its owner to stop it.",
                ) from None
        if time.monotonic() > deadline:
            raise StateUnavailable(
                f"The scheduler (process {status.pid}) does not leave.", "End that process yourself."
            )
        time.sleep(0.01)
    return True


def _last_lines(path: Path, lines: int = 8) -> str:
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return "(there is no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
