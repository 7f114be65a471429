"""Reading stays possible and quick whatever others do, and costs nothing at start-up."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.core.jobs import JobId, ReasonCode, StateName
from jobs.core.ports import NoSuchJob, StateUnavailable
from jobs.core.requests import JobQuery, SubmitRequest

TRUE = SubmitRequest(argv=("true",))


def test_without_a_scheduler_every_waiting_job_says_so(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    assert [reason.code for reason in client.forecasts.explain(job_id).reasons] == [ReasonCode.NO_SCHEDULER]
    assert not client.scheduler.status().running
    snapshot = client.jobs.snapshot()
    assert not snapshot.daemon.running
    assert snapshot.counts == {StateName.QUEUED: 1}
    assert snapshot.matched == 1
    assert snapshot.sample is not None
    assert snapshot.capacity is not None
    assert snapshot.note == ""


def test_reading_works_while_another_process_holds_the_write_lock(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE'); c.execute(\"UPDATE meta SET value = '1' WHERE key = 'draining'\")\n"
        "print('held', flush=True); sys.stdin.readline(); c.execute('ROLLBACK'); c.close()"
    )
    command = [sys.executable, "-c", script, str(client.home.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert [job.id for job in client.jobs.list()] == [job_id]
        assert client.jobs.snapshot().note == ""
        assert not client.scheduler.status().draining
        holder.communicate("done\n")


def test_a_locked_database_makes_a_stale_snapshot_and_never_a_hang(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    assert client.jobs.snapshot().matched == 1
    client.close()
    holder = sqlite3.connect(client.home.database, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE meta SET value = '0' WHERE key = 'draining'")
    stale = client.jobs.snapshot()
    assert "locked" in stale.note
    assert [job.id for job in stale.jobs] == [job_id]
    assert stale.sample is not None
    with pytest.raises(StateUnavailable, match="locked"):
        client.jobs.list()
    holder.execute("ROLLBACK")
    holder.close()
    assert client.jobs.snapshot().note == ""


def test_a_damaged_database_is_unreachable_with_what_to_do(client: Client) -> None:
    client.home.database.write_bytes(b"no database at all, for sure" * 400)
    with pytest.raises(StateUnavailable, match="damaged") as refused:
        client.jobs.list()
    assert "cro-tui daemon" in refused.value.detail
    assert "damaged" in client.jobs.snapshot().note


def test_unknown_jobs(client: Client) -> None:
    for act in (
        client.jobs.get,
        client.forecasts.explain,
        client.jobs.history,
        client.runs.log_path,
        client.runs.output_dir,
    ):
        with pytest.raises(NoSuchJob, match="no job 3"):
            act(JobId(3))
    with pytest.raises(NoSuchJob):
        client.jobs.wait([JobId(3)])


def test_paths_of_a_job_that_has_not_started(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    assert client.runs.log_path(job_id) == client.home.jobs / "0" / "1" / "1" / "output.log"
    assert client.runs.output_dir(job_id, 2) == client.home.jobs / "0" / "1" / "2" / "output"


def test_waiting_without_a_scheduler_says_what_to_do(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    with pytest.raises(StateUnavailable, match="scheduler is not running"):
        client.jobs.wait([job_id])
    (job,) = client.jobs.wait([job_id], timeout_s=0)
    assert job.state.name is StateName.QUEUED


def test_a_service_that_cannot_start_is_not_waited_for(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    assert client.services.wait(job_id, timeout_s=0) is None
    with pytest.raises(StateUnavailable, match="no scheduler runs"):
        client.services.wait(job_id)
    with pytest.raises(NoSuchJob):
        client.services.wait(JobId(3))


def test_the_catalogue_has_the_shipped_recipes_and_the_users(client: Client) -> None:
    found = client.recipes.catalogue()
    assert found.find("counting") is not None
    assert found.find("sklearn_forest") is not None
    assert client.recipes.get("counting").title == "Counts"


@pytest.mark.parametrize("text", ["TRU", "1", "queued"])
def test_text_filters(client: Client, text: str) -> None:
    client.jobs.submit([TRUE])
    assert len(client.jobs.list(JobQuery(text=text))) == 1
    assert client.jobs.list(JobQuery(text=text + "x")) == ()


HEAVY = {
    "psutil", "pynvml", "recipes", "pandas", "sqlite_utils", "platformdirs", "asyncio", "logging",
    "subprocess", "tensorflow", "sklearn", "numpy", "textual", "rich", "click", "hashlib",
    "jobs.policy.decide", "jobs.machine.sensor",
}  # fmt: skip


def loaded_after(script: str, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script + "\nimport sys; print(*sorted(sys.modules))", *words],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return set(done.stdout.split())


def test_importing_the_client_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_after("import jobs.client")


def test_reading_and_submitting_loads_no_library_of_the_jobs(client: Client) -> None:
    client.jobs.list()
    script = (
        "import sys; from pathlib import Path; from jobs.client import Client\n"
        "from jobs.installation.home import Home\nfrom jobs.installation.settings import Settings\n"
        "from jobs.core.requests import SubmitRequest\n"
        "client = Client(Home.find({'CRO_HOME': sys.argv[1]}), Settings())\n"
        "client.jobs.submit([SubmitRequest(argv=('true',))]); client.jobs.snapshot(); client.close()"
    )
    heavy = {
        "pandas",
        "sqlite_utils",
        "tensorflow",
        "sklearn",
        "numpy",
        "textual",
        "rich",
        "click",
        "asyncio",
    }
    assert not heavy & loaded_after(script, str(client.home.data))
