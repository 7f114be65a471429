"""A small in-memory source with the parts that the screen calls, for tests of the screen alone.

Keeps its jobs in a dict, remembers each call, and can be told to fail or to hang.
"""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jobs.core.jobs import (
    GIB,
    MIB,
    Cancelled,
    Dependency,
    Ended,
    Failed,
    Grant,
    Held,
    Job,
    JobId,
    JobSpec,
    Needs,
    OutOfMemory,
    Queued,
    Reason,
    ReasonCode,
    Running,
    State,
    Succeeded,
    Unit,
    Usage,
)
from jobs.core.machine import Capacity, Device, DeviceSample, Pressure, Sample
from jobs.core.ports import CroError
from jobs.core.requests import (
    DaemonStatus,
    FirstRun,
    Headroom,
    HistoryEntry,
    JobGroup,
    JobQuery,
    ListRow,
    NeedsRequest,
    Preview,
    Snapshot,
    SortKey,
    StartEstimate,
    SubmitRequest,
)
from jobs.core.sweeps import GroupRuns, RunColumns, SweepSummary, columns_of, runs_of, sweep_of
from jobs.core.tracking import Curve, ModelCard, RegisteredModel
from jobs.kinds.service import Service
from jobs.machine.process_groups import GroupKind, Process, ProcessGroup
from jobs.records.curves import read_curves
from jobs.records.load_history import Point
from jobs.records.usage_trace import Moment
from jobs.registry.store import Registry

NOW = 1_764_072_240.0


@dataclass(frozen=True)
class FakeParam:
    name: str
    type: str
    default: int | float | bool | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class FakeNeeds:
    cpus: float | None = 2.0
    mem_bytes: int | None = 2 * GIB
    gpus: int | None = None
    gpu_mem_bytes: int | None = None
    time_limit_s: float | None = 600.0


@dataclass(frozen=True)
class FakeRecipe:
    name: str
    title: str = "A recipe"
    framework: str = "sklearn"
    kind: str = "train"
    description: str = "Learns something."
    on_reboot: str = "requeue"
    dependencies: tuple[str, ...] = ("scikit-learn>=1.6",)
    needs: FakeNeeds = FakeNeeds()
    params: tuple[FakeParam, ...] = ()
    path: Path = Path("library/recipe.py")


@dataclass(frozen=True)
class FakeProblem:
    line: int
    message: str


@dataclass(frozen=True)
class FakeBroken:
    name: str
    problems: tuple[FakeProblem, ...]
    path: Path = Path("recipes/broken.py")


@dataclass(frozen=True)
class FakeCatalogue:
    entries: tuple[Any, ...]

    @property
    def recipes(self) -> tuple[FakeRecipe, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, FakeRecipe))


FOREST = FakeRecipe(
    "sklearn_forest",
    "Random forest",
    params=(
        FakeParam("data", "path", "digits", choices=("digits", "wine"), help="a data set, or a file"),
        FakeParam("n_estimators", "int", 200, 1, 5000, help="trees"),
        FakeParam("test_share", "float", 0.25, 0.05, 0.5, help="held out"),
        FakeParam("shuffle", "bool", True, help="mix the rows first"),
    ),
)
CATALOGUE = FakeCatalogue(
    (
        FakeBroken("broken", (FakeProblem(7, 'Unknown key "titel". Did you mean "title"?'),)),
        FOREST,
        FakeRecipe("sklearn_linear", "Linear model"),
        FakeRecipe("tf_deep", "Deeper network", "tensorflow"),
    )
)


class FakeBell:
    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)

    def fileno(self) -> int:
        return self._read

    def ring(self) -> None:
        os.write(self._write, b"!")

    def clear(self) -> bool:
        try:
            return bool(os.read(self._read, 64))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@dataclass
