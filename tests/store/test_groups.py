"""Groups as one row: counts that equal a recount, the best so far, its place, and pages of what ended."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.jobs import (
    ENDED,
    Failed,
    Grant,
    Job,
    JobId,
    Queued,
    Running,
    State,
    StateName,
    Succeeded,
    Usage,
)
from jobs.core.requests import JobGroup, JobQuery, ListRow
from jobs.kinds.optimization import OptimizationPlan, argv
from jobs.store import codec, group_tables, schema
from jobs.store.intents import IntentKind, Intents, NewGroup
from jobs.store.queries import Queries
from jobs.store.writer import Store
from tests.store.conftest import spec

FOLDED = JobQuery(folded=True)
ACCURACY = (("accuracy", "max"), ("loss", "min"))
FAILED = Failed(1.0, 2.0, 1, None, "", Usage())


def take_in(store: Store) -> None:
    """What the scheduler does with submits."""
    found = store.intents(10_000)
    for intent in found:
        assert intent.kind is IntentKind.SUBMIT and intent.job_id is not None
        store.insert(Job(intent.job_id, intent.body, Queued(intent.at), intent.at))
    store.drop_intents([intent.id for intent in found])
    store.commit()


def sweep(intents: Intents, size: int, name: str = "forest", **changes: object) -> tuple[JobId, ...]:
    specs = [spec(f"{name} depth={each}", params=(("depth", each),), **changes) for each in range(size)]
    return intents.submit(specs, 1.0, sweep=True, group=NewGroup(name, size, ACCURACY))


def become(store: Store, job_id: int, state: State, **metrics: float) -> None:
    job = store.get([JobId(job_id)])[JobId(job_id)]
    store.save(replace(job, state=state, metrics=tuple(metrics.items())))
    store.commit()


def lines(queries: Queries, query: JobQuery = FOLDED) -> tuple[ListRow, ...]:
    with queries.snapshot() as view:
        return view.rows(query)[0]


def only(queries: Queries, query: JobQuery = FOLDED) -> JobGroup:
    (found,) = (row for row in lines(queries, query) if isinstance(row, JobGroup))
    return found


def words(rows: tuple[ListRow, ...]) -> list[str]:
    return [f"group {row.id}" if isinstance(row, JobGroup) else f"{row.id}" for row in rows]


def recounted(database: Path, lead: int) -> dict[StateName, int]:
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT state FROM jobs WHERE lead = ? AND NOT EXISTS "
        "(SELECT 1 FROM jobs AS later WHERE later.retry_of = jobs.id)",
        (lead,),
    ).fetchall()
    connection.close()
    return dict(Counter(StateName(state) for (state,) in rows))


def test_a_sweep_is_one_row_from_its_submit_to_its_end(
    database: Path, store: Store, intents: Intents, queries: Queries
) -> None:
    sweep(intents, 3)
    before = only(queries)
    assert (before.id, before.name, before.size, dict(before.counts)) == (1, "forest", 3, {"queued": 3})
    take_in(store)
    assert dict(only(queries).counts) == {"queued": 3} == recounted(database, 1)
    become(store, 2, Running(5.0, 1, Grant(), 7))
    seen = only(queries)
    assert (seen.foremost.id, dict(seen.counts)) == (2, {"running": 1, "queued": 2})
    become(store, 2, Succeeded(5.0, 9.0, Usage()), accuracy=0.9, loss=0.4)
    become(store, 3, Succeeded(5.0, 8.0, Usage()), accuracy=0.8, loss=0.1)
    become(store, 1, FAILED, accuracy=1.0)
    ended = only(queries)
    assert dict(ended.counts) == {"succeeded": 2, "failed": 1} == recounted(database, 1)
    assert (ended.metric, ended.best, ended.best_id) == ("accuracy", 0.9, 2), "what failed does not count"
    assert ended.foremost.id == 2, "the last that ended"


def test_a_row_stands_where_its_foremost_job_would(
    store: Store, intents: Intents, queries: Queries
) -> None:
    intents.submit([spec(), spec(priority=60)], 1.0)
    sweep(intents, 2, priority=55)
    intents.submit([spec(), spec()], 1.0)
    sweep(intents, 2)
    take_in(store)
    become(store, 5, Running(1.0, 1, Grant(), 7))
    assert words(lines(queries)) == ["5", "2", "group 3", "1", "6", "group 7"]
    become(store, 8, Running(1.0, 1, Grant(), 7))
    assert words(lines(queries)) == ["5", "group 7", "2", "group 3", "1", "6"]
    for number, at in ((8, 3.0), (7, 4.0), (5, 5.0), (6, 3.5)):
        become(store, number, Succeeded(1.0, at, Usage()))
    assert words(lines(queries)) == ["2", "group 3", "1", "5", "group 7", "6"]
    assert words(lines(queries, replace(FOLDED, limit=2))) == ["2", "group 3"]
    below = replace(FOLDED, unfolded=frozenset({JobId(7)}))
    assert words(lines(queries, below)) == ["2", "group 3", "1", "5", "group 7", "7", "8", "6"]
    page = replace(FOLDED, before=(5.0, 5))
    assert words(lines(queries, page)) == ["group 7", "6"]
    assert words(lines(queries, replace(page, before=(4.0, 7)))) == ["6"]


def test_a_filter_shows_the_jobs_one_by_one(store: Store, intents: Intents, queries: Queries) -> None:
    sweep(intents, 3)
    assert words(lines(queries, replace(FOLDED, text="forest"))) == ["1", "2", "3"]
    take_in(store)
    assert words(lines(queries, JobQuery())) == ["1", "2", "3"]


def test_a_retry_takes_the_place_of_what_it_repeats(
    database: Path, store: Store, intents: Intents, queries: Queries
) -> None:
    sweep(intents, 3)
    take_in(store)
    become(store, 2, FAILED)
    with queries.snapshot() as view:
        assert view.ids_in(JobId(1), {StateName.FAILED}, unretried=True) == (2,)
        again = view.job(JobId(2)).spec
    for number in (4, 5):
        intents.submit([replace(again, retry_of=JobId(2))], 3.0)
        take_in(store)
        group = only(queries)
        assert dict(group.counts) == {"queued": number - 1} == recounted(database, 1)
        assert group.size == number - 1, "a second retry of the same is one more"
    with queries.snapshot() as view:
        assert view.ids_in(JobId(1), {StateName.FAILED}, unretried=True) == ()
        assert view.ids_in(JobId(1), {StateName.QUEUED}) == (1, 3, 4, 5)
    become(store, 3, FAILED)
    intents.submit([replace(again, retry_of=JobId(3))], 4.0)
    with queries.snapshot() as view:
        assert view.ids_in(JobId(1), {StateName.FAILED}, unretried=True) == (), "its retry is not read yet"


def test_trials_stand_in_the_row_of_their_newest_controller(
    store: Store, intents: Intents, queries: Queries
) -> None:
    group = NewGroup("optimize forest", 30, ACCURACY, optimized=True)
    intents.submit([spec("optimize forest")], 1.0, group=group)
    assert words(lines(queries)) == ["group 1"]
    take_in(store)
    intents.submit([spec("t1", group=(1, 0)), spec("t2", group=(1, 0))], 2.0)
    take_in(store)
    become(store, 1, Running(1.0, 1, Grant(), 7))
    become(store, 2, Succeeded(5.0, 9.0, Usage()), accuracy=0.9)
    seen = only(queries)
    assert words(lines(queries)) == ["group 1"]
    assert (seen.size, seen.controller, seen.foremost.id, seen.best_id) == (30, 1, 1, 2)
    assert dict(seen.counts) == {"queued": 1, "succeeded": 1}
    assert words(lines(queries, replace(FOLDED, unfolded=frozenset({JobId(1)})))) == [
        "group 1",
        "1",
        "3",
        "2",
    ]
    become(store, 1, FAILED)
    assert (words(lines(queries)), only(queries).foremost.id) == (["group 1"], 3), "its trials are at work"
    intents.submit([spec("optimize forest", retry_of=JobId(1))], 3.0)
    take_in(store)
    assert words(lines(queries)) == ["group 1", "1"]
    assert (only(queries).controller, only(queries).foremost.id) == (4, 4)
    with queries.snapshot() as view:
        assert view.runs(JobId(1), 10).ids == [2, 3]


def test_what_a_long_sweep_shows_is_found_by_index(
    database: Path, store: Store, intents: Intents, queries: Queries
) -> None:
    """No row of the list may cost a walk over the jobs of a group."""
    sweep(intents, 300)
    sweep(intents, 300)
    take_in(store)
    sweep(intents, 300)
    plans = []
    with queries.snapshot() as view:
        connection = view._connection
        connection.set_trace_callback(lambda sql: plans.append(sql) if sql.startswith("SELECT") else None)
        assert words(view.rows(FOLDED)[0]) == ["group 1", "group 301", "group 601"]
        connection.set_trace_callback(None)
        steps = [
            (str(step["detail"]), sql)
            for sql in plans
            for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    assert len(plans) > 10
    assert not [sql for step, sql in steps if step.startswith(("SCAN jobs", "SCAN intents"))]
    assert not [sql for step, sql in steps if step.startswith("SCAN group_tallies") and "_live" not in step]
    assert not [sql for step, sql in steps if "TEMP B-TREE" in step and "lead = " in sql]


def test_sweeps_of_an_older_database_are_rows_as_well(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = schema.MIGRATIONS.index(group_tables.groups_and_tallies)
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:number])
        older.setattr(schema, "SCHEMA", number)
        connection = schema.connect(database)
        for job_id, of in ((1, (1, 2)), (2, (1, 2)), (3, None), (4, (3, 0))):
            connection.execute(
                "INSERT INTO jobs(id, state, unmet, priority, name, submitted_at, attempts, spec, detail) "
                "VALUES (?, 'queued', 0, 50, 'old', 1, 0, ?, ?)",
                (job_id, codec.dump_spec(spec("old", group=of)), '{"state":{"since_at":1}}'),
            )
        connection.close()
    schema.migrate(database)
    with contextlib.closing(Queries(database)) as queries, contextlib.closing(Store(database)) as store:
        found = [row for row in lines(queries) if isinstance(row, JobGroup)]
        assert [(group.id, group.size, group.controller) for group in found] == [(1, 2, None), (3, 1, 3)]
        assert [dict(group.counts) for group in found] == [{"queued": 2}, {"queued": 1}]
        become(store, 2, Succeeded(1.0, 2.0, Usage()), accuracy=1.0)
        assert dict(lines(queries)[0].counts) == {"queued": 1, "succeeded": 1}  # type: ignore[union-attr]


def test_damaged_rows_of_a_sweep_are_counted_and_left_out_of_its_runs(
    database: Path, store: Store, intents: Intents, queries: Queries
) -> None:
    sweep(intents, 4)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE intents SET body = 'no json' WHERE job_id = 2")
        connection.execute("UPDATE intents SET body = json_set(body, '$.params', 7) WHERE job_id = 3")
        connection.commit()
    take_in(store)
    for each in store.unreadable:
        store.quarantine(each.job_id, each.cause, 3.0)
    store.commit()
    assert dict(only(queries).counts) == {"queued": 2, "lost": 2} == recounted(database, 1)
    with queries.snapshot() as view:
        assert view.runs(JobId(1), 9) == (
            [1, 4], [StateName.QUEUED] * 2, frozenset(), {"depth": [0, 3]}, {},
        )  # fmt: skip


PLAN = OptimizationPlan("forest", "accuracy", "max", 30, ())
OLD_SQL = {
    "jobs": "INSERT INTO jobs(id, retry_of, spec, recipe, state, unmet, priority, name, submitted_at, "
    "attempts, detail) VALUES (?, ?, ?, 'forest', 'queued', 0, 50, 'old', 1, 0, "
    '\'{"state":{"since_at":1}}\')',
    "intents": "INSERT INTO intents(job_id, retry_of, body, recipe, kind, priority, name, at) "
    "VALUES (?, ?, ?, 'forest', 'submit', 50, 'old', 1)",
}


def older(database: Path, *rows: tuple[str, int, int | None, str]) -> None:
    """A database from before there were groups, brought up to date. A row is its table (`jobs` or
    `intents`), id, retry of and spec."""
    number = schema.MIGRATIONS.index(group_tables.groups_and_tallies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:number])
        patch.setattr(schema, "SCHEMA", number)
        with contextlib.closing(schema.connect(database)) as connection:
            for table, *values in rows:
                connection.execute(OLD_SQL[table], values)
    schema.migrate(database)


def test_what_waits_or_is_damaged_at_an_upgrade_is_a_row(database: Path) -> None:
    whole = codec.dump_spec(spec(group=(1, 2)))
    older(
        database,
        ("jobs", 1, None, whole),
        ("jobs", 2, None, whole[:-5]),
        ("intents", 3, None, codec.dump_spec(spec(group=(3, 2)))),
        ("intents", 4, None, codec.dump_spec(spec(group=(3, 2)))),
        ("intents", 5, None, whole[:-5]),
    )
    with contextlib.closing(Queries(database)) as queries:
        found = [row for row in lines(queries) if isinstance(row, JobGroup)]
        assert [(group.id, group.size, dict(group.counts)) for group in found] == [
            (1, 2, {"queued": 1}),
            (3, 2, {"queued": 2}),
        ]


def test_controllers_of_an_older_database_keep_their_optimisations(database: Path) -> None:
    words = argv("python", "data", "settings", PLAN)
    control = spec("optimize", argv=(words[0], "-P", "-m", "jobs.optimizing", *words[4:]))  # as it was then
    plain, again = codec.dump_spec(control), codec.dump_spec(replace(control, retry_of=JobId(1)))
    older(
        database,
        ("jobs", 1, None, plain),
        ("jobs", 2, None, codec.dump_spec(spec("t1", group=(1, 0)))),
        ("jobs", 3, 1, again),
        ("intents", 4, 3, codec.dump_spec(replace(control, retry_of=JobId(3)))),
        ("jobs", 5, None, plain),
        ("intents", 6, None, plain),
    )
    with contextlib.closing(Queries(database)) as queries, queries.snapshot() as view:
        found = [view.group(JobId(lead)) for lead in (1, 5, 6)]
        assert [group and (group.size, group.controller, group.judged_by) for group in found] == [
            (30, newest, (("accuracy", "max"),)) for newest in (4, 5, 6)
        ]
        assert [view.lead_of_controller(JobId(number)) for number in (1, 3, 4, 5, 6)] == [1, 1, 1, 5, 6]


def test_a_controller_that_is_retried_twice_keeps_its_trials(
    store: Store, intents: Intents, queries: Queries
) -> None:
    intents.submit([spec("optimize")], 1.0, group=NewGroup("optimize", 30, ACCURACY, optimized=True))
    take_in(store)
    for each in (2, 3):
        assert intents.submit([spec("optimize", retry_of=JobId(1))], 2.0) == (each,)
    intents.submit([spec("optimize", retry_of=JobId(2))], 2.0)
    for _ in range(2):
        assert only(queries).controller == 4
        with queries.snapshot() as view:
            assert [view.lead_of_controller(JobId(number)) for number in (1, 2, 3, 4)] == [1, 1, 1, 1]
        take_in(store)


def test_jobs_that_come_in_without_a_group_make_one(database: Path, store: Store, queries: Queries) -> None:
    """As when they are brought back from their folders."""
    specs = (spec(group=(1, 1)), spec(), spec(group=(2, 0)), spec(retry_of=JobId(2)))
    for number, each in enumerate(specs, start=1):
        store.insert(Job(JobId(number), each, Queued(1.0), 1.0))
    store.commit()
    found = [row for row in lines(queries) if isinstance(row, JobGroup)]
    assert [(group.id, group.size, group.controller) for group in found] == [(1, 1, None), (2, 1, 4)]
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM groups")
        connection.commit()
    assert words(lines(queries))[0] == "1", "a list without the group still has its jobs"


def test_groups_that_ended_cost_a_look_nothing(queries: Queries) -> None:
    with queries.snapshot() as view:
        plan = view._connection.execute(
            f"EXPLAIN QUERY PLAN SELECT lead, state FROM group_tallies "
            f"WHERE {group_tables.LIVE_TALLIES} ORDER BY lead"
        ).fetchall()
    assert [step["detail"] for step in plan] == ["SCAN group_tallies USING INDEX group_tallies_live"]
    assert all((name.value in group_tables.LIVE_TALLIES) == (name not in ENDED) for name in StateName)
