"""One wake-up of the daemon: wishes and news in, one transaction, and a list of things to do out.

Steps the engine, writes what it asks to be written, and answers its questions from the store. It performs
nothing on the machine: the caller does that with `todo`, after `commit`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace

from jobs.core.jobs import DependencyKind, Ended, Held, Job, JobId, Queued, StateName, Succeeded
from jobs.core.world import World
from jobs.daemon.estimates import Estimates
from jobs.daemon.forecaster import Forecaster
from jobs.engine.events import (
    BecameReady,
    CancelRequested,
    CheckpointResult,
    Decide,
    DependencyFailed,
    DrainChanged,
    Effect,
    Event,
    ForecastsMade,
    HeadLoaded,
    HoldRequested,
    LaunchAccepted,
    PriorityChanged,
    ReasonsChanged,
    Record,
    ReleaseRequested,
    Resumed,
    Save,
    SettleDependents,
    Submitted,
    WakeAt,
)
from jobs.engine.step import step, wants_head
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.policy.decide import waiting_order
from jobs.policy.window import rank
from jobs.store.codec import ESTIMATES, USAGE, dump_errors, dump_shares, load_errors
from jobs.store.intents import IntentKind
from jobs.store.writer import Intent, Store

INTENTS_AT_ONCE = 1000
LOAD_AFTER = 100  # intents at once after which the head of the queue is read again
WHOLE_EVERY_S = 0.5  # between decisions that look at the whole window, with estimates and fresh reasons
HEAD_EVERY_S = 2.0  # while more jobs wait than are held: a class may have run out, or another come forward
USAGE_EVERY_S = 60.0
FRONT = 32  # waiting jobs that the quick decisions in between look at


class Cycle:
    """The world in memory and the store behind it, moved on together.

    `due`: something has happened since the last decision that can change the next one.
    """

    def __init__(self, store: Store, world: World, poison: set[int]) -> None:
        """`poison` holds the ids of intents that made a cycle fail; they are put aside in the next one."""
        self._store = store
        self._poison = poison
        self.world = world
        self.todo: list[Effect] = []
        self.ended: list[Job] = []
        self.wake_at: float | None = None
        self.due = True
        self._foresight = Forecaster(store)
        self._estimates = Estimates(load_errors(store.meta(ESTIMATES)))
        self._places: dict[JobId, int] = {}  # of the waiting jobs at the last decision of the whole window
        self._reasons: dict[JobId, ReasonsChanged] = {}
        self._new: set[JobId] = set()
        self._whole_at = self._head_at = self._usage_kept_at = 0.0
        self._whole_due = False

    def apply(self, event: Event) -> None:
        """Step the engine, and on through everything that follows from it."""
        events = deque([event])
        while events:
            event = events.popleft()
            self.due |= not isinstance(event, LaunchAccepted)
            self.world, effects = step(self.world, event)
            for effect in effects:
                match effect:
                    case Save(job):
                        self._save(job)
                    case Record(at, job_id, word, attempt, detail):
                        self._store.record(job_id, at, word, attempt, detail)
                    case ReasonsChanged():
                        self._reasons[effect.job_id] = effect
                        self._estimates.tell(effect, self.world.now)
                    case CheckpointResult(spec, saved, took_s):
                        self._foresight.learn_save(spec, saved, took_s)
                    case Resumed(spec, took_s):
                        self._foresight.learn_restart(spec, took_s)
                    case SettleDependents():
                        events += self._settle(effect)
                    case WakeAt(at):
                        self.wake_at = at
                    case _:
                        self.todo.append(effect)

    def take_intents(self, now: float) -> bool:
        """Turn the next wishes into events; whether there are more."""
        intents = self._store.intents(INTENTS_AT_ONCE)
        if len(intents) > LOAD_AFTER:  # cheaper than to place each of them
            self.world = replace(self.world, queued_outside_window=None)
        for intent in intents:
            if intent.id in self._poison:
                self._store.put_aside(intent.id, "the scheduler failed over it; see daemon.log")
                continue
            try:
                for event in self._events(intent, now):
                    self.apply(event)
            except Exception:
                self._poison.add(intent.id)
                raise
        self._store.drop_intents([intent.id for intent in intents])
        return self._store.has_intents()

    def decide(self, now: float) -> None:
        """Load the head of the queue where it has run low, and start what may start.

        While much happens, most decisions look at the front of the queue only: what they do not start, the
        next one of the whole window does.
        """
        rules = self.world.settings
        stale = (
            rules.learned_order
            and bool(self.world.queued_outside_window)
            and abs(now - self._head_at) >= HEAD_EVERY_S
        )
        if stale or wants_head(self.world):
            self._head_at = now
            head = self._store.window(rules.window, by_class=rules.learned_order)
            self.apply(
                HeadLoaded(
                    now, tuple(head), self._store.queued_outside_window(len(head)), self._fates(head)
                )
            )
        whole = now - self._whole_at >= WHOLE_EVERY_S or now < self._whole_at
        if forecasts := self._foresight.forecasts(self.world, fresh=whole):
            self.apply(ForecastsMade(now, forecasts))
        if whole:
            self._whole_at, self._whole_due = now, False
            self.apply(Decide(now))
            if self.world.usage and abs(now - self._usage_kept_at) >= USAGE_EVERY_S:
                self._usage_kept_at = now
                shares = dump_shares(self.world.usage_at, self.world.usage, self.world.backlog_s)
                self._store.set_meta(USAGE, shares)
                self._store.set_meta(ESTIMATES, dump_errors(self._estimates.errors))
            self._places = {job_id: place for place, job_id in enumerate(waiting_order(self.world))}
        else:
            self._whole_due = True
            self._decide_front(now)
        self.due = False

    def commit(self, now: float) -> bool:
        """Write it all down; whether anything changed."""
        for changed in self._reasons.values():
            self._store.set_reasons(changed.job_id, changed.reasons, changed.estimated_start_at)
        self._reasons.clear()
        self._quarantine(now)
        return self._store.commit()

    def next_at(self) -> float | None:
        """When to wake again even if nothing happens, for what was put off or is foreseen."""
        whole_at = self._whole_at + WHOLE_EVERY_S if self._whole_due else None
        return min((at for at in (whole_at, self.wake_at) if at is not None), default=None)

    def is_time(self, now: float) -> bool:
        """Whether what was put off or foreseen is to be decided now."""
        at = self.next_at()
        return at is not None and now >= at

    # --- how it is done ------------------------------------------------------------------------------

    def _decide_front(self, now: float) -> None:
        """Decide on a copy of the world with those waiting jobs alone that stood first at the last look."""
        world = self.world
        waiting = [job for job in world.jobs.values() if isinstance(job.state, Queued)]
        last = len(self._places)
        ordered = sorted(waiting, key=lambda job: (self._places.get(job.id, last), rank(job)))
        behind = {job.id for job in ordered[FRONT:]} - set(world.promised)
        if behind:
            front = {job_id: job for job_id, job in world.jobs.items() if job_id not in behind}
            self.world = replace(world, jobs=front)
        self.apply(Decide(now, estimate=False))
        if behind:
            self.world = replace(self.world, jobs={**world.jobs, **self.world.jobs})

    def _save(self, job: Job) -> None:
        self._reasons.pop(job.id, None)
        if job.id in self._new:
            self._new.discard(job.id)
            self._store.insert(job)
        else:
            self._store.save(job)
        if isinstance(job.state, Ended) and job.attempts:
            self.ended.append(job)
        if isinstance(job.state, Succeeded):
            self._foresight.learn(job)
        elif not isinstance(job.state, Queued):
            self._estimates.settle(job)

    def _settle(self, effect: SettleDependents) -> list[Event]:
        ready, never = self._store.settle(effect.job_id, effect.met, effect.never)
        jobs = self._store.get([*ready, *never])
        now = self.world.now
        became = [jobs[job_id] for job_id in ready if job_id in jobs]
        fates = self._fates(became)
        return [
            *(BecameReady(now, job, fates) for job in became),
            *(
                DependencyFailed(now, jobs[i], effect.job_id, effect.state, effect.cause)
                for i in never
                if i in jobs
            ),
        ]

    def _events(self, intent: Intent, now: float) -> list[Event]:
        if intent.kind is IntentKind.DRAIN:
            self._store.set_meta("draining", "1" if intent.body else "0")
            return [DrainChanged(now, bool(intent.body))]
        if intent.job_id is None:
            return []
        if intent.kind is IntentKind.SUBMIT:
            state = Held(now) if intent.body.start_held else Queued(now)
            job = Job(intent.job_id, intent.body, state, intent.at)
            self._new.add(job.id)
            return [Submitted(now, job, self._fates([job]))]
        known = self.world.jobs.get(intent.job_id) or self._store.get([intent.job_id]).get(intent.job_id)
        if known is None:
            return []
        match intent.kind:
            case IntentKind.CANCEL:
                return [CancelRequested(now, known, _cause(intent.body))]
            case IntentKind.HOLD:
                return [HoldRequested(now, known)]
            case IntentKind.RELEASE:
                return [ReleaseRequested(now, known, self._fates([known]))]
            case _:
                return [PriorityChanged(now, known, _priority(known, intent.body), self._fates([known]))]

    def _fates(self, jobs: Collection[Job]) -> Mapping[JobId, StateName]:
        wanted = {after.job_id for job in jobs for after in job.spec.after}
        return self._store.dependency_states(wanted) if wanted else {}

    def _quarantine(self, now: float) -> None:
        """Rows that cannot be read are put aside as lost, and those who wait for them are told."""
        while self._store.unreadable:
            row = self._store.unreadable.pop()
            self._store.quarantine(row.job_id, f"its record in the database is damaged: {row.cause}", now)
            self._store.record(row.job_id, now, StateName.LOST, None, row.cause)
            settled = SettleDependents(
                row.job_id, StateName.LOST, frozenset({DependencyKind.ANY}), frozenset({DependencyKind.OK})
            )
            for event in self._settle(settled):
                self.apply(event)


def _cause(body: object) -> str:
    """Why a job is cancelled, where that was not a person; at most a line."""
    return body[:200] if isinstance(body, str) else ""


def _priority(job: Job, body: object) -> int:
    """The priority that an intent asks for, within the range; a damaged one changes nothing."""
    wanted: object = job.spec.priority
    if isinstance(body, dict):
        wanted = body.get("value")
        if isinstance(body.get("delta"), int):
            wanted = job.spec.priority + body["delta"]
    if not isinstance(wanted, int):
        return job.spec.priority
    return min(max(wanted, LOWEST_PRIORITY), HIGHEST_PRIORITY)