class FakeSource:
    """Give it jobs; `calls` has what was asked of its parts, in order, like ("jobs.hold", (3,))."""

    logs: Path
    removed: set[JobId] = field(default_factory=set)
    by_id: dict[JobId, Job] = field(default_factory=dict)
    capacity: Capacity = field(default_factory=lambda: Capacity(16, 64 * GIB))
    sample: Sample | None = None
    daemon: DaemonStatus = field(default_factory=lambda: DaemonStatus(True, 77, NOW - 273_600))
    note: str = ""
    fails: CroError | None = None
    catalogue: FakeCatalogue = CATALOGUE
    free: Headroom | None = None
    process_groups: tuple[ProcessGroup, ...] = ()
    points: tuple[Point, ...] = ()
    traces: dict[JobId, tuple[Moment, ...]] = field(default_factory=dict)
    outlooks: dict[JobId, StartEstimate] = field(default_factory=dict)
    preview_answer: Preview = field(default_factory=lambda: Preview(Needs(), starts_now=True))
    calls: list[tuple[str, Any]] = field(default_factory=list)
    served: tuple[tuple[Job, Service | None], ...] = ()
    groups_of_jobs: tuple[JobGroup, ...] = ()
    swept: GroupRuns | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    now: float = NOW
    bell: FakeBell | None = None

    def __post_init__(self) -> None:
        self.gate.set()
        self.jobs = FakeJobs(self)
        self.runs = FakeRuns(self)
        self.groups = FakeGroups(self)
        self.forecasts = FakeForecasts(self)
        self.recipes = FakeRecipes(self)
        self.models = FakeModels(self)
        self.services = FakeServices(self)
        self.machine = FakeMachine(self)
        self.scheduler = FakeScheduler(self)

    @property
    def registry(self) -> Registry:
        return Registry(self.logs / "models")

    def add(self, *jobs: Job) -> None:
        self.by_id |= {job.id: job for job in jobs}

    def called(self, name: str) -> list[Any]:
        part, call = name.split(".")
        assert hasattr(getattr(self, part), call), f"no part has {name}"
        return [given for called, given in self.calls if called == name]

    def enter(self, name: str, given: Any) -> None:
        """What every call of a part begins with."""
        self.calls.append((name, given))
        self.gate.wait(30)
        if self.fails is not None:
            raise self.fails


class FakePart:
    """Some of a source's calls."""

    def __init__(self, source: FakeSource) -> None:
        self._source = source


class FakeJobs(FakePart):
    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        source = self._source
        source.gate.wait(30)
        if source.fails is not None:
            raise source.fails
        found = [job for job in source.by_id.values() if _matches(job, query)]
        if query.before is not None:
            found = [job for job in found if isinstance(job.state, Ended) and _end(job) < query.before]
        if query.sort is SortKey.ID:
            found.sort(key=lambda job: job.id)
        elif query.sort is SortKey.NAME:
            found.sort(key=lambda job: job.spec.name)
        counts = Counter(job.state.name for job in source.by_id.values())
        shown = self._folded(found, query) if query.folds else tuple(found[: query.limit])
        return Snapshot(
            source.now, shown, len(found), counts, source.capacity, source.sample, source.daemon,
            source.note,
        )  # fmt: skip

    def _folded(self, found: list[Job], query: JobQuery) -> tuple[ListRow, ...]:
        """Groups first, each with its jobs below while it is unfolded, then the jobs that stand alone."""
        rows: list[ListRow] = []
        leads = {group.id for group in self._source.groups_of_jobs}
        for group in self._source.groups_of_jobs:
            rows.append(group)
            if group.id in query.unfolded:
                rows += [
                    job for job in found if job.spec.group is not None and job.spec.group[0] == group.id
                ]
        rows += [job for job in found if job.spec.group is None or job.spec.group[0] not in leads]
        return tuple(rows[: query.limit])

    def submit(self, requests: Sequence[SubmitRequest]) -> tuple[JobId, ...]:
        self._source.enter("jobs.submit", tuple(requests))
        ids = []
        for request in requests:
            job_id = JobId(max(self._source.by_id, default=0) + 1)
            name = request.name or request.recipe or request.argv[0]
            self._source.add(job(job_id, name, Queued(self._source.now)))
            ids.append(job_id)
        return tuple(ids)

    def retry(self, ids: Iterable[JobId], needs: NeedsRequest | None = None) -> tuple[JobId, ...]:
        self._source.enter("jobs.retry", (tuple(ids), needs))
        job_id = JobId(max(self._source.by_id) + 1)
        self._source.add(job(job_id, "again", Queued(self._source.now)))
        return (job_id,)

    def cancel(self, ids: Iterable[JobId]) -> None:
        self._source.enter("jobs.cancel", tuple(ids))

    def hold(self, ids: Iterable[JobId]) -> None:
        self._source.enter("jobs.hold", tuple(ids))

    def release(self, ids: Iterable[JobId]) -> None:
        self._source.enter("jobs.release", tuple(ids))

    def set_priority(
        self, ids: Iterable[JobId], value: int | None = None, *, delta: int | None = None
    ) -> None:
        self._source.enter("jobs.set_priority", (tuple(ids), delta))

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        return (
            HistoryEntry(self._source.now - 60, "submitted"),
            HistoryEntry(self._source.now - 30, "started", 1, "pid 7"),
        )


