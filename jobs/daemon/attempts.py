"""The daemon's dealings with the executor: launches, stops, and what became of each attempt.

Performs effects and turns what the executor answers into events; decides nothing and writes no row. One
attempt's failure is that attempt's event, never an exception of the loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Protocol, get_args

from jobs.core.jobs import Active, Job, JobId, Starting, Usage
from jobs.core.machine import Device
from jobs.core.ports import Clock, CroError, Executor, Launch, Phase, Status
from jobs.core.world import WarmKey, WarmPlan, WarmProcess, World
from jobs.daemon.mlflow_sync import MlflowSync
from jobs.engine.events import (
    AttemptEnded,
    AttemptMissing,
    Effect,
    Event,
    LaunchAccepted,
    LaunchFailed,
    PauseAttempt,
    Rebooted,
    ResumeAttempt,
    StartAttempt,
    StopAttempt,
)
from jobs.engine.transitions import joined
from jobs.environments import folder
from jobs.executors.granted_variables import grant_environment, recipe_environment
from jobs.installation.home import Home
from jobs.installation.settings import JobSettings
from jobs.policy.warm import stack_of, warm_plan
from jobs.store import captured_variables
from jobs.store.codec import dump_spec

log = logging.getLogger(__name__)
FINISH_S = 5.0
TELL_STARTS_AFTER_S = 0.01  # so that the start and end of a very short job are one transaction
_ACTIVE = get_args(Active)  # a tuple is quicker to check than a union
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class MeasuredExecutor(Executor, Protocol):
    """An executor on this machine, which also tells what its jobs use and can clean up after a lost one."""

    def usage(self, names: Collection[str]) -> Mapping[str, Usage]:
        """Live use of those attempts that can be seen."""

    def own_cpu_s(self) -> float:
        """CPU seconds of ended jobs and of the executor's own processes, ever growing."""

    async def sweep(self, name: str) -> bool:
        """End what is left of a lost attempt's tree; whether nothing is left of it now."""

    def kept_warm(self) -> tuple[WarmProcess, ...]:
        """The processes that have imported a framework, or are about to."""

    def keep_warm(self, plan: WarmPlan, by: Mapping[WarmKey, tuple[Sequence[str], str]]) -> None:
        """Start and stop them; `by` has a job's argv and its captured environment's path by stack."""


