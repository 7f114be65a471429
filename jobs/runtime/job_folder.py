"""The job folder: what its files are called, how they are written and how they are read.

Standard library only: it runs inside the supervisor and is imported by the executor. Writers are atomic
where a reader could act on half a file; readers answer None for what is missing, torn or not ours.
"""

from __future__ import annotations

import json
import math
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeGuard

    from jobs.runtime import atomic_write
elif __package__:
    from jobs.runtime import atomic_write
else:
    import atomic_write

SPEC = "spec.json"
PID = "pid.json"
LOG = "output.log"
USAGE = "usage.jsonl"
EXIT = "exit.json"
OUTPUT = "output"
METRICS = "metrics.json"
EVENTS = "events.jsonl"
PROVENANCE = "provenance.json"
ERROR = "error"
MAX_ERROR_CHARS = 500
SUPERVISOR_LOG = "supervisor.log"
STOP = "stop.json"
MAX_READ_BYTES = 1 << 20
MAX_METRICS = 100
MAX_NAME_CHARS = 100
LAST_USAGE_BYTES = 512
MAX_EVENT_BYTES = 64 * 1024
LAST_EVENTS_BYTES = 256 * 1024
EVENT_KEYS = frozenset(
    {"step", "params", "progress", "phase", "artifact", "model", "flavor", "sample", "spread", "note"}
)


def make_folder(folder: str) -> None:
    """Create the job folder and its output folder, for their owner only. Raises OSError."""
    for path in (folder, os.path.join(folder, OUTPUT)):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(path, mode=0o700, exist_ok=True)


def write_json(path: str, value: dict[str, Any]) -> None:
    """Replace `path` in one step (mode 0600). Raises OSError."""
    atomic_write.replace(path, json.dumps(value))


def sync(path: str) -> None:
    """Return once the file and its name are on disk. Raises OSError."""
    atomic_write.sync(path)
    atomic_write.sync(os.path.dirname(path) or ".")


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a small JSON file, or None when it is missing, torn, too large or no object."""
    try:
        with open(path, "rb", opener=open_file) as file:
            value = json.loads(file.read(MAX_READ_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def open_file(path: str, flags: int) -> int:
    """Open a file, but never wait on a pipe or device that a job put in its place. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return descriptor


def append_usage(line: dict[str, Any]) -> None:
    """Add a line to `usage.jsonl` of the current folder. Raises OSError."""
    descriptor = os.open(USAGE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def thin_usage() -> int:
    """Keep every second line of `usage.jsonl`, so that a long job's file stays small; how many are left.

    Raises OSError.
    """
    with open(USAGE, "rb") as file:
        kept = file.read().splitlines(keepends=True)[1::2]
    atomic_write.replace(USAGE, b"".join(kept))
    return len(kept)


def last_usage(folder: str) -> dict[str, Any] | None:
    """The newest whole line of `usage.jsonl`, or None before the first."""
    try:
        with open(os.path.join(folder, USAGE), "rb", opener=open_file) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_USAGE_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return None
    if len(lines) < 2:
        return None
    try:
        value = json.loads(lines[-2])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def reported_after_s(started_at: float) -> float | None:
    """How long after its start a job that was looked at often had first reported; None: it has not yet."""
    try:
        found = os.stat(EVENTS)
    except OSError:
        return None
    return max(0.0, found.st_mtime - started_at) if found.st_size else None


def read_metrics(folder: str) -> dict[str, float]:
    """The finite numbers of `output/metrics.json`, then the last ones that were reported only in
    `events.jsonl`; at most MAX_METRICS, none where there is nothing to be read."""
    found = read_json(os.path.join(folder, OUTPUT, METRICS)) or {}
    numbers = {name[:MAX_NAME_CHARS]: value for name, value in found.items()}
    kept = {name: float(value) for name, value in numbers.items() if is_finite(value)}
    for name, value in _last_reported(folder).items():
        kept.setdefault(name, value)
    return dict(list(kept.items())[:MAX_METRICS])


# --- what a job reports while it runs -------------------------------------------------------------


def parse_event(line: bytes) -> dict[str, Any] | str:
    """The object in a line of `events.jsonl` (without its newline), or why it cannot be used."""
    if len(line) > MAX_EVENT_BYTES:
        return f"longer than {MAX_EVENT_BYTES // 1024} kB"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    return value if isinstance(value, dict) else "no JSON object"


def event_metrics(event: dict[str, Any]) -> tuple[dict[str, float], str]:
    """Its finite numbers under names that mean nothing else, and what is wrong with the rest, if it is."""
    found: dict[str, float] = {}
    wrong = ""
    for name, value in event.items():
        if name in EVENT_KEYS or (name == ERROR and isinstance(value, str)):
            continue
        if is_finite(value) and 0 < len(name) <= MAX_NAME_CHARS:
            found[name] = float(value)
        else:
            wrong = wrong or f"{name[:40]!r} is no finite number"
    return found, wrong


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that a metric can be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e308 and math.isfinite(value)


def reported_error(folder: str) -> str:
    """The last `error`, a text, that a job has reported: why it fails, in its own words."""
    words = ""
    for event in _last_events(folder):
        if isinstance(said := event.get(ERROR), str):
            words = said
    return " ".join(words.split())[:MAX_ERROR_CHARS]


def _last_reported(folder: str) -> dict[str, float]:
    """The newest value of each metric among the last lines of `events.jsonl`."""
    found: dict[str, float] = {}
    for event in _last_events(folder):
        found.update(event_metrics(event)[0])
    return found


def _last_events(folder: str) -> list[dict[str, Any]]:
    try:
        with open(os.path.join(folder, EVENTS), "rb", opener=open_file) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LAST_EVENTS_BYTES))
            lines = file.read(LAST_EVENTS_BYTES).split(b"\n")
    except OSError:
        return []
    events = map(parse_event, lines if size <= LAST_EVENTS_BYTES else lines[1:])
    return [event for event in events if isinstance(event, dict)]