class FakeRuns(FakePart):
    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        return self._source.logs / f"{job_id}.log"

    def events_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        return self._source.logs / f"{job_id}.jsonl"

    def curves(self, job_id: JobId) -> dict[str, Curve]:
        self._source.enter("runs.curves", job_id)
        return read_curves(self.events_path(job_id))

    def usage_trace(self, job_id: JobId, attempt: int | None = None) -> tuple[Moment, ...]:
        self._source.enter("runs.usage_trace", job_id)
        return self._source.traces.get(job_id, ())

    def log_line_at(self, job_id: JobId, moment: Moment) -> str:
        self._source.enter("runs.log_line_at", moment)
        return f"line of {moment.log_bytes} \x1b[2J"

    def retry_origin(self, job: Job) -> FirstRun | None:
        before = self._source.by_id.get(job.spec.retry_of or JobId(0))
        return None if before is None else FirstRun(before)

    def files_removed_at(self, job_id: JobId) -> float | None:
        return self._source.now - 3 * 86_400 if job_id in self._source.removed else None


class FakeGroups(FakePart):
    def summary(self, job_id: JobId) -> SweepSummary:
        job = self._source.by_id[job_id]
        assert job.spec.group is not None
        counts = Counter(each.state.name for each in self._source.by_id.values())
        return sweep_of(job.spec.group, self._source.by_id.values(), counts, ())

    def runs(self, job_id: JobId) -> GroupRuns:
        self._source.enter("groups.runs", job_id)
        assert self._source.swept is not None
        return self._source.swept

    def failed(self, job_id: JobId) -> tuple[Job, ...]:
        self._source.enter("groups.failed", job_id)
        members = (job for job in self._source.by_id.values() if job.spec.group is not None)
        return tuple(job for job in members if isinstance(job.state, Failed))

    def cancel(self, job_id: JobId) -> int:
        self._source.enter("groups.cancel", job_id)
        return 1

    def hold(self, job_id: JobId) -> int:
        self._source.enter("groups.hold", job_id)
        return 1

    def release(self, job_id: JobId) -> int:
        self._source.enter("groups.release", job_id)
        return 1

    def set_priority(self, job_id: JobId, value: int | None = None, *, delta: int | None = None) -> int:
        self._source.enter("groups.set_priority", (job_id, value, delta))
        return 1


class FakeForecasts(FakePart):
    def preview(self, request: SubmitRequest) -> Preview:
        self._source.enter("forecasts.preview", request)
        answer = self._source.preview_answer
        problems = {
            name: f"{name} must be a whole number."
            for name, value in request.params.items()
            if name == "n_estimators" and not str(value).isdecimal()
        }
        return replace(answer, problems=problems) if problems else answer

    def explain(self, job_id: JobId) -> Job:
        return self._source.by_id[job_id]

    def start_estimate(self, job_id: JobId) -> StartEstimate | None:
        self._source.enter("forecasts.start_estimate", job_id)
        return self._source.outlooks.get(job_id)

    def headroom(self) -> Headroom | None:
        self._source.enter("forecasts.headroom", None)
        return self._source.free


