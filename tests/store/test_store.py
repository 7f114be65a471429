"""The daemon's side: tallies that equal a recount, the head by index, damage that stays where it is."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from jobs.core.jobs import (
    GIB,
    Cancelled,
    Dependency,
    DependencyKind,
    Failed,
    Held,
    Job,
    JobId,
    Queued,
    Reason,
    ReasonCode,
    StateName,
    Succeeded,
    Usage,
)
from jobs.core.machine import Capacity
from jobs.core.requests import JobQuery, SortKey
from jobs.core.rules import SchedulerSettings
from jobs.policy.history import after_run
from jobs.policy.runtime_model import runtime_keys
from jobs.store.intents import IntentKind, Intents
from jobs.store.queries import Queries
from jobs.store.writer import Store
from tests.store.conftest import spec

OK, ANY = DependencyKind.OK, DependencyKind.ANY


def queued(job_id: int, **changes: object) -> Job:
    return Job(JobId(job_id), spec(**changes), Queued(1.0), 1.0)  # type: ignore[arg-type]


def ended(job: Job, state: Succeeded | Failed | None = None) -> Job:
    return Job(job.id, job.spec, state or Succeeded(1.0, 2.0, Usage()), job.submitted_at, 1)


FAILED = Failed(1.0, 2.0, 1, None, "", Usage())


class Tallies(RuleBasedStateMachine):
    """Random lives of jobs, with and without dependencies; the counts must equal a recount after each."""

    ids: Bundle[JobId] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "cro.db"
        self.store, self.intents = Store(path), Intents(path)
        self.connection = sqlite3.connect(path)

    def teardown(self) -> None:
        self.connection.close()
        self.store.close()
        self.intents.close()
        self.folder.cleanup()

    @rule(target=ids, held=st.booleans(), kind=st.sampled_from(DependencyKind), after=st.none() | ids)
    def submit(self, held: bool, kind: DependencyKind, after: JobId | None) -> JobId:
        dependencies = () if after is None else (Dependency(after, kind),)
        return self.intents.submit([spec(start_held=held, after=dependencies)], 1.0)[0]

    @rule(limit=st.integers(1, 5))
    def take_in(self, limit: int) -> None:
        taken = self.store.intents(limit)
        for intent in taken:
            assert intent.job_id is not None
            state = Held(1.0) if intent.body.start_held else Queued(1.0)
            self.store.insert(Job(intent.job_id, intent.body, state, intent.at))
        self.store.drop_intents([intent.id for intent in taken])
        self.store.commit()

    @rule(job_id=ids, success=st.booleans(), undo=st.booleans())
    def end(self, job_id: JobId, success: bool, undo: bool) -> None:
        job = self.store.get([job_id]).get(job_id)
        if job is None or job.state.name not in (StateName.QUEUED, StateName.HELD):
            return
        self.store.save(ended(job, None if success else FAILED))
        self.store.settle(job_id, {OK, ANY} if success else {ANY}, set() if success else {OK})
        if undo:
            self.store.rollback()
        else:
            self.store.commit()

    @rule(job_id=ids)
    def release(self, job_id: JobId) -> None:
        job = self.store.get([job_id]).get(job_id)
        if job is not None and job.state.name is StateName.HELD:
            self.store.save(Job(job.id, job.spec, Queued(2.0), job.submitted_at))
            self.store.commit()

    @invariant()
    def counts_equal_a_recount(self) -> None:
        kept = {state: number for state, number in self.store.tallies().items() if number}
        query = self.connection.execute
        recount = dict(query("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        (pending,) = query("SELECT count(*) FROM intents WHERE kind = 'submit'").fetchone()
        (blocked,) = query("SELECT count(*) FROM jobs WHERE state = 'queued' AND unmet > 0").fetchone()
        recount |= {
            name: number for name, number in (("not_seen", pending), ("blocked", blocked)) if number
        }
        assert kept == recount

    @invariant()
    def unmet_equals_a_recount(self) -> None:
        wrong = self.connection.execute(
            "SELECT id FROM jobs WHERE unmet <> "
            "(SELECT count(*) FROM dependencies WHERE job_id = jobs.id AND met = 0)"
        ).fetchall()
        assert wrong == []


TestTallies = Tallies.TestCase
TestTallies.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)


def plan(store: Store, sql: str) -> str:
    rows = store._connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    return " / ".join(row["detail"] for row in rows)


@pytest.fixture
def crowded(database: Path, intents: Intents) -> Store:
    """100,000 queued jobs, put in directly."""
    store = Store(database)
    text = spec()
    from jobs.store import codec

    store._write("SELECT 1", ())
    store._connection.executemany(
        "INSERT INTO jobs(id, state, unmet, priority, name, submitted_at, attempts, spec, detail) "
        "VALUES (?, 'queued', ?, ?, 'true', 1.0, 0, ?, ?)",
        (
            (
                i,
                int(i % 10 == 0),
                40 + i % 20,
                codec.dump_spec(text),
                '{"state":{"since_at":1.0},"usage":{}}',
            )
            for i in range(1, 100_001)
        ),
    )
    store.commit()
    return store


def test_with_100_000_queued_the_daemon_reads_the_window_only(crowded: Store, queries: Queries) -> None:
    statements: list[str] = []
    crowded._connection.set_trace_callback(statements.append)
    head = crowded.window(256)
    beyond = crowded.queued_outside_window(len(head))
    crowded.active()
    crowded.intents(1000)
    crowded.settle(JobId(1), {OK, ANY}, set())
    crowded.save(ended(head[0]))
    crowded.commit()
    crowded._connection.set_trace_callback(None)
    assert len(head) == 256
    assert [job.spec.priority for job in head] == [59] * 256
    assert beyond == 90_000 - 256
    reading = [sql for sql in statements if sql.startswith("SELECT")]
    assert len(reading) >= 4
    for sql in reading:
        found = plan(crowded, sql)
        assert "SCAN jobs" not in found, f"{sql}: {found}"
        assert "TEMP B-TREE FOR ORDER BY" not in found or "IN ('starting'" in sql, f"{sql}: {found}"
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    crowded._connection.set_progress_handler(count, 1000)
    crowded.window(256)
    crowded.queued_outside_window(256)
    crowded.active()
    crowded._connection.set_progress_handler(None, 0)
    assert steps < 20, f"{steps},000 virtual machine steps: the table was walked"
    with queries.snapshot() as view:
        queries._connection.set_progress_handler(count, 1000)
        steps = 0
        jobs, matched = view.jobs(JobQuery(limit=200))
        queries._connection.set_progress_handler(None, 0)
    assert steps < 20, f"{steps},000 virtual machine steps: the table was walked"
    assert (len(jobs), matched) == (200, 100_000)
    assert jobs[5].reasons == (Reason(ReasonCode.AHEAD, 5, unit=jobs[5].reasons[0].unit),)
    crowded.close()


def test_dependents_are_settled(store: Store) -> None:
    for job in (
        queued(1),
        queued(2, after=(Dependency(JobId(1), OK),)),
        queued(3, after=(Dependency(JobId(1), ANY),)),
        queued(4, after=(Dependency(JobId(1), ANY), Dependency(JobId(3), OK))),
    ):
        store.insert(job)
    assert [job.id for job in store.window(9)] == [1]
    store.save(ended(queued(1), FAILED))
    assert store.settle(JobId(1), {ANY}, {OK}) == ([3], [2])
    assert [job.id for job in store.window(9)] == [3]
    store.insert(queued(5, after=(Dependency(JobId(1), ANY),)))
    assert [job.id for job in store.window(9)] == [3, 5], "a target that has ended already counts at once"
    store.rollback()


def test_a_long_queue_is_read_class_by_class_the_oldest_of_each_first(store: Store) -> None:
    for job_id in range(1, 21):
        store.insert(queued(job_id))
    store.insert(queued(21, user="ben"))
    store.insert(queued(22, priority=60))
    by_class = [job.id for job in store.window(6, by_class=True)]
    assert {21, 22} <= set(by_class)
    assert sorted(set(by_class) - {21, 22}) == [1, 2]
    assert [job.id for job in store.window(3)] == [22, 1, 2]
    store.rollback()


def test_what_runs_took_is_remembered_by_what_they_ran(store: Store, queries: Queries) -> None:
    forest = spec(recipe="forest")
    for run_s in (29.0, 30.0, 31.0):
        usage = Usage(peak_mem_bytes=GIB, cpus=1.5)
        remembered = store.histories(runtime_keys(forest))
        for key, past in after_run(forest, run_s, usage, remembered.get).items():
            store.set_history(key, past)
    store.commit()
    with queries.snapshot() as view:
        known, unknown = view.with_expected([forest, spec(argv=("x",), recipe="other")])
        (job,) = view.with_forecasts(
            [replace(queued(1), spec=forest)], Capacity(8.0, 32 * GIB), SchedulerSettings()
        )
    assert job.forecast is not None
    assert (job.forecast.sized_runs, job.needs.cpus) == (3, 1.5)
    assert known.expected_s == pytest.approx(30.0, rel=0.2)
    assert unknown.expected_s is None


def test_reasons_belong_to_waiting_jobs_only(store: Store, queries: Queries) -> None:
    reasons = (Reason(ReasonCode.CPUS, 4.0, 1.0),)
    store.insert(queued(1))
    store.set_reasons(JobId(1), reasons, 99.0)
    store.commit()
    with queries.snapshot() as view:
        assert view.job(JobId(1)).reasons == reasons
    store.save(ended(queued(1)))
    store.set_reasons(JobId(1), reasons, 99.0)
    store.commit()
    with queries.snapshot() as view:
        assert view.job(JobId(1)).reasons == ()


def test_a_damaged_row_stays_alone(store: Store, queries: Queries, database: Path) -> None:
    for number in (1, 2, 3):
        store.insert(queued(number))
    store.commit()
    vandal = sqlite3.connect(database)
    vandal.execute("UPDATE jobs SET spec = '{{{' WHERE id = 2")
    vandal.commit()
    vandal.close()
    assert [job.id for job in store.window(9)] == [1, 3]
    (bad,) = store.unreadable
    assert bad.job_id == 2
    with queries.snapshot() as view:
        jobs, _ = view.jobs(JobQuery(sort=SortKey.ID))
    assert [(job.id, job.state.name) for job in jobs] == [(3, "queued"), (2, "lost"), (1, "queued")]
    store.quarantine(JobId(2), bad.cause, 5.0)
    store.commit()
    assert store.tallies()["lost"] == 1


def test_a_damaged_wish_is_dropped_and_a_damaged_submit_leaves_a_lost_job(
    store: Store, intents: Intents, database: Path
) -> None:
    first, second = intents.submit([spec(), spec()], 1.0)
    intents.control(IntentKind.CANCEL, [first], 1.0)
    vandal = sqlite3.connect(database)
    vandal.execute("UPDATE intents SET body = '[' WHERE job_id = ? AND kind = 'submit'", (second,))
    vandal.execute("UPDATE intents SET kind = 'dance' WHERE kind = 'cancel'")
    vandal.commit()
    vandal.close()
    assert [intent.job_id for intent in store.intents(10)] == [first]
    assert [bad.job_id for bad in store.unreadable] == [second]
    for bad in store.unreadable:
        store.quarantine(bad.job_id, bad.cause, 2.0)
    store.commit()
    assert store.dependency_states([second]) == {second: StateName.LOST}
    assert store.tallies()["not_seen"] == 1


def test_cancelled_before_it_ran_sorts_among_the_ended(store: Store, queries: Queries) -> None:
    never = Cancelled(None, 9.0, None, None, Usage())
    store.insert(queued(1))
    store.insert(ended(queued(2)))
    store.insert(Job(JobId(3), spec(), never, 1.0))
    store.insert(queued(4, priority=90))
    store.commit()
    with queries.snapshot() as view:
        assert [job.id for job in view.jobs(JobQuery())[0]] == [4, 1, 3, 2]
        assert [job.id for job in view.jobs(JobQuery(sort=SortKey.FINISHED))[0]][:2] == [3, 2]
        only = JobQuery(states=frozenset({StateName.SUCCEEDED}))
        assert ([job.id for job in view.jobs(only)[0]], view.jobs(only)[1]) == ([2], 1)
        for text, ids in (("tru", [4, 1, 3, 2]), ("cancel", [3]), ("4", [4]), ("%", []), ("Succ", [2])):
            jobs, matched = view.jobs(JobQuery(text=text))
            assert ([job.id for job in jobs], matched) == (ids, len(ids)), text


def test_a_cancel_and_an_urgent_job_need_not_wait_for_a_sweep(store: Store, intents: Intents) -> None:
    (known,) = intents.submit([spec()], 1.0)
    (first,) = store.intents(1)
    store.insert(Job(known, first.body, Queued(1.0), 1.0))
    store.drop_intents([first.id])
    store.commit()
    sweep = intents.submit([spec()] * 5, 2.0)
    (urgent,) = intents.submit([spec(priority=90)], 3.0)
    intents.control(IntentKind.HOLD, [known], 4.0)
    intents.control(IntentKind.CANCEL, [sweep[0], known], 5.0)
    taken = store.intents(4)
    kinds = [(intent.kind, intent.job_id) for intent in taken]
    assert kinds == [
        (IntentKind.HOLD, known),
        (IntentKind.CANCEL, known),
        (IntentKind.SUBMIT, urgent),
        (IntentKind.SUBMIT, sweep[0]),
    ]
    store.drop_intents([intent.id for intent in taken])
    store.commit()
    rest = store.intents(100)
    assert rest[0].kind is IntentKind.CANCEL, "its job has been read by now"
    assert [intent.job_id for intent in rest[1:]] == list(sweep[1:])
