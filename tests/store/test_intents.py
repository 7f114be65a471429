"""An acknowledged submit is never lost, whoever dies; wishes that cannot be are refused."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core.jobs import Dependency, Held, JobId, Queued, ReasonCode, StateName
from jobs.core.ports import NoSuchJob, WrongState
from jobs.core.requests import JobQuery
from jobs.store.intents import IntentKind, Intents
from jobs.store.queries import Queries
from tests.store.conftest import spec

SUBMITTER = """
import sys
from pathlib import Path
from jobs.store.intents import Intents
from jobs.core.jobs import JobSpec
intents = Intents(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    ids = intents.submit([JobSpec(f"{sys.argv[2]}-{number}", ("true",), "/", "0")] * 2, 1.0)
    print(*ids, flush=True)
"""


def submitter(database: Path, name: str, rounds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, str(database), name, str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_eight_submitters_at_once_lose_nothing(database: Path, queries: Queries) -> None:
    processes = [submitter(database, f"p{number}", 25) for number in range(8)]
    ids = [int(word) for process in processes for word in process.communicate(timeout=60)[0].split()]
    assert sorted(ids) == list(range(1, 401)), "ids are dense and given once"
    with queries.snapshot() as view:
        jobs, matched = view.jobs(JobQuery(limit=1000))
    assert matched == 400
    assert {job.id for job in jobs} == set(ids)


def test_every_id_that_was_given_out_survives_kill_9(database: Path, queries: Queries) -> None:
    given: set[int] = set()
    for round_number in range(3):
        process = submitter(database, f"r{round_number}", 10**6)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20 + 30 * round_number)]
        process.send_signal(signal.SIGKILL)
        lines += process.communicate(timeout=20)[0].splitlines(keepends=True)
        given |= {int(word) for line in lines if line.endswith("\n") for word in line.split()}
    connection = sqlite3.connect(database)
    kept = {row[0] for row in connection.execute("SELECT job_id FROM intents WHERE kind = 'submit'")}
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert given <= kept
    assert kept == set(range(1, max(kept) + 1))
    with queries.snapshot() as view:
        assert view.counts() == {StateName.QUEUED: len(kept)}


def test_a_submit_is_seen_at_once(intents: Intents, queries: Queries) -> None:
    first, second = intents.submit([spec("a", priority=70), spec("b", start_held=True)], 5.0)
    with queries.snapshot() as view:
        queued, held = view.job(first), view.job(second)
        assert view.counts() == {StateName.QUEUED: 2}
    assert queued.state == Queued(5.0)
    assert queued.spec.priority == 70
    assert [reason.code for reason in queued.reasons] == [ReasonCode.NOT_SEEN]
    assert isinstance(held.state, Held)


def test_all_or_nothing(intents: Intents, queries: Queries) -> None:
    with pytest.raises(NoSuchJob, match="no job 9"):
        intents.submit([spec(), spec(after=(Dependency(JobId(9)),))], 1.0)
    (first,) = intents.submit([spec()], 1.0)
    assert first == 1, "a refused submit takes no ids"
    with pytest.raises(NoSuchJob, match="no job 2"):
        intents.submit([spec(after=(Dependency(JobId(2)),))], 1.0)
    with pytest.raises(NoSuchJob):
        intents.control(IntentKind.CANCEL, [first, JobId(55)], 1.0)
    with queries.snapshot() as view:
        assert view.counts() == {StateName.QUEUED: 1}


def test_wishes_that_do_not_suit_the_state_are_refused(intents: Intents) -> None:
    queued, held = intents.submit([spec(), spec(start_held=True)], 1.0)
    with pytest.raises(WrongState, match=f"Job {queued} is queued"):
        intents.control(IntentKind.RELEASE, [queued], 1.0)
    with pytest.raises(WrongState, match=f"Job {held} is held"):
        intents.control(IntentKind.HOLD, [held], 1.0)
    intents.control(IntentKind.CANCEL, [queued, held], 1.0)
    intents.control(IntentKind.PRIORITY, [queued], 1.0, {"delta": 5})


@pytest.mark.parametrize("job_id", [0, -1, 2**63, 10**30])
def test_odd_ids_are_just_unknown(intents: Intents, queries: Queries, job_id: int) -> None:
    with pytest.raises(NoSuchJob):
        intents.control(IntentKind.CANCEL, [JobId(job_id)], 1.0)
    with queries.snapshot() as view, pytest.raises(NoSuchJob):
        view.job(JobId(job_id))


def test_names_that_are_not_utf8_can_be_queued(intents: Intents, queries: Queries) -> None:
    (job_id,) = intents.submit([spec("odd\udcff", argv=("cat", "\udcff"))], 1.0)
    with queries.snapshot() as view:
        assert view.job(job_id).spec.argv == ("cat", "\udcff")