class FakeRecipes(FakePart):
    def catalogue(self) -> FakeCatalogue:
        self._source.enter("recipes.catalogue", None)
        return self._source.catalogue

    def better_metrics(self, name: str | None) -> dict[str, str]:
        return {"accuracy": "max", "loss": "min"}


class FakeModels(FakePart):
    def list(self) -> tuple[RegisteredModel, ...]:
        self._source.enter("models.list", None)
        return self._source.registry.names()

    def register(self, job_id: JobId, name: str) -> tuple[ModelCard, bool]:
        self._source.enter("models.register", (job_id, name))
        card = {"name": name, "flavor": "sklearn", "job_id": job_id, "attempt": 1, "registered_at": NOW}
        output = self._source.logs / "output"
        output.mkdir(exist_ok=True)
        (output / "model.joblib").write_bytes(name.encode())
        return self._source.registry.register(output, ["model.joblib"], card)

    def promote(self, reference: str, alias: str) -> ModelCard:
        self._source.enter("models.promote", (reference, alias))
        return self._source.registry.promote(reference, alias)

    def roll_back(self, name: str, alias: str) -> ModelCard:
        self._source.enter("models.roll_back", (name, alias))
        return self._source.registry.roll_back(name, alias)

    def export(self, reference: str, folder: str) -> Path:
        self._source.enter("models.export", (reference, folder))
        return self._source.registry.export(reference, self._source.logs / folder)


class FakeServices(FakePart):
    def serve(self, reference: str) -> JobId:
        self._source.enter("services.serve", reference)
        return JobId(77)

    def list(self) -> tuple[tuple[Job, Service | None], ...]:
        self._source.enter("services.list", None)
        return self._source.served


class FakeMachine(FakePart):
    def load_history(self, span_s: float) -> tuple[Point, ...]:
        self._source.enter("machine.load_history", span_s)
        return tuple(point for point in self._source.points if point.at >= self._source.now - span_s)

    def processes(self, shown: Collection[int] = ()) -> tuple[ProcessGroup, ...]:
        self._source.enter("machine.processes", tuple(shown))
        return self._source.process_groups

    def signal(self, processes: Iterable[Process], number: int) -> tuple[str, ...]:
        self._source.enter("machine.signal", (tuple(process.pid for process in processes), number))
        return ()


class FakeScheduler(FakePart):
    def start(self) -> DaemonStatus:
        self._source.enter("scheduler.start", None)
        return self._source.daemon

    def drain(self, on: bool) -> None:
        self._source.enter("scheduler.drain", on)

    def watch(self) -> FakeBell:
        self._source.bell = FakeBell()
        return self._source.bell

    def notices(self) -> tuple[str, ...]:
        return ()


def _end(job: Job) -> tuple[float, int]:
    assert isinstance(job.state, Ended)
    return job.state.finished_at, job.id


def _matches(job: Job, query: JobQuery) -> bool:
    if query.states and job.state.name not in query.states:
        return False
    text = query.text.lower()
    return text in job.spec.name.lower() or text in job.state.name or text == str(job.id)


def job(number: int, name: str, state: Any, **more: Any) -> Job:
    """A job with sensible fields; `spec_*` keywords go into its spec."""
    spec = {key.removeprefix("spec_"): more.pop(key) for key in list(more) if key.startswith("spec_")}
    made = JobSpec(name, ("python", "train.py"), "/tmp", "d", **{"recipe": name, **spec})
    attempts = 0 if isinstance(state, Queued | Held) else 1
    return Job(JobId(number), made, state, NOW - 4000, **{"attempts": attempts, **more})


