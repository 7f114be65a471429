"""The processes of the machine, and the rows they make: one for each job, container or session.

Pure values; how they are read is the business of `jobs.machine.processes`. A missing reading is None, never
0. A process that uses two GPUs is one process: its CPU and memory count once, its GPU memory on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobs.core.jobs import JobId
from jobs.core.machine import DeviceSample

_KERNEL = 2  # kthreadd, the parent of all kernel threads
_GENERATIONS = 64
UNSEEN = (
    "has ended or lives in another container, and still holds GPU memory: end that container, or as root "
    "see who has the device open with: fuser -v /dev/nvidia* /dev/kfd"
)


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What one process holds of all GPUs. `started` tells it from others that have had its pid.

    `idle_bytes` of it are on GPUs that have done nothing since `idle_since_at`.
    """

    mem_bytes: int | None
    started: int | None = None
    idle_bytes: int = 0
    idle_since_at: float | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `cpus` is cores in use since the last look, `*_per_s` bytes, all None at the first.

    `started` identifies it together with the pid. `command` is empty while nobody has asked for it.
    `container` is the short id of its container. `seen` False: nobody but the GPU driver names it.
    `gpu_idle_bytes` are held on GPUs that have done nothing since `gpu_idle_since_at`.
    """

    pid: int
    started: int
    parent: int = 0
    session: int = 0
    name: str = ""
    user: str | None = None
    started_at: float | None = None
    cpus: float | None = None
    mem_bytes: int | None = None
    gpu_mem_bytes: int | None = None
    read_per_s: float | None = None
    write_per_s: float | None = None
    command: str = ""
    container: str = ""
    seen: bool = True
    gpu_idle_bytes: int = 0
    gpu_idle_since_at: float | None = None


class GroupKind(StrEnum):
    JOB = "job"
    OWN = "cro-tui"
    CONTAINER = "container"
    SESSION = "session"
    KERNEL = "kernel"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """Processes that belong together, the first of them first; sums are None where none was read."""

    kind: GroupKind
    key: str
    title: str
    processes: tuple[Process, ...]
    job_id: JobId | None = None

    @property
    def ours(self) -> bool:
        """Whether the queue started it."""
        return self.kind in (GroupKind.JOB, GroupKind.OWN)

    @property
    def user(self) -> str | None:
        return self.processes[0].user

    @property
    def started_at(self) -> float | None:
        """When the first of them began; of a job, without its supervisor, which may be older."""
        some = self.processes[1:] if self.kind is GroupKind.JOB else self.processes
        began = [each.started_at for each in some or self.processes if each.started_at is not None]
        return min(began, default=None)

    def total(self, value: Callable[[Process], float | None]) -> float | None:
        found = [each for each in map(value, self.processes) if each is not None]
        return sum(found) if found else None

    @property
    def cpus(self) -> float | None:
        return self.total(lambda process: process.cpus)

    @property
    def mem_bytes(self) -> float | None:
        return self.total(lambda process: process.mem_bytes)

    @property
    def gpu_mem_bytes(self) -> float | None:
        return self.total(lambda process: process.gpu_mem_bytes)

    @property
    def gpu_idle(self) -> tuple[int, float] | None:
        """GPU memory that is held for nothing, and since when all of it is; None for none."""
        since = [each.gpu_idle_since_at for each in self.processes if each.gpu_idle_since_at is not None]
        return (sum(each.gpu_idle_bytes for each in self.processes), max(since)) if since else None

    @property
    def io_per_s(self) -> float | None:
        """None unless it was read of all: a part of it would look like the whole."""
        found = [io_per_s(process) for process in self.processes]
        read = [each for each in found if each is not None]
        return sum(read) if len(read) == len(found) else None


def gpu_uses(devices: Iterable[DeviceSample]) -> dict[int, GpuUse]:
    """What each process holds, over all GPUs."""
    found: dict[int, GpuUse] = {}
    for hold in (hold for device in devices for hold in device.holds or ()):
        before = found.get(hold.pid, GpuUse(0))
        known = before.mem_bytes is not None and hold.mem_bytes is not None
        idle_since = [at for at in (before.idle_since_at, hold.idle_since_at) if at is not None]
        found[hold.pid] = GpuUse(
            (before.mem_bytes or 0) + (hold.mem_bytes or 0) if known else None,
            hold.started,
            before.idle_bytes + (0 if hold.idle_since_at is None else hold.mem_bytes or 0),
            max(idle_since, default=None),
        )
    return found


def io_per_s(process: Process) -> float | None:
    """Bytes read and written in a second."""
    if process.read_per_s is None and process.write_per_s is None:
        return None
    return (process.read_per_s or 0.0) + (process.write_per_s or 0.0)


def groups(
    processes: Iterable[Process],
    jobs: Mapping[int, tuple[JobId, str]],
    own: Iterable[int] = (),
) -> tuple[ProcessGroup, ...]:
    """One group for each job, container or session, in no order that means anything.

    `jobs` has each running job's id and name by the pid of its supervisor, `own` the pids of the scheduler.
    """
    by_pid = {process.pid: process for process in processes}
    mine = frozenset(own)
    members: dict[tuple[GroupKind, str], list[Process]] = {}
    names: dict[str, tuple[JobId, str]] = {}
    for process in by_pid.values():
        kind, key = _where(process, by_pid, jobs, mine)
        if kind is GroupKind.JOB:
            names[key] = jobs[int(key)]
        members.setdefault((kind, key), []).append(process)
    found = []
    for (kind, key), some in members.items():
        some.sort(key=lambda process: (process.started, process.pid))
        job_id, title = names.get(key, (None, "")) if kind is GroupKind.JOB else (None, "")
        found.append(
            ProcessGroup(kind, f"{kind} {key}", title or _title(kind, key, some), tuple(some), job_id)
        )
    return tuple(found)


def _where(
    process: Process,
    by_pid: Mapping[int, Process],
    jobs: Mapping[int, tuple[JobId, str]],
    own: frozenset[int],
) -> tuple[GroupKind, str]:
    if not process.seen:
        return GroupKind.UNSEEN, str(process.pid)
    above: Process | None = process
    for _ in range(_GENERATIONS):
        if above is None:
            break
        if above.pid in jobs:
            return GroupKind.JOB, str(above.pid)
        if above.pid in own:
            return GroupKind.OWN, "scheduler"
        if above.pid == _KERNEL and above.parent == 0 and above.name == "kthreadd":
            return GroupKind.KERNEL, "threads"
        above = by_pid.get(above.parent)
    if process.container:
        return GroupKind.CONTAINER, process.container
    return GroupKind.SESSION, str(process.session or process.pid)


def _title(kind: GroupKind, key: str, some: Sequence[Process]) -> str:
    match kind:
        case GroupKind.KERNEL:
            return "kernel threads"
        case GroupKind.OWN:
            return "cro-tui's scheduler"
        case GroupKind.CONTAINER:
            return f"container {key}"
        case GroupKind.UNSEEN:
            return f"pid {some[0].pid} {UNSEEN}"
        case _:
            leader = next((each for each in some if str(each.pid) == key), some[0])
            return leader.command or leader.name


def ordered(
    found: Iterable[ProcessGroup], by: Callable[[ProcessGroup], float | None]
) -> list[ProcessGroup]:
    """The largest first; what was not read last; equal ones by their title and key."""

    def place(group: ProcessGroup) -> tuple[bool, float, str, str]:
        value = by(group)
        return value is None, -(value or 0.0), group.title, group.key

    return sorted(found, key=place)
