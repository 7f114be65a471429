"""The daemon's loop: sleep until rung, one cycle, perform what it asked for, ring who watches.

Decides nothing itself. Whatever goes wrong in a cycle is logged, rolled back and read again from the store,
so that one bad job or one busy disk never ends the loop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from time import monotonic

from jobs.core.jobs import JobId, Paused, Running, Usage
from jobs.core.machine import Capacity, Sample
from jobs.core.ports import Clock, Sensor
from jobs.core.world import World
from jobs.daemon.alert_monitor import AlertMonitor
from jobs.daemon.attempts import Attempts, MeasuredExecutor, boot_id
from jobs.daemon.backups import Backups
from jobs.daemon.cycle import Cycle
from jobs.daemon.gpu_traces import GpuTraces
from jobs.daemon.mlflow_sync import MlflowSync
from jobs.daemon.retention import Retention
from jobs.engine.events import CapacityChanged, Sampled, WarmChanged
from jobs.engine.step import unfinished
from jobs.installation.home import Home
from jobs.installation.notify import Listener, Notifier
from jobs.installation.settings import Settings
from jobs.machine import latest_sample
from jobs.machine.latest_sample import LatestSample
from jobs.policy.memory_relief import memory_relief
from jobs.records import load_history
from jobs.store.backup import check_header, is_damage
from jobs.store.codec import USAGE, load_shares
from jobs.store.writer import Store

log = logging.getLogger(__name__)

SAMPLE_EVERY_S = 1.0
RING_EVERY_S = 0.005  # bursts of ends wake those who wait no oftener
STILL_FRESH_S = 0.95  # a little less, so that timers do not miss their own sample
LOOK_EVERY_S = 1.0  # for lost rings and dead watchers, while anything is going on
IDLE_LOOK_EVERY_S = 10.0
POLL_EVERY_S = 5.0
CAPACITY_EVERY_S = 60.0
SHORTEN_EVERY = 1000  # points of the load's history
AFTER_ERROR_S = 1.0
CLOCK_SET_S = 5.0  # a jump of the wall clock that makes every planned moment worthless


class Daemon:
    """Everything one scheduler process holds. Built by `jobs.daemon`, run once."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        store: Store,
        executor: MeasuredExecutor,
        sensor: Sensor,
        *,
        clock: Clock,
    ) -> None:
        self._home = home
        self._settings = settings
        self._store = store
        self._executor = executor
        self._sensor = sensor
        self._clock = clock
        self._mirrors = MlflowSync(home, on=settings.tracking.mlflow)
        self._attempts = Attempts(
            home,
            executor,
            store.meta("instance"),
            clock,
            lost_after_s=settings.daemon.lost_after_s,
            settings=settings.jobs,
            mirrors=self._mirrors,
        )
        self._ringer = Notifier()
        self._bell: Listener | None = None
        self._wake = asyncio.Event()
        self._leaving = False
        self._version = -1
        self._intents_due = True
        self._watched = 0
        self._watchers = home.subscriptions
        self._waiting = self._ring_due = False
        self._rang_at = self._looked_at = self._polled_at = -math.inf
        self._sized_at = self._busy_at = monotonic()
        self._clock_ahead_s = clock() - monotonic()
        self._poison: set[int] = set()
        self._cycle = Cycle(store, self._load(), self._poison)
        self._backups = Backups(home.database)
        self._pruning = Retention(home, settings.keep, settings.environments)
        self._alarms = AlertMonitor(home, settings)
        self._gpu_traces = GpuTraces(home)
        self._load_now: load_history.Open | None = None
        self._points = 0

    def leave(self) -> None:
        """Stop after the present cycle; running jobs go on."""
        self._leaving = True
        self._wake.set()

    async def run(self, on_ready: Callable[[], None]) -> bool:
        """Serve until told to leave, or until nothing has been left to do for long enough (True then)."""
        loop = asyncio.get_running_loop()
        self._attempts.listen(self._wake.set)
        self._open_bell(loop)
        try:
            await self._recover()
            self._publish(self._clock(), None)  # so that no front end has to measure the machine
            on_ready()
            while not self._leaving:
                await self._turn()
                if self._idle_too_long():
                    self._close_bell(loop)
                    if not self._store.has_intents():
                        log.info("leaving: nothing queued, running or watched")
                        break
                    self._open_bell(loop)
                    continue
                await self._sleep(loop)
            await self._attempts.finish()
            self._backups.finish()
            return not self._leaving
        finally:
            self._close_bell(loop)
            self._ringer.close()
            await self._executor.close()

    # --- one turn ------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        try:
            await self._work()
        except Exception as error:
            if is_damage(error):
                raise
            log.exception("a cycle failed; reading everything again")
            await self._read_again()

    async def _read_again(self) -> None:
        """Forget what was in memory and believe the store, as soon as it can be read."""
        while not self._leaving:
            await asyncio.sleep(AFTER_ERROR_S)
            try:
                self._store.rollback()
                self._cycle = Cycle(self._store, self._load(), self._poison)
            except Exception as error:
                if is_damage(error):
                    raise
                log.exception("the store cannot be read; trying again")
                continue
            self._intents_due = True
            self._polled_at = -math.inf
            self._wake.set()
            return

    async def _work(self) -> None:
        self._mind_the_clock()
        cycle, now = self._cycle, self._clock()
        self._wake.clear()
        await self._hear()  # before the first write: nothing waits while the database is locked
        self._look()
        if self._intents_due:
            self._intents_due = cycle.take_intents(now)
            if self._intents_due:
                self._wake.set()
        self._sample(now)
        now = self._clock()
        if (cycle.due or cycle.is_time(now)) and (self._store.waiting() or memory_relief(cycle.world)):
            cycle.decide(now)
        self._keep_warm(now)
        for job_id in self._pruning.tick():
            self._store.record(job_id, now, "files removed", None, "its log and output, to make room")
        changed = cycle.commit(now)
        self._waiting = self._store.waiting()
        effects, cycle.todo = cycle.todo, []
        self._attempts.perform(effects, cycle.world.capacity.all_devices)
        for job in cycle.ended:
            self._attempts.forget(job.id, job.attempts)
        self._mirrors.tick(ended=bool(cycle.ended))
        cycle.ended.clear()
        self._backups.tick(changed=changed)
        self._ring_due |= changed
        if self._ring_due and monotonic() - self._rang_at >= RING_EVERY_S:
            self._ring_due, self._rang_at = False, monotonic()
            self._watched = self._ringer.notify_all(self._watchers)

    def _keep_warm(self, now: float) -> None:
        world = self._cycle.world
        if world.warm or any(job.spec.framework for job in world.jobs.values()):
            warm = self._attempts.keep_warm(world)
            if warm != world.warm:
                self._cycle.apply(WarmChanged(now, warm))

    def _mind_the_clock(self) -> None:
        """Once the clock was set, forget every moment that was reckoned by it."""
        before_s, self._clock_ahead_s = self._clock_ahead_s, self._clock() - monotonic()
        if abs(self._clock_ahead_s - before_s) > CLOCK_SET_S:
            log.warning("the clock was set by %+.0f s", self._clock_ahead_s - before_s)
            self._cycle = Cycle(self._store, self._load(), self._poison)
            self._intents_due = True

    async def _hear(self) -> None:
        """News of attempts; all of them are asked now and then, should a word have been lost."""
        recheck_s = self._attempts.recheck_in_s()
        everyone = monotonic() - self._polled_at >= POLL_EVERY_S or (
            recheck_s is not None and recheck_s <= 0
        )
        if everyone:
            self._polled_at = monotonic()
        jobs = self._cycle.world.jobs.values()
        for event in await self._attempts.news(jobs, everyone=everyone):
            self._cycle.apply(event)

    def _look(self) -> None:
        """Find rings that were lost, watchers that died, and a database that was overwritten."""
        now = monotonic()
        rang = self._bell is not None and self._bell.clear()
        self._intents_due |= rang
        if not rang and now - self._looked_at < (LOOK_EVERY_S if self._busy() else IDLE_LOOK_EVERY_S):
            return
        self._looked_at = now
        if not self._home.database.exists():
            log.warning("leaving: the state folder is gone")
            self.leave()
        else:
            check_header(self._home.database)
        self._watched = self._ringer.count(self._watchers)
        version = self._store.data_version()
        if version != self._version:
            self._version = version
            self._intents_due = True

    def _sample(self, now: float) -> None:
        """Read the machine once a second while anybody needs to know."""
        if not self._busy():
            return
        world = self._cycle.world
        age = None if world.sample is None else now - world.sample.at
        if age is not None and 0 <= age < STILL_FRESH_S:
            return
        names = self._attempts.names(world.jobs.values())
        used = self._executor.usage(list(names)) if names else {}
        jobs: dict[JobId, Usage] = {names[name].id: usage for name, usage in used.items()}
        supervisors = {
            job.state.pid: job.id for job in names.values() if isinstance(job.state, Running | Paused)
        }
        try:
            sample = self._sensor.read(now, jobs, supervisors, self._executor.own_cpu_s() + _own_cpu_s())
        except Exception:
            log.exception("the machine could not be read")
            sample = None
        if monotonic() - self._sized_at >= CAPACITY_EVERY_S or _other_devices(sample, world.capacity):
            self._sized_at = monotonic()
            capacity = self._sensor.capacity()
            if capacity != world.capacity:
                self._cycle.apply(CapacityChanged(now, capacity))
        if sample is not None:
            sample = self._alarms.tick(sample, self._cycle.world.capacity, names.values())
        self._cycle.apply(Sampled(now, sample))
        if sample is not None:
            self._attempts.seen(sample.jobs)
            self._gpu_traces.write(sample, names.values())
            self._remember(sample)
        self._publish(now, sample)

    def _remember(self, sample: Sample) -> None:
        """Keep the load of the last day for whoever looks back."""
        shares = load_history.shares_of(sample, self._cycle.world.capacity)
        self._load_now, point = load_history.added(self._load_now, sample.at, shares)
        if point is None:
            return
        try:
            load_history.append(self._home.load_history, [point])
            self._points += 1
            if self._points % SHORTEN_EVERY == 1:
                load_history.shorten(self._home.load_history)
        except OSError as error:
            log.warning("the load's history cannot be written: %s", error)

    def _publish(self, now: float, sample: Sample | None) -> None:
        world = self._cycle.world
        try:
            latest_sample.write(
                self._home.latest_sample, LatestSample(os.getpid(), now, world.capacity, world.gate, sample)
            )
        except OSError as error:
            log.warning("vitals cannot be written: %s", error)

    # --- start, sleep, leave -----------------------------------------------------------------------------

    def _load(self) -> World:
        """The world as the store has it: active jobs now, the head of the queue at the first decision."""
        active = {job.id: job for job in self._store.active()}
        usage_at, usage, backlog_s = load_shares(self._store.meta(USAGE))
        return World(
            now=self._clock(),
            capacity=self._sensor.capacity(),
            settings=self._settings.admission,
            jobs=active,
            draining=self._store.meta("draining") == "1",
            usage=usage,
            usage_at=usage_at,
            backlog_s=backlog_s,
            backlog_at=usage_at,
        )

    async def _recover(self) -> None:
        """Learn first what became of every attempt, decide afterwards."""
        self._polled_at = monotonic()
        known, now = self._store.meta("boot_id"), boot_id()
        if known != now:
            if known:
                self._attempts.begun_before_boot(self._cycle.world.jobs.values())
            self._store.set_meta("boot_id", now)
        for event in await self._attempts.news(self._cycle.world.jobs.values(), everyone=True):
            self._cycle.apply(event)
        self._cycle.todo += unfinished(self._cycle.world)
        self._wake.set()

    async def _sleep(self, loop: asyncio.AbstractEventLoop) -> None:
        delays_s = [SAMPLE_EVERY_S if self._busy() else IDLE_LOOK_EVERY_S]
        if self._ring_due:
            delays_s.append(self._rang_at + RING_EVERY_S - monotonic())
        if self._waiting and (decide_at := self._cycle.next_at()) is not None:
            delays_s.append(decide_at - self._clock())
        if (recheck_s := self._attempts.recheck_in_s()) is not None:
            delays_s.append(recheck_s)
        timer = loop.call_later(max(0.001, min(delays_s)), self._wake.set)
        await asyncio.sleep(0)  # an event that is set already lets nobody else run
        await self._wake.wait()
        timer.cancel()

    def _busy(self) -> bool:
        """Whether anything runs, waits or watches."""
        return bool(self._watched or self._cycle.world.jobs) or self._waiting

    def _idle_too_long(self) -> bool:
        if self._busy():
            self._busy_at = monotonic()
        idle_exit_s = self._settings.daemon.idle_exit_s
        return idle_exit_s > 0 and monotonic() - self._busy_at >= idle_exit_s

    def _open_bell(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bell = Listener(self._home.scheduler_socket)
        self._intents_due = True
        loop.add_reader(self._bell.fileno(), self._wake.set)

    def _close_bell(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._bell is not None:
            loop.remove_reader(self._bell.fileno())
            self._bell.close()
            self._bell = None


def _other_devices(sample: Sample | None, capacity: Capacity) -> bool:
    """Whether the driver answers for other devices than are known, as when MIG instances were made."""
    if sample is None or sample.gpu_note is not None:
        return False
    return {each.uuid for each in sample.devices} != {each.uuid for each in capacity.all_devices}


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system