def a_day() -> list[Job]:
    """The jobs of the picture in the design: running, waiting for each reason, held, failed, done."""
    grant = Grant(("GPU-0",))
    vram = Reason(ReasonCode.GPU_MEMORY, 10 * GIB, 6 * GIB, Unit.BYTES, (JobId(41),), NOW + 960)
    ran = Usage(cpu_s=16_500, peak_mem_bytes=int(3.9 * GIB))
    return [
        job(
            41,
            "tf_image_cnn",
            Running(NOW - 2472, 1, grant, 9),
            usage=Usage(mem_bytes=int(6.2 * GIB), cpus=2.1),
            spec_expected_s=3432.0,
            spec_needs=Needs(3, 8 * GIB, 1, 18 * GIB),
        ),
        job(
            39,
            "sklearn_forest",
            Running(NOW - 723, 1, Grant(), 8),
            usage=Usage(mem_bytes=4 * GIB, cpus=5.8),
            spec_expected_s=1923.0,
            spec_needs=Needs(6, 6 * GIB),
        ),
        job(
            38,
            "sklearn_gridsearch",
            Running(NOW - 175, 1, Grant(), 7),
            spec_priority=40,
            usage=Usage(mem_bytes=int(1.1 * GIB), cpus=1.9),
            spec_needs=Needs(3, 4 * GIB),
        ),
        job(
            42,
            "tf_text_lstm",
            Queued(NOW - 60),
            spec_priority=60,
            spec_needs=Needs(2, 8 * GIB, 1, 10 * GIB),
            reasons=(vram,),
            estimated_start_at=NOW + 960,
            spec_params=(("epochs", 20),),
            spec_framework="tensorflow",
        ),
        job(
            43,
            "sklearn_forest",
            Queued(NOW - 50),
            spec_after=(Dependency(JobId(39)),),
            reasons=(Reason(ReasonCode.DEPENDENCY, jobs=(JobId(39),)),),
            estimated_start_at=NOW + 1200,
        ),
        job(
            44,
            "sklearn_knn",
            Queued(NOW - 40),
            spec_priority=5,
            reasons=(Reason(ReasonCode.SETTLING, jobs=(JobId(38),)),),
            estimated_start_at=NOW + 8,
        ),
        job(
            45,
            "sklearn_svm",
            Queued(NOW - 30),
            spec_priority=5,
            spec_needs=Needs(4, GIB),
            reasons=(Reason(ReasonCode.CPUS, 4, 2.4, Unit.CPUS, (JobId(39),)),),
            estimated_start_at=NOW + 1200,
        ),
        job(46, "tf_image_cnn", Held(NOW - 20), reasons=(Reason(ReasonCode.HELD, detail="held by you"),)),
        job(
            37,
            "sklearn_gridsearch",
            OutOfMemory(NOW - 1000, NOW - 540, None, 9, 12 * GIB, 8 * GIB, Usage()),
            spec_priority=40,
            usage=Usage(peak_mem_bytes=12 * GIB),
            spec_needs=Needs(4, 8 * GIB),
        ),
        job(
            36,
            "sklearn_forest",
            Succeeded(NOW - 5000, NOW - 3130, ran),
            usage=ran,
            metrics=(("accuracy", 0.942),),
        ),
        job(35, "train.py", Failed(NOW - 6000, NOW - 5990, 1, None, "", Usage()), spec_recipe=None),
        job(34, "tf_deep", Cancelled(NOW - 7000, NOW - 6900, None, 15, Usage())),
    ]


def a_sample(at: float = NOW, share: float = 0.61, *, gpus: int = 0) -> Sample:
    cores = tuple(((index * 37) % 100) / 100 for index in range(16))
    devices = tuple(
        DeviceSample(f"GPU-{index}", 17 * GIB, 0, 0, 0.97, 74.0, 281.0, 350.0) for index in range(gpus)
    )
    return Sample(
        at,
        16 * share,
        0.4,
        cores,
        64 * GIB,
        int(64 * GIB * 0.52),
        312 * MIB,
        9.8,
        Pressure(4.2, 3.0, 0.0, 0.0, 0.0, 0.0),
        devices,
        gpu_note=None if gpus else "no NVIDIA driver",
    )


