"""What another version wrote is read as far as it is known, and written back whole."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core import versions
from jobs.core.jobs import (
    Grant,
    Job,
    JobId,
    JobSpec,
    Needs,
    OnReboot,
    Paused,
    Reason,
    ReasonCode,
    Running,
    Usage,
)
from jobs.core.machine import Capacity, Pressure, Sample
from jobs.core.ports import StateUnavailable
from jobs.core.tracking import ModelCard, card_of, card_table
from jobs.core.world import Gate
from jobs.machine import latest_sample
from jobs.machine.latest_sample import LatestSample
from jobs.store import codec, schema
from jobs.store.codec import DamagedRecord
from jobs.store.schema import Outdated

SPEC = JobSpec("train", ("python", "train.py"), "/home", "digest", Needs(cpus=2), secrets=("KEY",))
RUNNING = Running(100.0, 1, Grant(("GPU-1",)), 4711)
JOB = Job(JobId(7), SPEC, RUNNING, 90.0, attempts=1, usage=Usage(cpu_s=3.0), lost_s=2.0)


def row(job: Job, **changes: object) -> dict[str, object]:
    """The row of a job, with changes to the JSON in its columns, by `column.key`."""
    texts = {"spec": codec.dump_spec(job.spec), "detail": codec.dump_detail(job)}
    for path, value in changes.items():
        column, *keys = path.split("__")
        table = json.loads(texts[column])
        inner = table
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        texts[column] = json.dumps(table)
    return {
        "id": job.id,
        "state": job.state.name.value,
        "priority": 50,
        "submitted_at": 90.0,
        "attempts": job.attempts,
        "reasons": None,
        "estimated_start_at": None,
        **texts,
    }


def test_unknown_keys_of_a_job_are_kept_and_written_back() -> None:
    found = codec.load_job(
        row(
            JOB,
            spec__tags=[],
            spec__image={"name": "x"},
            spec__needs__fpgas=2,
            detail__deadline_at=9.5,
            detail__usage__energy_j=4,
            detail__state__node="b",
        )
    )
    assert replace(found, unknown=(), spec=replace(found.spec, unknown=())) == JOB
    spec, detail = json.loads(codec.dump_spec(found.spec)), json.loads(codec.dump_detail(found))
    assert (spec["tags"], spec["image"], spec["needs"]["fpgas"]) == ([], {"name": "x"}, 2)
    assert "unknown" not in spec and spec["needs"]["cpus"] == 2
    assert (detail["deadline_at"], detail["usage"]["energy_j"], detail["state"]["node"]) == (9.5, 4, "b")
    assert codec.load_job(row(found)) == found, "and so it stays"


def test_keys_of_a_state_end_with_the_state() -> None:
    found = codec.load_job(row(JOB, detail__state__node="b", detail__kept=1))
    paused = replace(found, state=Paused(101.0, 100.0, 1, RUNNING.grant, 4711))
    again = json.loads(codec.dump_detail(replace(paused, state=RUNNING)))
    assert again["state"]["node"] == "b" and again["kept"] == 1
    written = json.loads(codec.dump_detail(paused))
    assert "node" not in written["state"] and written["kept"] == 1


def test_words_that_a_later_version_knows_are_kept_beside_the_default() -> None:
    found = codec.load_job(row(JOB, spec__on_reboot="migrate", spec__after=[[3, "started"], [4, "any"]]))
    assert found.spec.on_reboot is OnReboot.FAIL
    assert [(after.job_id, after.kind.value) for after in found.spec.after] == [(3, "ok"), (4, "any")]
    written = json.loads(codec.dump_spec(found.spec))
    assert written["on_reboot"] == "migrate" and written["after"] == [[3, "started"], [4, "any"]]


def test_missing_keys_get_their_defaults() -> None:
    table = json.loads(codec.dump_spec(SPEC))
    few = {name: table[name] for name in ("name", "argv", "cwd", "env_digest", "needs")}
    few["needs"] = {}
    assert codec.load_spec(json.dumps(few)) == JobSpec("train", SPEC.argv, "/home", "digest", Needs())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec__argv", None),
        ("spec__needs", None),
        ("spec__needs__cpus", "many"),
        ("spec__priority", "high"),
        ("spec__after", 5),
        ("spec__after", [[1, 2]]),
        ("detail__usage", 3),
        ("detail__state", None),
        ("detail__metrics", [["accuracy", "good"]]),
    ],
)
def test_only_damage_is_called_damage(path: str, value: object) -> None:
    with pytest.raises(DamagedRecord):
        codec.load_job(row(JOB, **{path: value}))


def test_a_reason_of_a_later_version_is_passed_over() -> None:
    known = codec.dump_reasons((Reason(ReasonCode.CPUS, needed=2.0, free=1.0),))
    later = [*json.loads(known), {"code": "licences", "need": 3}, {"code": "cpus", "unit": "watts"}]
    later[0]["colour"] = "red"
    assert codec.load_reasons(json.dumps(later)) == codec.load_reasons(known)


def test_a_published_sample_says_who_wrote_it_and_keeps_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    sample = Sample(at=5.0, cpu_busy=0.5, per_core=(0.5,), mem_total_bytes=8, mem_available_bytes=4)
    said = LatestSample(1, 5.0, Capacity(1.0, 8), Gate(), sample)
    latest_sample.write(path, said)
    table = json.loads(path.read_text())
    assert (table["version"], table["schema"]) == (versions.PACKAGE, versions.SCHEMA)
    table["weather"] = table["sample"]["weather"] = table["sample"]["pressure"]["io"] = 1
    table["sample"]["alerts"] = [{"kind": "flood", "subject": "", "text": "", "since_at": 1.0}]
    table["capacity"]["tapes"] = table["gate"]["latch"] = 2
    path.write_text(json.dumps(table))
    found = latest_sample.read(path)
    assert found is not None and found.version == versions.Version(versions.PACKAGE, versions.SCHEMA)
    assert found.sample == sample and found.sample.pressure == Pressure()


def test_a_card_keeps_what_a_later_version_wrote() -> None:
    card = ModelCard("digits", 1, "d" * 8, (), "sklearn", 1.0, 3, 1)
    table = json.loads(json.dumps(card_table(card))) | {"energy_j": 12}
    found = card_of(table)
    assert replace(found, unknown={}) == card and card_table(found)["energy_j"] == 12
    del table["better"], table["signature"]
    assert card_of(table).better == ()
    with pytest.raises(KeyError):
        card_of({"name": "digits"})


def test_a_newer_database_is_left_as_it_is_even_where_its_log_was_left_over(tmp_path: Path) -> None:
    alive, database = tmp_path / "alive.db", tmp_path / "cro.db"
    writer = sqlite3.connect(alive, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE jobs(id)")
    writer.execute("PRAGMA user_version = 99")
    for suffix in ("", "-wal"):  # as a killed scheduler leaves them
        database.with_name(database.name + suffix).write_bytes(Path(f"{alive}{suffix}").read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.glob("cro.db*")}
    with pytest.raises(StateUnavailable, match=r"newer cro-tui \(version 99"):
        schema.connect(database)
    after = {path.name: path.read_bytes() for path in tmp_path.glob("cro.db*") if path.name in before}
    assert before == after
    writer.close()


def test_tables_are_changed_by_who_says_so_only(tmp_path: Path) -> None:
    database = tmp_path / "cro.db"
    schema.connect(database).close()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(Outdated):
        schema.connect(database)
    assert len(schema.MIGRATIONS) == versions.SCHEMA
