"""A job has a kind: stored with it, asked for by it, and told of records that were written before kinds."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.jobs import Grant, Job, JobId, JobSpec, Needs, Queued, Running
from jobs.core.kinds import JobKind
from jobs.core.requests import JobQuery
from jobs.policy.allocations import planned_end_at, planned_run_s
from jobs.store import codec, schema
from jobs.store.intents import Intents
from jobs.store.queries import Queries
from jobs.store.writer import Store

SPEC = JobSpec("x", ("python", "x.py"), "/", "")
EARLIER = {
    JobKind.SERVICE: ("python", "-P", "-m", "jobs.serving", "--models", "m", "digits"),
    JobKind.OPTIMIZATION: ("python", "-P", "-m", "jobs.optimizing", "{}"),
    JobKind.ENVIRONMENT: ("python", "-P", "-m", "jobs.venvs", "key"),
    JobKind.NOTEBOOK: ("python", "-P", "-m", "jobs.notebooks", "x.ipynb"),
    JobKind.COMMAND: ("python", "-P", "-m", "http.server"),
    JobKind.RECIPE: ("python", "forest.py"),
}


def before_kinds(kind: JobKind) -> str:
    """The specification as an earlier version stored it."""
    recipe = "forest" if kind in (JobKind.RECIPE, JobKind.NOTEBOOK) else None
    table = json.loads(codec.dump_spec(replace(SPEC, argv=EARLIER[kind], recipe=recipe)))
    del table["kind"]
    return json.dumps(table)


@pytest.mark.parametrize("kind", JobKind)
def test_the_kind_of_an_earlier_record_is_told_by_its_command(kind: JobKind) -> None:
    assert codec.load_spec(before_kinds(kind)).kind is kind


def test_a_kind_of_a_later_version_is_kept() -> None:
    text = codec.dump_spec(SPEC).replace('"command"', '"pipeline"')
    found = codec.load_spec(text)
    assert found.kind is JobKind.COMMAND
    assert json.loads(codec.dump_spec(found))["kind"] == "pipeline"


def test_jobs_are_found_by_their_kind_read_or_not(database: Path) -> None:
    with (
        contextlib.closing(Intents(database)) as intents,
        contextlib.closing(Store(database)) as store,
        contextlib.closing(Queries(database)) as queries,
    ):
        specs = [replace(SPEC, name=kind.value, kind=kind) for kind in JobKind]
        intents.submit(specs, 1.0)
        for intent in store.intents(3):
            assert intent.job_id is not None
            store.insert(Job(intent.job_id, intent.body, Queued(1.0), 1.0))
            store.drop_intents([intent.id])
        store.commit()
        with queries.snapshot() as view:
            for kind in JobKind:
                (job,), count = view.jobs(JobQuery(kinds=frozenset({kind})))
                assert (job.spec.name, job.spec.kind, count) == (kind.value, kind, 1)


def test_the_column_of_an_earlier_database_is_filled(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = len(schema.MIGRATIONS) - 1
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:number])
        older.setattr(schema, "SCHEMA", number)
        schema.connect(database).close()
    with sqlite3.connect(database) as connection:
        for job_id, kind in enumerate(JobKind, 1):
            recipe = "forest" if kind is JobKind.RECIPE else None
            connection.execute(
                "INSERT INTO jobs(id, state, unmet, priority, name, recipe, submitted_at, attempts, spec, "
                "detail) VALUES (?, 'queued', 0, 50, 'old', ?, 1, 0, ?, '{}')",
                (job_id, recipe, before_kinds(kind)),
            )
            connection.execute(
                "INSERT INTO intents(job_id, recipe, body, kind, priority, name, at) "
                "VALUES (?, ?, ?, 'submit', 50, 'old', 1)",
                (100 + job_id, recipe, before_kinds(kind)),
            )
        connection.execute("INSERT INTO intents(job_id, kind, at) VALUES (1, 'cancel', 1)")
        connection.execute("UPDATE jobs SET spec = 'damaged' WHERE id = 1")
    schema.migrate(database)
    with sqlite3.connect(database) as connection:
        assert [kind for (kind,) in connection.execute("SELECT kind FROM jobs ORDER BY id")] == list(
            JobKind
        )
        found = connection.execute("SELECT job_kind FROM intents ORDER BY id").fetchall()
        assert [kind for (kind,) in found] == [*JobKind, None]


def test_a_service_is_planned_to_run_for_ever_unless_it_has_a_limit() -> None:
    job = Job(
        JobId(1), replace(SPEC, kind=JobKind.SERVICE, expected_s=60.0), Running(0.0, 1, Grant(), 1), 0.0
    )
    assert planned_run_s(job) is None and planned_end_at(job, 10.0) is None
    limited = replace(job, spec=replace(job.spec, needs=Needs(time_limit_s=3600.0)))
    assert planned_end_at(limited, 10.0) == 3600.0
    assert planned_run_s(replace(job, spec=replace(job.spec, kind=JobKind.COMMAND))) == 60.0