def gpu_capacity(gpus: int) -> Capacity:
    return Capacity(
        16, 64 * GIB, tuple(Device(f"GPU-{index}", index, "RTX 4090", 24 * GIB) for index in range(gpus))
    )


def a_machine() -> tuple[ProcessGroup, ...]:
    """A job of two processes below its supervisor, and somebody's shell."""
    supervisor = Process(500, 8, 1, 500, "python", "ann", NOW - 3000, 0.0, 1 << 20)
    train = Process(511, 9, 500, 511, "python", "ann", NOW - 300, 1.5, 2 * GIB, command="python train.py")
    worker = Process(
        512, 9, 511, 511, "python", "ann", NOW - 290, 0.5, GIB, command="python worker.py \x1b[31m"
    )
    shell = Process(700, 7, 1, 700, "bash", "bo", NOW - 9000, 0.1, 1 << 22, command="bash")
    return (
        ProcessGroup(GroupKind.JOB, "job 500", "sklearn_forest", (supervisor, train, worker), JobId(41)),
        ProcessGroup(GroupKind.SESSION, "session 700", "bash", (shell,)),
    )


def idle_machine() -> tuple[ProcessGroup, ...]:
    """The same with a job whose process holds memory of a GPU that does nothing."""
    job, shell = a_machine()
    supervisor, train, worker = job.processes
    train = replace(train, gpu_mem_bytes=40 * GIB, gpu_idle_bytes=38 * GIB, gpu_idle_since_at=NOW - 2520)
    return replace(job, processes=(supervisor, train, worker)), shell


def a_sweep(source: FakeSource, size: int = 30) -> JobGroup:
    """A sweep of a forest in the fake engine: a third has ended, two fail, two run, the rest waits."""
    made = []
    for at in range(size):
        params: tuple[tuple[str, int | str], ...] = (
            ("n_estimators", (50, 100, 200)[at % 3]), ("max_depth", 2 + at // 6), ("kind", "ab"[at % 2]),
        )  # fmt: skip
        score = round(0.8 + 0.15 * math.sin(at * 7) ** 2, 4)
        state: State = Succeeded(
            NOW - 900 + at, NOW - 600 + at, Usage(cpu_s=30.0, peak_mem_bytes=300 * MIB)
        )
        if at >= size // 3 + 4:
            state = Queued(NOW - 60)
        elif at >= size // 3 + 2:
            state = Running(NOW - 30, 1, Grant(), 100 + at)
        elif at >= size // 3:
            state = Failed(NOW - 900, NOW - 700, 1, None, "", Usage())
        done = isinstance(state, Succeeded)
        name = f"forest n_estimators={params[0][1]} max_depth={params[1][1]} kind={params[2][1]}"
        metrics = (("accuracy", score), ("loss", round(2 - score, 4))) if done else ()
        reasons = (Reason(ReasonCode.CPUS, 2, 1.0, Unit.CPUS),) if isinstance(state, Queued) else ()
        made.append(
            job(100 + at, name, state, spec_group=(100, size), spec_params=params, spec_recipe="forest",
                metrics=metrics, reasons=reasons, usage=Usage(mem_bytes=300 * MIB, cpus=0.9))
        )  # fmt: skip
    source.add(*made)
    counts = Counter(each.state.name for each in made)
    best = max(made, key=lambda each: dict(each.metrics).get("accuracy", 0.0))
    judged_by = (("accuracy", "max"),)
    foremost = next(each for each in made if isinstance(each.state, Running))
    group = JobGroup(
        JobId(100), "forest", size, foremost, counts, judged_by=judged_by, metric="accuracy",
        best=dict(best.metrics)["accuracy"], best_id=best.id,
    )  # fmt: skip
    source.groups_of_jobs = (group,)
    columns = RunColumns(
        [each.id for each in made],
        [each.state.name for each in made],
        params=columns_of([each.spec.params for each in made]),
        metrics=columns_of([each.metrics for each in made]),
    )
    source.swept = runs_of(group.id, group.name, size, columns, judged_by)
    return group