class Attempts:
    """All attempts of one installation. `on_news` is called, on the loop, when there are events to take."""

    def __init__(
        self,
        home: Home,
        executor: MeasuredExecutor,
        instance: str,
        clock: Clock,
        *,
        lost_after_s: float,
        settings: JobSettings | None = None,
        mirrors: MlflowSync | None = None,
    ) -> None:
        self._home = home
        self._settings = settings or JobSettings()
        self._mirrors = mirrors or MlflowSync(home, on=False)
        self._executor = executor
        self._instance = instance
        self._clock = clock
        self._lost_after_s = lost_after_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._missing: dict[str, float] = {}
        self._former: frozenset[str] = frozenset()
        self._launching: set[str] = set()
        self._changed: set[str] = set()
        self._events: list[Event] = []
        self._gpu_peaks: dict[JobId, int] = {}
        self._on_news: Callable[[], None] = lambda: None

    def listen(self, on_news: Callable[[], None]) -> None:
        """Begin to hear of starts and ends at once. To be called on the running loop."""
        self._on_news = on_news
        loop = asyncio.get_running_loop()
        self._executor.listen(lambda name: _call_soon(loop, self._hear, name))

    def _hear(self, name: str) -> None:
        if name not in self._missing:  # those are looked at again in their own time
            self._changed.add(name)
            self._on_news()

    def name(self, job_id: JobId, attempt: int) -> str:
        return f"cro-{self._instance}-{job_id}-{attempt}"

    def names(self, jobs: Iterable[Job]) -> dict[str, Job]:
        """The names of the attempts that jobs have now."""
        return {self.name(j.id, j.state.attempt): j for j in jobs if isinstance(j.state, _ACTIVE)}

    def begun_before_boot(self, jobs: Iterable[Job]) -> None:
        """These attempts were made before the machine was restarted, whatever they have written down."""
        self._former = frozenset(self.names(jobs))

    # --- doing -----------------------------------------------------------------------------------------

    def perform(self, effects: Iterable[Effect], devices: Sequence[Device] = ()) -> None:
        """Do what the engine asked for, each on its own; returns before it is done.

        `devices` are the machine's.
        """
        for effect in effects:
            match effect:
                case StartAttempt(job):
                    self._spawn(self._start(job, devices))
                case StopAttempt(job_id, attempt, grace_s):
                    name = self.name(job_id, attempt)
                    self._spawn(self._tell(name, self._executor.cancel(name, grace_s)))
                case PauseAttempt(job_id, attempt):
                    name = self.name(job_id, attempt)
                    self._spawn(self._tell(name, self._executor.pause(name)))
                case ResumeAttempt(job_id, attempt):
                    name = self.name(job_id, attempt)
                    self._spawn(self._tell(name, self._executor.resume(name)))

    def keep_warm(self, world: World) -> tuple[WarmProcess, ...]:
        """Have the warm processes that the policy wants; those there are now."""
        plan = warm_plan(world)
        by = {}
        for job in world.jobs.values() if plan.start else ():
            if (stack := stack_of(job)) in plan.start and stack is not None:
                by[stack] = job.spec.argv, str(self._environment(job))
        self._executor.keep_warm(plan, by)
        return self._executor.kept_warm()

    def forget(self, job_id: JobId, attempt: int) -> None:
        """Let the executor drop what it keeps for an ended attempt."""
        self._spawn(self._executor.forget(self.name(job_id, attempt)))

    async def finish(self) -> None:
        """Wait until everything under way is done, but not for ever."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_S)

    async def _start(self, job: Job, devices: Sequence[Device]) -> None:
        assert isinstance(job.state, Starting)
        attempt = job.state.attempt
        name = self.name(job.id, attempt)
        self._launching.add(name)
        try:
            tracked, untracked = await self._mirrors.variables(job)
            more = recipe_environment(job.spec) | tracked
            more = grant_environment(job.spec.needs, job.state.grant, devices) | more
            launched = await self._executor.submit(self._launch(name, job, attempt, more))
        except (CroError, OSError, ValueError) as error:
            log.warning("job %d could not be launched: %s", job.id, error)
            if _has_begun(self._home.attempt(job.id, attempt)):
                self._changed.add(name)  # it was all the same, and only the answer is lost
            else:
                self._events.append(LaunchFailed(self._clock(), job.id, attempt, str(error)))
        else:
            if launched.native.isdigit():
                now, pid = self._clock(), int(launched.native)
                how = joined(launched.how, untracked)
                self._events.append(LaunchAccepted(now, job.id, attempt, pid, now, how))
                asyncio.get_running_loop().call_later(TELL_STARTS_AFTER_S, self._on_news)
                return
            self._changed.add(name)  # it has ended already
        finally:
            self._launching.discard(name)
        self._on_news()

    async def _tell(self, name: str, telling: Awaitable[None]) -> None:
        """Tell an attempt something, and look at it afterwards: it may have ended just before."""
        await telling
        self._hear(name)

    def _launch(self, name: str, job: Job, attempt: int, more: Mapping[str, str]) -> Launch:
        spec, needs = job.spec, job.spec.needs
        assert isinstance(job.state, Starting)
        argv, _ = folder.in_place(self._home.recipe_environments, spec.argv)
        return Launch(
            name=name,
            job_id=job.id,
            attempt=attempt,
            argv=argv,
            cwd=spec.cwd,
            environment_path=str(self._environment(job)),
            extra_env=more,
            mem_limit_bytes=job.mem_limit_bytes,
            time_limit_s=needs.time_limit_s,
            grace_s=spec.grace_s,
            framework=spec.framework if spec.warm else None,
            why_cold="its recipe says warm = false" if spec.framework and not spec.warm else "",
            low_priority=self._settings.low_priority,
            log_max_bytes=self._settings.log_max_bytes,
            record=dump_spec(spec),
            secrets=spec.secrets,
            secrets_folder=str(self._home.secrets),
        )

    def _environment(self, job: Job) -> Path:
        return captured_variables.path_of(self._home.captured_variables, job.spec.env_digest)

    def _spawn(self, work: Awaitable[object]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception:
            log.exception("an act on an attempt failed")

    def seen(self, usages: Mapping[JobId, Usage]) -> None:
        """Take note of the GPU memory that running jobs use: only the machine's readings tell it."""
        before = self._gpu_peaks
        peaks = {
            job_id: max(usage.gpu_mem_bytes or 0, before.get(job_id, 0)) for job_id, usage in usages.items()
        }
        self._gpu_peaks = {job_id: peak for job_id, peak in peaks.items() if peak}

    # --- hearing -----------------------------------------------------------------------------------------

    async def news(self, jobs: Iterable[Job], *, everyone: bool = False) -> list[Event]:
        """What has become of the attempts that were heard of, or of all of them."""
        events, self._events = self._events, []
        heard, self._changed = self._changed, set()
        names = self.names(jobs)
        self._missing = {name: since for name, since in self._missing.items() if name in names}
        self._changed |= heard & self._launching  # what became of them is told after their start
        asked = [name for name in names if name not in self._launching and (everyone or name in heard)]
        if asked:
            found = await self._executor.poll(asked)
            for name in asked:
                events += await self._told(name, names[name], found.get(name, Status(Phase.MISSING)))
        return events

    def recheck_in_s(self) -> float | None:
        """Seconds until an attempt of which nothing is known has to be looked at again."""
        return min(self._missing.values()) + self._lost_after_s - monotonic() if self._missing else None

    async def _told(self, name: str, job: Job, status: Status) -> list[Event]:
        now, state = self._clock(), job.state
        assert isinstance(state, Active)
        if status.phase is Phase.ORPHANED:
            return await self._unknown(name, job, now, sure=True)
        if status.phase is Phase.MISSING or (status.phase is Phase.ENDED and status.exit is None):
            return await self._unknown(name, job, now, sure=False)
        self._missing.pop(name, None)
        if status.exit is not None and status.phase is Phase.ENDED:
            exit_ = status.exit
            if (peak := self._gpu_peaks.get(job.id)) is not None:
                exit_ = replace(exit_, usage=replace(exit_.usage, gpu_mem_bytes=peak))
            return [AttemptEnded(now, job.id, state.attempt, exit_)]
        if isinstance(state, Starting) and status.pid is not None and status.phase is not Phase.PENDING:
            started_at = now if status.started_at is None else status.started_at
            return [LaunchAccepted(now, job.id, state.attempt, status.pid, started_at, status.how)]
        return []

    async def _unknown(self, name: str, job: Job, now: float, *, sure: bool) -> list[Event]:
        """How it ended is not known; if it may still be told, a verdict only after a second look."""
        since = self._missing.setdefault(name, monotonic())
        sure = sure or name in self._former
        if not sure and monotonic() - since < self._lost_after_s:
            return []
        del self._missing[name]
        clean = await self._executor.sweep(name)
        assert isinstance(job.state, Active)
        attempt = job.state.attempt
        folder = self._home.attempt(job.id, attempt)
        begun_in = _boot_of(folder)
        begun = begun_in is not None or _has_begun(folder)
        if not begun and isinstance(job.state, Starting):
            cause = "the scheduler stopped before it was launched"
            return [LaunchFailed(now, job.id, attempt, cause, interrupted=True)]
        log.warning("attempt %s is lost", name)
        if name in self._former if begun_in is None else begun_in != boot_id():
            return [Rebooted(now, job.id, attempt)]
        return [AttemptMissing(now, job.id, attempt, _cause(folder, begun=begun, clean=clean))]


def _has_begun(folder: Path) -> bool:
    """Whether a supervisor has claimed the attempt: it may have started the job."""
    return (folder / "output.log").exists()


def _cause(folder: Path, *, begun: bool, clean: bool) -> str:
    """Why nobody knows how an attempt ended, from what is left of it."""
    if not folder.exists():
        return "its job folder is gone, and with it what its supervisor wrote"
    if (folder / "supervisor.log").exists():
        return "its supervisor failed: see supervisor.log"
    if not begun:
        return "its supervisor was killed before the job began"
    stopped = "the job was stopped" if clean else "not all of the job could be stopped"
    return f"its supervisor was killed; {stopped}"


def _boot_of(folder: Path) -> str | None:
    """The boot in which an attempt was started; None when it never was."""
    try:
        return str(json.loads((folder / "pid.json").read_text(encoding="utf-8"))["boot_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def boot_id() -> str:
    """Which boot of the machine this is; empty where that cannot be told."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _call_soon(loop: asyncio.AbstractEventLoop, heard: Callable[[str], None], name: str) -> None:
    """The executor may tell from a thread of its own."""
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        heard(name)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(heard, name)
