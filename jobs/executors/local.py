"""Runs jobs on this machine: makes their folders, has supervisors forked, hears of their ends at once.

The job folder is the truth; what this process remembers is only a cache of descriptors. It never waits for
a job and never owns one: supervisors belong to nobody and go on when this process dies.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.boxed import bundle, proctree
from jobs.executors.records import exit_of, usage_of
from jobs.model import Usage
from jobs.ports import Launch, Phase, Status, Unreachable

LAUNCHER = Path(__file__).resolve().parent.parent / "boxed" / "launcher.py"


@dataclass(slots=True)
class _Watched:
    """A supervisor that was alive when it was looked at; `pidfd` is readable once it has ended."""

    pid: int
    pidfd: int
    started_at: float | None
    paused: bool = False


class LocalExecutor:
    """An Executor for this machine. Its calls are to be made on one event loop."""

    def __init__(self, jobs_folder: Path, python: str = sys.executable) -> None:
        self._jobs_folder = jobs_folder
        self._python = python
        self._on_change: Callable[[str], None] = lambda _: None
        self._watched: dict[str, _Watched] = {}
        self._launcher: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._ends: socket.socket | None = None
        self._answers: deque[asyncio.Future[dict[str, Any]]] = deque()
        self._cpu_of_gone_launchers_s = 0.0

    def listen(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(name)` soon after an attempt that this process knows has ended."""
        self._on_change = on_change

    def folder(self, name: str) -> Path:
        """The job folder of `cro-<instance>-<job>-<attempt>`. Raises ValueError for another shape."""
        prefix, _, job_id, attempt = name.rsplit("-", 3)
        if prefix != "cro":
            raise ValueError(f"{name} is not a name of ours")
        return self._jobs_folder / str(int(job_id) // 1000) / str(int(job_id)) / str(int(attempt))

    # --- the port ----------------------------------------------------------------------------------

    async def submit(self, launch: Launch) -> str:
        """Start it and return the supervisor's pid. Raises Unreachable when no process can be made."""
        folder = self.folder(launch.name)
        if (known := self._watched.get(launch.name)) is not None:
            return str(known.pid)
        if (folder / bundle.EXIT).exists() or (folder / bundle.PID).exists():
            found = self._look(launch.name)
            return str(found.pid)
        spec = asdict(launch)
        spec["extra_env"] = {
            **launch.extra_env,
            "CRO_JOB_ID": str(launch.job_id),
            "CRO_ATTEMPT": str(launch.attempt),
            "CRO_OUTPUT_DIR": str(folder / bundle.OUTPUT),
        }
        bundle.make_folder(str(folder))
        bundle.write_json(str(folder / bundle.SPEC), spec)
        answer = await self._ask(str(folder))
        if "error" in answer:
            raise Unreachable("No process could be made for the job.", str(answer["error"]))
        self._watch(launch.name, answer["pid"], answer["start_ticks"])
        return str(answer["pid"])

    async def poll(self, names: Collection[str]) -> Mapping[str, Status]:
        return {name: self._look(name) for name in names}

    async def cancel(self, name: str, grace_s: float) -> None:
        """End the tree: TERM, then KILL after the grace time that the attempt was launched with."""
        self._signal(name, signal.SIGTERM)

    async def pause(self, name: str) -> None:
        self._signal(name, signal.SIGUSR1)

    async def resume(self, name: str) -> None:
        self._signal(name, signal.SIGUSR2)

    async def forget(self, name: str) -> None:
        self._unwatch(name)

    async def sweep(self, name: str) -> None:
        """Kill what an attempt left running after its supervisor died: its session, and those below it."""
        record = bundle.read_json(str(self.folder(name) / bundle.PID)) or {}
        if record.get("boot_id") != proctree.boot_id():
            record = {}
        mark = f"CRO_OUTPUT_DIR={self.folder(name) / bundle.OUTPUT}".encode()
        for _ in range(20):
            left = [pid for pid in proctree.all_pids() if _belongs(pid, record, mark)]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        for name in list(self._watched):
            self._unwatch(name)
        self._drop_launcher()

    # --- measuring ---------------------------------------------------------------------------------

    def usage(self, names: Collection[str]) -> Mapping[str, Usage]:
        """The last use that each supervisor wrote down; names without one are left out."""
        found = {name: bundle.last_usage(str(self.folder(name))) for name in names}
        return {name: usage_of(record) for name, record in found.items() if record is not None}

    def own_cpu_s(self) -> float:
        """CPU seconds of the launcher, of ended supervisors and of ended jobs; ever growing."""
        now = 0.0 if self._launcher is None else proctree.cpu_s(self._launcher.pid) or 0.0
        return self._cpu_of_gone_launchers_s + now

    # --- how it is done ----------------------------------------------------------------------------

    def _look(self, name: str) -> Status:
        folder = str(self.folder(name))
        known = self._watched.get(name)
        record = bundle.read_json(os.path.join(folder, bundle.EXIT))
        if record is not None and (ended := exit_of(record)) is not None:
            self._unwatch(name)
            return Status(Phase.ENDED, None, ended.started_at, ended.usage, ended)
        pids = bundle.read_json(os.path.join(folder, bundle.PID))
        if known is None and pids is not None and pids.get("boot_id") == proctree.boot_id():
            supervisor = pids.get("supervisor", {})
            known = self._watch(name, supervisor.get("pid", 0), supervisor.get("start_ticks"))
        if known is None:
            return Status(Phase.MISSING)
        if pids is None:
            return Status(Phase.PENDING, known.pid)
        last = bundle.last_usage(folder)
        phase = Phase.PAUSED if last is not None and last.get("paused") else Phase.RUNNING
        used = Usage() if last is None else usage_of(last)
        return Status(phase, known.pid, pids.get("started_at"), used)

    def _watch(self, name: str, pid: int, start_ticks: int | None) -> _Watched | None:
        """Hold on to a live supervisor; None when that process is gone or is another one by now."""
        if pid <= 0 or start_ticks is None:
            asyncio.get_running_loop().call_soon(self._on_change, name)
            return None
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            asyncio.get_running_loop().call_soon(self._on_change, name)
            return None
        if proctree.start_ticks(pid) != start_ticks:
            os.close(pidfd)
            asyncio.get_running_loop().call_soon(self._on_change, name)
            return None
        watched = self._watched[name] = _Watched(pid, pidfd, None)
        asyncio.get_running_loop().add_reader(pidfd, self._ended, name)
        return watched

    def _ended(self, name: str) -> None:
        self._unwatch(name)
        self._on_change(name)

    def _unwatch(self, name: str) -> None:
        known = self._watched.pop(name, None)
        if known is not None:
            asyncio.get_running_loop().remove_reader(known.pidfd)
            os.close(known.pidfd)

    def _signal(self, name: str, number: int) -> None:
        self._look(name)
        known = self._watched.get(name)
        if known is not None:
            try:
                signal.pidfd_send_signal(known.pidfd, number)
            except ProcessLookupError:
                pass

    # --- the launcher ------------------------------------------------------------------------------

    async def _ask(self, folder: str) -> dict[str, Any]:
        for last_try in (False, True):
            if self._requests is None:
                self._start_launcher()
            assert self._requests is not None
            answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            try:
                self._requests.send(os.fsencode(folder))
                self._answers.append(answer)
                return await answer
            except OSError as error:
                self._drop_launcher()
                if last_try:
                    raise Unreachable("No process could be made for the job.", str(error)) from error
        raise AssertionError

    def _start_launcher(self) -> None:
        requests, their_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends, their_ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        inherited = [their_requests.fileno(), their_ends.fileno()]
        with their_requests, their_ends:
            try:
                self._launcher = subprocess.Popen(
                    [self._python, "-I", "-S", str(LAUNCHER), *map(str, inherited)],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                requests.close()
                ends.close()
                raise Unreachable("The launcher of jobs cannot be started.", str(error)) from error
        self._requests, self._ends = requests, ends
        for ours, hear in ((requests, self._answered), (ends, self._told_of_an_end)):
            ours.setblocking(False)
            asyncio.get_running_loop().add_reader(ours.fileno(), hear)

    def _told_of_an_end(self) -> None:
        """A supervisor has written `exit.json`; it will be gone itself once the disk has it."""
        while self._ends is not None:
            try:
                folder = Path(os.fsdecode(self._ends.recv(1 << 16)))
            except OSError:
                return
            job_id, attempt = folder.parent.name, folder.name
            for name in self._watched:
                if name.endswith(f"-{job_id}-{attempt}"):
                    self._ended(name)
                    break

    def _answered(self) -> None:
        assert self._requests is not None
        while self._requests is not None:
            try:
                message = self._requests.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._drop_launcher()
                return
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(json.loads(message))

    def _drop_launcher(self) -> None:
        """Let go of the launcher; who still waits for its answer is told that there is none."""
        self._cpu_of_gone_launchers_s = self.own_cpu_s()
        for ours in (self._requests, self._ends):
            if ours is not None:
                asyncio.get_running_loop().remove_reader(ours.fileno())
                ours.close()
        self._requests = self._ends = None
        if self._launcher is not None:
            self._launcher.wait()
            self._launcher = None
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionResetError("the launcher has gone"))
        self._answers.clear()


def _belongs(pid: int, record: Mapping[str, Any], mark: bytes) -> bool:
    """Whether a process is the recorded job, in its session, or carries its mark in the environment."""
    job = record.get("job", {})
    if pid == os.getpid():
        return False
    if pid == job.get("pid"):
        ticks: int | None = job.get("start_ticks")
        return proctree.start_ticks(pid) == ticks
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False
