"""Runs jobs on this machine: makes their folders, has supervisors forked, hears of their ends at once.

The job folder is the truth; what this process remembers is only a cache of descriptors. It never waits for
a job and never owns one: supervisors belong to nobody and go on when this process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from jobs.core.jobs import Usage
from jobs.core.ports import Launch, Launched, Phase, Status
from jobs.core.versions import stamp
from jobs.core.world import WarmKey, WarmPlan, WarmProcess
from jobs.executors import runtime_copy
from jobs.executors.launcher_client import LauncherClient
from jobs.executors.process_handle import ProcessHandle, check_descriptors, kill_if, open_handle
from jobs.executors.zygotes import Zygotes
from jobs.records import checkpoints
from jobs.records.exits import exit_of, how_started, says_out_of_gpu_memory, supervisor_cpu_s, usage_of
from jobs.runtime import cgroup, job_folder, procfs

NAME = re.compile(r"cro-[a-z0-9]+-([0-9]{1,18})-([0-9]{1,9})", re.ASCII)
_LAUNCH = tuple(each.name for each in fields(Launch))
SWEEP_ROUNDS = 20
SWEEP_AGAIN_S = 0.02
_LAST_WORDS_BYTES = 64 * 1024


class LocalExecutor:
    """An Executor for this machine. Its calls are to be made on one event loop."""

    def __init__(
        self, jobs_folder: Path, python: str = sys.executable, *, runtime: Path = runtime_copy.SOURCE
    ) -> None:
        """`runtime` is the folder of the programs that run beside each job."""
        self._jobs_folder = str(jobs_folder)
        self._forker = LauncherClient(python, self._told_of_an_end, runtime)
        self._zygotes = Zygotes(self._told_of_an_end, runtime)
        self._on_change: Callable[[str], None] = lambda _: None
        self._watched: dict[str, ProcessHandle] = {}
        self._submitting: dict[str, asyncio.Task[Launched]] = {}
        self._uncounted: set[str] = set()  # known as running, and their end not read yet
        self._cpu_of_ended_s = 0.0

    def listen(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(name)` soon after an attempt that this process knows has ended."""
        self._on_change = on_change

    def folder(self, name: str) -> Path:
        """The job folder of `cro-<instance>-<job>-<attempt>`. Raises ValueError for another shape."""
        return Path(self._folder(name))

    def _folder(self, name: str) -> str:
        found = NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is not the name of an attempt")
        job_id, attempt = map(int, found.groups())
        return f"{self._jobs_folder}/{job_id // 1000}/{job_id}/{attempt}"

    # --- the port ----------------------------------------------------------------------------------

    async def submit(self, launch: Launch) -> Launched:
        """Start it and return the supervisor's pid, or "ended" when it is over already.

        Raises Unreachable when no process can be made, OSError when its folder cannot.
        """
        name = launch.name
        task = self._submitting.get(name)
        if task is None:
            task = self._submitting[name] = asyncio.get_running_loop().create_task(self._submit(launch))
            task.add_done_callback(lambda _: self._submitting.pop(name))
        return await asyncio.shield(task)

    async def poll(self, names: Collection[str]) -> Mapping[str, Status]:
        return {name: self._look(name) for name in names}

    async def cancel(self, name: str, grace_s: float) -> None:
        """End the tree: TERM, then KILL after the grace time. A later, shorter grace time counts."""
        self._look(name)
        known = self._watched.get(name)
        if known is None:
            return
        folder = self._folder(name)
        spec = job_folder.read_json(os.path.join(folder, job_folder.SPEC)) or {}
        if spec.get("grace_s") != grace_s:
            with contextlib.suppress(OSError):  # on a full disk the grace time of the launch counts
                job_folder.write_json(os.path.join(folder, job_folder.STOP), {"grace_s": grace_s})
        known.send(signal.SIGTERM)

    async def pause(self, name: str) -> None:
        self._signal(name, signal.SIGUSR1)

    async def resume(self, name: str) -> None:
        self._signal(name, signal.SIGUSR2)

    async def forget(self, name: str) -> None:
        self._unwatch(name)
        self._uncounted.discard(name)

    async def sweep(self, name: str) -> bool:
        """Kill what an attempt left running after its supervisor died; nothing while that one lives.

        Whether no process of it is left.
        """
        if self._look(name).phase not in (Phase.MISSING, Phase.ORPHANED):
            return False
        found = 0
        folder = self._folder(name)
        record = job_folder.read_json(f"{folder}/{job_folder.PID}") or {}
        job = record.get("job") if record.get("boot_id") == procfs.boot_id() else None
        mark = f"CRO_OUTPUT_DIR={folder}/{job_folder.OUTPUT}".encode()
        belongs = partial(_belongs, job if isinstance(job, dict) else {}, mark)
        groups = cgroup.left(name, record.get("cgroup"))
        for _ in range(SWEEP_ROUNDS):
            inside = sum(map(cgroup.kill, groups))
            found = inside + sum(kill_if(pid, belongs) for pid in procfs.all_pids() if belongs(pid))
            if not found and all(map(cgroup.remove, groups)):  # a group is busy while its last one dies
                return True
            await asyncio.sleep(SWEEP_AGAIN_S)
        return not found

    async def close(self) -> None:
        for name in list(self._watched):
            self._unwatch(name)
        self._zygotes.close()
        self._forker.close()

    # --- measuring ---------------------------------------------------------------------------------

    def usage(self, names: Collection[str]) -> Mapping[str, Usage]:
        """The last use that each supervisor wrote down; names without one are left out."""
        found = {name: job_folder.last_usage(self._folder(name)) for name in names}
        return {name: usage_of(record) for name, record in found.items() if record is not None}

    def own_cpu_s(self) -> float:
        """CPU seconds of our resident processes and of ended attempts with supervisors; ever growing.

        An attempt counts from the `poll` on that tells its end.
        """
        return self._cpu_of_ended_s + self._forker.cpu_s() + self._zygotes.cpu_s()

    # --- warm processes ------------------------------------------------------------------------------

    def kept_warm(self) -> tuple[WarmProcess, ...]:
        """The processes that have imported a framework, or are about to."""
        return self._zygotes.kept()

    def keep_warm(self, plan: WarmPlan, by: Mapping[WarmKey, tuple[Sequence[str], str]]) -> None:
        """Start and stop them; `by` has a job's argv and its captured environment's path by stack."""
        self._zygotes.keep(plan, by)

    # --- how it is done ----------------------------------------------------------------------------

    async def _submit(self, launch: Launch) -> Launched:
        name, folder = launch.name, self._folder(launch.name)
        if os.path.exists(f"{folder}/{job_folder.PID}") or os.path.exists(f"{folder}/{job_folder.EXIT}"):
            found = self._look(name)
            return Launched(found.phase.value if found.pid is None else str(found.pid), found.how)
        spec: dict[str, Any] = stamp() | {each: getattr(launch, each) for each in _LAUNCH}
        spec["asked_at"] = asked_at = time.time()
        spec["extra_env"] = {
            **launch.extra_env,
            "CRO_JOB_ID": str(launch.job_id),
            "CRO_ATTEMPT": str(launch.attempt),
            "CRO_OUTPUT_DIR": f"{folder}/{job_folder.OUTPUT}",
            "CRO_EVENTS": f"{folder}/{job_folder.EVENTS}",
            **checkpoints.variables(folder),
        }
        job_folder.make_folder(folder)
        job_folder.write_json(f"{folder}/{job_folder.SPEC}", spec)
        pid, start_ticks, why_cold = await self._fork(launch, folder, spec)
        self._uncounted.add(name)
        try:
            watched = self._watch(name, pid, start_ticks)
        except OSError:
            watched = False  # it runs all the same, and is looked for with the next poll
        if not watched or os.path.exists(
            f"{folder}/{job_folder.EXIT}"
        ):  # the word of its end may have come before
            asyncio.get_running_loop().call_soon(self._on_change, name)
        warm = launch.framework is not None and not why_cold
        how = {"warm": warm, "why_cold": why_cold, "took_s": time.time() - asked_at}
        return Launched(str(pid), how_started(how))

    async def _fork(self, launch: Launch, folder: str, spec: dict[str, Any]) -> tuple[int, int | None, str]:
        """Pid and start time of the supervisor, and why it did not start its job warm."""
        why_cold = launch.why_cold
        if launch.framework is not None:
            forked = await self._zygotes.fork(launch, folder)
            if not isinstance(forked, str):
                return *forked, ""
            why_cold = forked
            job_folder.write_json(f"{folder}/{job_folder.SPEC}", {**spec, "why_cold": why_cold})
        return *await self._forker.fork(folder), why_cold

    def _look(self, name: str) -> Status:
        folder = self._folder(name)
        ended = self._end(name, folder)
        if ended is not None:
            return ended
        pids = job_folder.read_json(os.path.join(folder, job_folder.PID))
        if name not in self._watched and pids is not None and pids.get("boot_id") == procfs.boot_id():
            supervisor = pids.get("supervisor")
            if isinstance(supervisor, dict) and self._watch(
                name, supervisor.get("pid"), supervisor.get("start_ticks")
            ):
                self._uncounted.add(name)
        known = self._watched.get(name)
        if known is None:
            written = pids is not None and isinstance(pids.get("supervisor"), dict)
            check_descriptors()
            gone = Status(Phase.ORPHANED if written else Phase.MISSING)
            return self._end(name, folder) or gone  # it may have ended while we looked
        if pids is None:
            return Status(Phase.PENDING, known.pid)
        last = job_folder.last_usage(folder)
        phase = Phase.PAUSED if last is not None and last.get("paused") else Phase.RUNNING
        used = Usage() if last is None else usage_of(last)
        started_at = pids.get("started_at")
        began_at = started_at if isinstance(started_at, float) else None
        return Status(phase, known.pid, began_at, used, how=how_started(pids))

    def _end(self, name: str, folder: str) -> Status | None:
        record = job_folder.read_json(os.path.join(folder, job_folder.EXIT))
        if record is None or (ended := exit_of(record)) is None:
            return None
        if ended.exit_code and _has_gpus(folder):
            with contextlib.suppress(OSError), open(os.path.join(folder, job_folder.LOG), "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _LAST_WORDS_BYTES))
                last_words = log.read(_LAST_WORDS_BYTES).decode("utf-8", "replace")
                ended = replace(ended, out_of_gpu_memory=says_out_of_gpu_memory(last_words))
        if name in self._uncounted:
            self._uncounted.discard(name)
            self._cpu_of_ended_s += (ended.usage.cpu_s or 0.0) + supervisor_cpu_s(record)
        self._unwatch(name)
        return Status(Phase.ENDED, None, ended.started_at, ended.usage, ended)

    def _watch(self, name: str, pid: Any, start_ticks: Any) -> bool:
        """Hold on to a live supervisor; False when that process is gone or is another one by now."""
        found = open_handle(pid, start_ticks, partial(self._ended, name))
        if found is None:
            return False
        self._unwatch(name)
        self._watched[name] = found
        return True

    def _ended(self, name: str) -> None:
        self._unwatch(name)
        self._on_change(name)

    def _told_of_an_end(self, folder: str) -> None:
        """A supervisor has written `exit.json`; it will be gone itself once the disk has it."""
        end = "-".join(["", *folder.rsplit("/", 2)[1:]])
        for name in self._watched:
            if name.endswith(end):
                self._ended(name)
                break

    def _unwatch(self, name: str) -> None:
        known = self._watched.pop(name, None)
        if known is not None:
            known.close()

    def _signal(self, name: str, number: int) -> None:
        self._look(name)
        known = self._watched.get(name)
        if known is not None:
            known.send(number)


def _has_gpus(folder: str) -> bool:
    spec = job_folder.read_json(os.path.join(folder, job_folder.SPEC)) or {}
    extra = spec.get("extra_env")
    return isinstance(extra, dict) and bool(extra.get("CRO_GPUS", extra.get("CUDA_VISIBLE_DEVICES")))


def _belongs(job: Mapping[str, Any], mark: bytes, pid: int) -> bool:
    """Whether a process is the recorded job, in the job's session, or carries its mark."""
    if pid == os.getpid():
        return False
    leader, since = job.get("pid"), job.get("start_ticks")
    if isinstance(leader, int) and isinstance(since, int) and leader > 0:
        if pid == leader:
            return procfs.start_ticks(pid) == since
        # a session keeps its leader's number taken; if the leader is there it must be the one of the record
        if procfs.session(pid) == leader and procfs.start_ticks(leader) in (None, since):
            return (procfs.start_ticks(pid) or 0) >= since
    return mark in procfs.environment(pid)
