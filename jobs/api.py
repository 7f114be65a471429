"""The only door for front ends: what a person can do to the queue, and what they can see of it.

Checks every wish before it is written, writes it as an intent, rings the scheduler, and reads consistent
snapshots. It never changes a job row and never talks to a job. Importing it stays cheap: recipes, sensors
and the rules load with the first call that needs them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from jobs.daemon import presence
from jobs.machine import Capacity, Sample
from jobs.model import GIB, Active, Ended, Held, Job, JobId, JobSpec, Needs, Paused, Queued, Running, Usage
from jobs.ports import BadInput, Clock, NeverFits, NotNow, Unreachable
from jobs.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY, Home, Settings
from jobs.store.intents import IntentKind, Intents, no_such_job
from jobs.store.queries import Queries, View, as_of_now
from jobs.views import (
    DaemonStatus,
    Headroom,
    HistoryEntry,
    JobQuery,
    NeedsRequest,
    Outlook,
    Preview,
    Snapshot,
    SubmitRequest,
)
from jobs.wakeup import Ringer, Watcher

if TYPE_CHECKING:
    from jobs.processes import Group, Process
    from jobs.sensing.viewer import Machine
    from jobs.submission import Resolver
    from jobs.tracking.model import ModelCard, RegisteredModel
    from jobs.tracking.registry import Registry
    from jobs.tracking.sweeps import Sweep
    from jobs.usage_trace import Moment
    from jobs.whatif import Replayed
    from recipes.discover import Catalogue, Finder
    from recipes.manifest import Problem, Recipe


class Api:
    """One installation, seen from a front end. May be shared by threads; close it when done.

    Every call can raise `Unreachable` when the files are locked, damaged or from a newer version. Reading
    never waits long; writing waits up to some seconds for its turn: a screen calls it off its own thread.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.home = home
        self.settings = settings
        self._clock = clock
        self._environ = environ
        self._opening = threading.RLock()
        self._writing = threading.Lock()
        self._queries: Queries | None = None
        self._intents: Intents | None = None
        self._read_file: tuple[int, int] | None = None
        self._written_file: tuple[int, int] | None = None
        self._machine: Machine | None = None
        self._finder: Finder | None = None
        self._last = Snapshot(0.0)
        self._wants_daemon = False

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. Safe to repeat; jobs and scheduler go on."""
        with self._opening, self._writing:
            if self._queries is not None:
                self._queries.close()
            if self._intents is not None:
                self._intents.close()
            if self._machine is not None:
                self._machine.close()
            self._queries = self._intents = self._machine = None

    # --- queueing ------------------------------------------------------------------------------

    def submit(self, requests: Sequence[SubmitRequest], *, sweep: bool = False) -> tuple[JobId, ...]:
        """Queue all of them or none, and return their ids in order; as a `sweep` they belong together.

        When it returns, the jobs survive a crash and a power cut, with or without a running scheduler
        (it does not start one: see `ensure_daemon`). Raises BadInput with what to type instead, NeverFits
        with the numbers, NoSuchJob for an unknown dependency.
        """
        resolver = self._resolver()
        specs: list[JobSpec] = []
        last: SubmitRequest | None = None
        for number, request in enumerate(requests, 1):
            if request is last:
                specs.append(specs[-1])
                continue
            spec, problems = resolver.resolve(request, keep=True)
            if spec is None:
                which = f"Job {number} of {len(requests)}: " if len(requests) > 1 else ""
                raise BadInput(which + " ".join(problems.values()))
            specs.append(spec)
            last = request
        return self._queue(specs, sweep=sweep)

    def preview(self, request: SubmitRequest) -> Preview:
        """What would happen to the request now; wrong fields are its `problems`, never an exception."""
        from jobs import forecast

        resolver = self._resolver()
        spec, problems = resolver.resolve(request, keep=False)
        if spec is None:
            return Preview(problems=problems)
        now, machine, status = self._clock(), self._measuring(), presence.look(self.home.lock)
        sample = machine.sample(now, status)
        with self._reading().snapshot() as view:
            known = view.states([after.job_id for after in spec.after])
            unknown = [after.job_id for after in spec.after if after.job_id not in known]
            if unknown:
                return Preview(spec.needs, problems={"after": no_such_job(unknown[0]).title})
            (spec,) = view.with_expected([spec])
            job = Job(view.next_id(), spec, Held(now) if spec.start_held else Queued(now), now)
            return forecast.preview(
                job, view, machine, status, rules=self.settings.admission, sample=sample
            )

    def retry(self, ids: Iterable[JobId], needs: NeedsRequest | None = None) -> tuple[JobId, ...]:
        """Queue each ended job again as a new job (`spec.retry_of`), and return the new ids in order.

        `needs` replaces what the person asked for, field by field. A dependency on a job that was itself
        retried becomes one on its newest retry. Raises NoSuchJob, NotNow (it has not ended), BadInput.
        """
        from jobs.submission import retried

        specs = []
        with self._reading().snapshot() as view:
            for job_id in dict.fromkeys(ids):
                job = view.job(job_id)
                if not isinstance(job.state, Ended):
                    state = job.state.name.replace("_", " ")
                    raise NotNow(f"Job {job_id} is {state}: only an ended job can be retried.")
                specs.append(retried(job, needs, view.newest_retry, self.home))
        return self._queue(specs)

    # --- control: all ids are checked before anything is written ---------------------------------

    def cancel(self, ids: Iterable[JobId]) -> None:
        """Stop running jobs and take waiting ones out. Raises NoSuchJob, NotNow (already ended)."""
        self._control(IntentKind.CANCEL, ids)

    def hold(self, ids: Iterable[JobId]) -> None:
        """Keep queued jobs from starting, and pause running ones. Raises NoSuchJob, NotNow."""
        self._control(IntentKind.HOLD, ids)

    def release(self, ids: Iterable[JobId]) -> None:
        """Let held jobs queue and paused ones go on. Raises NoSuchJob, NotNow."""
        self._control(IntentKind.RELEASE, ids)

    def set_priority(
        self, ids: Iterable[JobId], value: int | None = None, *, delta: int | None = None
    ) -> None:
        """Set (0..100) or shift the priority of waiting jobs; a shift stops at the ends of the range.

        Raises BadInput (outside 0..100, or not exactly one of both), NoSuchJob, NotNow (not waiting).
        """
        if (value is None) == (delta is None):
            raise BadInput("Give either a priority or a shift, not both.")
        if value is not None and not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
            raise BadInput(f"The priority must be a whole number from 0 to 100, not {value}.")
        self._control(IntentKind.PRIORITY, ids, {"value": value} if delta is None else {"delta": delta})

    def drain(self, on: bool) -> None:
        """While on, nothing new starts; running jobs go on."""
        with self._writer() as intents:
            intents.drain(on, self._clock())

    # --- reading -----------------------------------------------------------------------------------

    def jobs(self, query: JobQuery = JobQuery()) -> tuple[Job, ...]:  # noqa: B008 - frozen
        """The jobs that match, in the query's order, at most `query.limit`."""
        with self._reading().snapshot() as view:
            found, _ = view.jobs(query)
        return self._completed(found, presence.look(self.home.lock))

    def job(self, job_id: JobId) -> Job:
        """One job. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            found = view.job(job_id)
        return self._completed([found], presence.look(self.home.lock))[0]

    def sweep(self, job_id: JobId) -> Sweep:
        """The sweep that a job belongs to. Raises NoSuchJob, NotNow (it belongs to none)."""
        from jobs.tracking.sweeps import members, sweep_of

        with self._reading().snapshot() as view:
            spec = view.job(job_id).spec
            if spec.sweep is None:
                raise NotNow(f"Job {job_id} belongs to no sweep.", "List the jobs to see which do.")
            found = view.get(sorted(members(spec.sweep)))
        found = [job for job in found if job.spec.sweep == spec.sweep]
        recipe = None if spec.recipe is None else self.recipes().find(spec.recipe)
        return sweep_of(spec.sweep, found, getattr(recipe, "metrics", ()))

    def better_metrics(self, job: Job) -> Mapping[str, str]:
        """Which end of its metrics is better, "max" or "min", as far as its recipe says."""
        recipe = None if job.spec.recipe is None else self.recipes().find(job.spec.recipe)
        return dict(getattr(recipe, "metrics", ()))

    def explain(self, job_id: JobId) -> Job:
        """One job, its `reasons` complete while it waits, even with no scheduler, and with its forecast.

        Raises NoSuchJob.
        """
        status = presence.look(self.home.lock)
        capacity = self._measuring().capacity(status)
        with self._reading().snapshot() as view:
            (found,) = view.foreseen([view.job(job_id)], capacity, self.settings.admission)
        return self._completed([found], status)[0]

    def outlook(self, job_id: JobId) -> Outlook | None:
        """What stands behind the place of a waiting job, and what is foreseen; None when it does not wait.

        Runs the scheduler's rules forward, so it can take a second. Raises NoSuchJob.
        """
        from jobs import forecast

        now, machine, status = self._clock(), self._measuring(), presence.look(self.home.lock)
        sample = machine.sample(now, status)
        with self._reading().snapshot() as view:
            job = view.job(job_id)
            if not isinstance(job.state, Queued | Held):
                return None
            return forecast.outlook(
                job, view, machine, status, now=now, rules=self.settings.admission, sample=sample
            )

    def replayed(
        self,
        trace: Path | None,
        here: Capacity,
        *,
        changes: Sequence[str] = (),
        machine: tuple[float | None, int | None, int | None] | None = None,
        load: float | None = None,
        last: int = 4000,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[int, tuple[Replayed, ...]]:
        """What would have become of a trace, or (None) of the jobs that have run here: how many jobs, and a
        replay by these settings on the machine `here`, then, where anything is changed, one with that.

        `changes` are written like `admission.evict=false`; `machine` is cores, bytes of memory and GPUs,
        None for each that stays. It can take minutes. Raises BadInput.
        """
        from jobs import whatif

        rules = self.settings.admission
        changed = self.settings.changed(changes).admission
        boxes = [whatif.Machine().of(here)]
        if machine is not None or changed != rules:
            boxes.append(whatif.Machine(*(machine or ())).of(here))
        if trace is None:
            with self._reading().snapshot() as view:
                jobs = whatif.past(view.past(last), here)
        else:
            jobs = whatif.read_trace(trace)
        jobs = whatif.fitting(jobs, boxes, load=load, last=last)
        answers = []
        for number, box in enumerate(boxes):

            def part(share: float, done: int = number) -> None:
                progress((done + share) / len(boxes))

            answers.append(whatif.run(jobs, box, changed if number else rules, part))
        return len(jobs), tuple(answers)

    def headroom(self) -> Headroom | None:
        """What a job could get now, and who is next; None while the machine cannot be read."""
        from jobs import forecast

        now, machine, status = self._clock(), self._measuring(), presence.look(self.home.lock)
        sample = machine.sample(now, status)
        with self._reading().snapshot() as view:
            return forecast.headroom(
                view, machine, status, now=now, rules=self.settings.admission, sample=sample
            )

    def processes(self, shown: Collection[int] = ()) -> tuple[Group, ...]:
        """What runs on the machine, grouped by job, container or session. Rates are since the last call.

        Of the processes whose pids are `shown`, the command and the disk use are read as well.
        """
        from jobs.processes import groups

        status = presence.look(self.home.lock)
        with self._reading().snapshot() as view:
            active = view.active()
        jobs = {
            job.state.pid: (job.id, job.spec.name)
            for job in active
            if isinstance(job.state, Running | Paused)
        }
        own = () if status.pid is None else (status.pid,)
        return groups(self._measuring().processes(shown), jobs, own)

    def signal(self, processes: Iterable[Process], number: int) -> tuple[str, ...]:
        """Send a signal to these very processes; one sentence for each that did not get it."""
        from jobs.sensing.processes import send

        scheduler = presence.look(self.home.lock).pid
        said = []
        for process in processes:
            if process.pid == scheduler:
                said.append("That is the scheduler: stop it with cro-tui daemon --stop.")
            elif wrong := send(process.pid, process.started, number):
                said.append(wrong)
        return tuple(said)

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        """What happened to it, oldest first. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            if job_id not in view.states([job_id]):
                raise no_such_job(job_id)
            return view.history(job_id)

    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        """One consistent picture for a screen, with the machine's latest sample."""
        now = self._clock()
        status = presence.look(self.home.lock)
        machine = self._measuring()
        sample = machine.sample(now, status)
        try:
            with self._reading().snapshot() as view:
                found, matched = view.jobs(query)
                counts = view.counts()
                status = _with_meta(status, view)
        except Unreachable as error:
            return replace(self._last, at=now, sample=sample, daemon=status, note=error.title)
        jobs = self._completed(found, status, sample)
        self._last = Snapshot(now, jobs, matched, counts, machine.capacity(status), sample, status)
        return self._last

    def capacity(self) -> Capacity:
        """The machine's size."""
        return self._measuring().capacity(presence.look(self.home.lock))

    def box(self, cpus: float, mem_bytes: int, gpus: int) -> Capacity:
        """A machine of that size, to replay on."""
        from jobs.simulation.replay import box

        return box(cpus, mem_bytes / GIB, gpus)

    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """The log of an attempt (default: the latest, or the first to come); it may not exist yet."""
        return self._attempt(job_id, attempt) / "output.log"

    def events_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """What an attempt reports of itself (default: the latest); see `jobs.tracking.reports`."""
        return self._attempt(job_id, attempt) / "events.jsonl"

    def files_removed_at(self, job_id: JobId) -> float | None:
        """When the files of an ended job were removed to make room; None while they are there."""
        return self.home.removed_at(job_id)

    def usage_trace(self, job_id: JobId, attempt: int | None = None) -> tuple[Moment, ...]:
        """What an attempt used, second by second (default: the latest); empty before its first second."""
        from jobs import usage_trace

        return usage_trace.read(self._attempt(job_id, attempt) / "usage.jsonl")

    def log_line_at(self, job_id: JobId, moment: Moment) -> str:
        """The last line that the latest attempt's log had at that moment."""
        from jobs import usage_trace

        return usage_trace.line_at(self._attempt(job_id, None) / "output.log", moment.log_bytes)

    def output_dir(self, job_id: JobId, attempt: int | None = None) -> Path:
        """Where an attempt leaves its files (default: the latest); it may not exist yet."""
        return self._attempt(job_id, attempt) / "output"

    # --- recipes -----------------------------------------------------------------------------------

    def recipes(self) -> Catalogue:
        """Every recipe that can be found, and the problems of the broken ones.

        Folders in order: settings, ./recipes, the data folder's, the library; the first of a name wins.
        """
        from recipes.discover import Finder, library_folder

        named = [Path(folder).expanduser() for folder in self.settings.recipes.folders]
        with self._opening:
            self._finder = self._finder or Finder()
            folders = (*named, Path.cwd() / "recipes", self.home.recipes, library_folder())
            return self._finder.catalogue(folders)

    def recipe(self, name: str) -> Recipe:
        """One recipe by name. Raises BadInput naming near misses, or the problems of a broken one."""
        from jobs.submission import usable

        found = usable(self.recipes(), name)
        if isinstance(found, str):
            raise BadInput(found, "List the recipes to see their names.")
        return found

    def new_recipe(self, name: str, folder: str) -> Path:
        """Write a recipe to begin with into the folder. Raises BadInput."""
        from jobs.recipe_check import write_new

        return write_new(name, Path(folder).expanduser())

    def check_recipe(self, path: str, *, start: bool = True) -> tuple[Problem, ...]:
        """What is wrong with a recipe's file, by line; `start` tries it with --help. Raises BadInput."""
        from jobs.recipe_check import check

        return check(Path(path).expanduser(), start=start)

    # --- models ------------------------------------------------------------------------------------

    def models(self) -> tuple[RegisteredModel, ...]:
        """Every registered model with its versions."""
        return self._registry().names()

    def model(self, reference: str) -> tuple[ModelCard, RegisteredModel]:
        """The version that `name@alias`, `name:3` or `name` means, and its model. Raises BadInput."""
        registry = self._registry()
        card = registry.card(reference)
        return card, registry.model(card.name)

    def register_model(
        self, job_id: JobId, name: str, *, file: str | None = None, note: str = "", licence: str = ""
    ) -> tuple[ModelCard, bool]:
        """Make a version of what a job left, and say whether it is new. Its files are copied.

        Raises NoSuchJob, NotNow (it has not succeeded), BadInput.
        """
        from jobs.tracking.registering import register

        job = self.job(job_id)
        recipe = None if job.spec.recipe is None else self.recipes().find(job.spec.recipe)
        return register(
            self._registry(),
            job,
            self._attempt(job_id, None),
            name=name,
            file=file,
            note=note,
            licence=licence,
            better=getattr(recipe, "metrics", ()),
            dependencies=getattr(recipe, "dependencies", ()),
            now=self._clock(),
        )

    def promote_model(self, reference: str, alias: str) -> ModelCard:
        """Let the alias mean that version. Raises BadInput."""
        return self._registry().promote(reference, alias)

    def roll_back_model(self, name: str, alias: str) -> ModelCard:
        """Let the alias mean what it meant before. Raises BadInput, NotNow."""
        return self._registry().roll_back(name, alias)

    def export_model(self, reference: str, folder: str) -> Path:
        """Copy a version's files and card into a new folder. Raises BadInput."""
        return self._registry().export(reference, Path(folder).expanduser())

    def _registry(self) -> Registry:
        from jobs.tracking.registry import Registry

        return Registry(self.home.models)

    # --- waiting -----------------------------------------------------------------------------------

    def wait(self, ids: Iterable[JobId], timeout_s: float | None = None) -> tuple[Job, ...]:
        """Return the jobs, in the order asked, once all have ended, or as they stand at the time-out.

        Raises NoSuchJob, and Unreachable when no scheduler runs that could end them.
        """
        from jobs.waiting import until_ended

        wanted = tuple(ids)
        with contextlib.closing(self.watch()) as watcher:
            until_ended(
                wanted, self._reading(), watcher, timeout_s, lambda: presence.look(self.home.lock).running
            )
        with self._reading().snapshot() as view:
            found = {job.id: job for job in view.get(wanted)}
        return tuple(found[job_id] for job_id in wanted)

    def watch(self) -> Watcher:
        """A bell that rings after each change; close it. The scheduler stays while one is open."""
        self.home.make()
        watcher = Watcher(self.home.watchers)
        self._ring()  # so that the scheduler begins to publish what it measures
        return watcher

    # --- the scheduler -------------------------------------------------------------------------------

    def ensure_daemon(self) -> DaemonStatus:
        """Start a scheduler unless one runs, and wait until it answers.

        Raises Unreachable with the last lines of daemon.log when it does not come up.
        """
        self._wants_daemon = True
        status = self.daemon_status()
        if status.running:
            return status
        if not self.home.database.exists():
            self._reading()  # tables are made here: that library would stay in the scheduler's memory
        return presence.start(self.home)

    def daemon_status(self) -> DaemonStatus:
        """Whether a scheduler runs; never starts one."""
        status = presence.look(self.home.lock)
        if not self.home.database.exists():
            return status
        try:
            with self._reading().snapshot() as view:
                return _with_meta(status, view)
        except Unreachable as error:
            return replace(status, note=error.title)

    def serve(self) -> int:
        """Be the scheduler, in this process, until told to leave; 0 at the end, 3 when another one runs."""
        from jobs.daemon.__main__ import serve

        return serve(self.home)

    def stop_daemon(self) -> bool:
        """Ask the scheduler to leave and wait until it has; False when none ran. Jobs go on."""
        self._wants_daemon = False
        return presence.stop(self.home)

    # --- how it is done ------------------------------------------------------------------------------

    def _reading(self) -> Queries:
        with self._opening:
            if self._queries is None or self._replaced(self._read_file):
                self.home.make()
                self._queries = Queries(self.home.database)  # a thread may still use the old one
                self._read_file = _identity(self.home.database)
            return self._queries

    def _replaced(self, known: tuple[int, int] | None) -> bool:
        """Whether the database is another file by now: a damaged one was restored."""
        now = _identity(self.home.database)
        return now is not None and now != known

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Intents]:
        """The writing connection, for one thread at a time; the scheduler is rung afterwards."""
        with self._writing:
            if self._intents is not None and self._replaced(self._written_file):
                self._intents.close()
                self._intents = None
            if self._intents is None:
                self.home.make()
                self._intents = Intents(self.home.database)
                self._written_file = _identity(self.home.database)
            yield self._intents
            if self._replaced(self._written_file):
                raise Unreachable(
                    "The job database was restored from its backup at this moment, without this wish.",
                    "Look at the jobs, and do it again if it is missing.",
                )
        if not self._ring() and self._wants_daemon:  # it has just left by itself
            with contextlib.suppress(Unreachable):
                self.ensure_daemon()

    def _ring(self) -> bool:
        with contextlib.closing(Ringer()) as ringer:
            return ringer.ring(self.home.doorbell)

    def _measuring(self) -> Machine:
        from jobs.sensing.viewer import Machine

        with self._opening:
            if self._machine is None:
                self._machine = Machine(self.home.vitals)
            return self._machine

    def _resolver(self) -> Resolver:
        from jobs.submission import Resolver

        self.home.make()
        return Resolver(self.home, self.settings, self._environ, self.recipes)

    def _queue(self, specs: Sequence[JobSpec], *, sweep: bool = False) -> tuple[JobId, ...]:
        from jobs.policy.fits import never_fits

        if not specs:
            return ()
        capacity, rules = self.capacity(), self.settings.admission
        first: dict[Needs, JobSpec] = {}
        for spec in specs:  # the jobs of a sweep mostly ask for the same
            first.setdefault(spec.needs, spec)
        for spec in first.values():
            if tight := never_fits(capacity, rules, spec.needs):
                from jobs.forecast import sentences

                which = f"{spec.name}: " if len(specs) > 1 else ""
                raise NeverFits(which + sentences(tight), "Ask for less, or use a bigger machine.")
        with self._reading().snapshot() as view:
            timed = view.with_expected(specs)
        with self._writer() as intents:
            return intents.submit(timed, self._clock(), sweep=sweep)

    def _control(self, kind: IntentKind, ids: Iterable[JobId], body: object = None) -> None:
        wanted = tuple(dict.fromkeys(ids))
        if wanted:
            with self._writer() as intents:
                intents.control(kind, wanted, self._clock(), body)

    def _completed(
        self, jobs: Sequence[Job], status: DaemonStatus, sample: Sample | None = None
    ) -> tuple[Job, ...]:
        """With the live use of running jobs, and with the truth about who decides while they wait."""
        live: Mapping[JobId, Usage] = {}
        if status.running and any(isinstance(job.state, Active) for job in jobs):
            sample = sample or self._measuring().published(self._clock(), status)
            live = {} if sample is None else sample.jobs
        return tuple(as_of_now(job, live, status.running) for job in jobs)

    def _attempt(self, job_id: JobId, attempt: int | None) -> Path:
        with self._reading().snapshot() as view:
            found = view.get([job_id])
        if not found:
            raise no_such_job(job_id)
        return self.home.attempt(job_id, max(1, found[0].attempts) if attempt is None else attempt)


def _with_meta(status: DaemonStatus, view: View) -> DaemonStatus:
    """The status with what the store knows: whether it drains, and that it had to be restored."""
    note = status.note
    if told := view.meta("restored"):
        from jobs.store.backup import restored_note

        note = restored_note(told) or note
    return replace(status, draining=view.meta("draining") == "1", note=note)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
