"""Real jobs on a real daemon: each ends with its true fate, and every wish of a person is obeyed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from jobs.core.jobs import (
    Cancelled,
    Dependency,
    DependencyKind,
    Failed,
    Held,
    JobId,
    Paused,
    ReasonCode,
    StateName,
    Succeeded,
    TimedOut,
)
from jobs.core.ports import WrongState
from jobs.core.requests import NeedsRequest, SubmitRequest
from tests.daemon.conftest import SECRET, Installation, command


def test_each_job_ends_with_its_own_exit_code(installation: Installation) -> None:
    installation.start()
    ids = installation.submit(command("true"), command("false"), command("sh", "-c", "exit 7"))
    good, bad, seven = (job.state for job in installation.client.jobs.wait(ids, timeout_s=120))
    assert isinstance(good, Succeeded)
    assert good.finished_at >= good.started_at
    assert isinstance(bad, Failed)
    assert bad.exit_code == 1
    assert isinstance(seven, Failed)
    assert seven.exit_code == 7
    events = [entry.event for entry in installation.client.jobs.history(ids[0])]
    assert events == ["submitted", "starting", "running", "succeeded"]
    assert installation.client.jobs.snapshot().counts == {StateName.SUCCEEDED: 1, StateName.FAILED: 2}


def test_the_log_and_the_environment_of_a_job(installation: Installation, tmp_path: Path) -> None:
    installation.start()
    script = 'echo "$SECRET $OMP_NUM_THREADS" > "$CRO_OUTPUT_DIR/seen"; pwd; echo done >&2'
    (job_id,) = installation.submit(command("sh", "-c", script, cwd=str(tmp_path)))
    installation.client.jobs.wait([job_id], timeout_s=120)
    assert installation.client.runs.log_path(job_id).read_text() == f"{tmp_path}\ndone\n"
    assert (installation.client.runs.output_dir(job_id) / "seen").read_text() == f"{SECRET} 1\n"
    for path in (*installation.home.data.glob("cro.db*"), installation.home.scheduler_log):
        assert SECRET.encode() not in path.read_bytes(), path
    for path in installation.home.attempt(job_id, 1).glob("*.json*"):
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_job_submitted_before_there_is_a_scheduler_runs_once_there_is(installation: Installation) -> None:
    ids = installation.submit(*[command("true")] * 20)
    installation.start()
    assert {job.state.name for job in installation.client.jobs.wait(ids, timeout_s=120)} == {
        StateName.SUCCEEDED
    }


def test_cancel_running_waiting_and_held(installation: Installation, cores: float) -> None:
    installation.start()
    running, waiting, held = installation.submit(
        command("sleep", "600", cpus=cores),
        command("sleep", "600", cpus=cores),
        command("true", start_held=True),
    )
    installation.until_state(running, "running")
    reason = installation.client.forecasts.explain(waiting).reasons[0]
    installation.until(
        lambda: installation.client.forecasts.explain(waiting).reasons[0].code is ReasonCode.CPUS,
        "the reason cpus",
    )
    reason = installation.client.forecasts.explain(waiting).reasons[0]
    assert (reason.needed, reason.jobs) == (cores, (running,))
    assert installation.client.forecasts.explain(held).reasons[0].code is ReasonCode.HELD
    installation.client.jobs.cancel([running, waiting, held])
    for job in installation.client.jobs.wait([running, waiting, held], timeout_s=120):
        assert isinstance(job.state, Cancelled), job
    with pytest.raises(WrongState, match="cancelled"):
        installation.client.jobs.cancel([running])


def test_hold_release_and_priority_of_waiting_jobs(installation: Installation, cores: float) -> None:
    installation.start()
    client = installation.client
    blocker, first, second = installation.submit(
        command("sleep", "600", cpus=cores), command("true", cpus=cores), command("true", cpus=cores)
    )
    installation.until_state(blocker, "running")
    client.jobs.set_priority([second], delta=200)
    installation.until(
        lambda: client.jobs.get(second).spec.priority == 100, "the priority to be clipped to 100"
    )
    client.jobs.hold([first])
    assert isinstance(installation.until_state(first, "held").state, Held)
    client.jobs.cancel([blocker])
    client.jobs.wait([second], timeout_s=120)
    assert client.jobs.get(first).state.name is StateName.HELD
    client.jobs.release([first])
    (job,) = client.jobs.wait([first], timeout_s=120)
    assert isinstance(job.state, Succeeded)


def test_pause_and_resume_of_a_running_job(installation: Installation) -> None:
    installation.start()
    (job_id,) = installation.submit(command("sleep", "600"))
    installation.until_state(job_id, "running")
    installation.client.jobs.hold([job_id])
    assert isinstance(installation.until_state(job_id, "paused").state, Paused)
    installation.client.jobs.release([job_id])
    installation.until_state(job_id, "running")
    installation.client.jobs.hold([job_id])
    installation.until_state(job_id, "paused")
    installation.client.jobs.cancel([job_id])
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Cancelled)


def test_drain_starts_nothing_new(installation: Installation) -> None:
    installation.start()
    installation.client.scheduler.drain(True)
    installation.until(lambda: installation.client.scheduler.status().draining, "draining")
    (job_id,) = installation.submit(command("true"))
    installation.until(
        lambda: (
            [r.code for r in installation.client.forecasts.explain(job_id).reasons] == [ReasonCode.DRAINING]
        ),
        "a reason",
    )
    installation.client.scheduler.stop()
    installation.start()
    assert installation.client.scheduler.status().draining, "a drain outlives the daemon"
    installation.client.scheduler.drain(False)
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Succeeded)


def test_dependencies_ok_any_and_never(installation: Installation) -> None:
    installation.start()
    good, bad = installation.submit(
        command("sh", "-c", "sleep 0.2"), command("sh", "-c", "sleep 0.2; exit 3")
    )

    def after(on: JobId, kind: DependencyKind) -> SubmitRequest:
        return command("true", after=(Dependency(on, kind),))

    ok_good, any_bad, ok_bad = installation.submit(
        after(good, DependencyKind.OK), after(bad, DependencyKind.ANY), after(bad, DependencyKind.OK)
    )
    (chained,) = installation.submit(after(ok_bad, DependencyKind.OK))
    jobs = installation.client.jobs.wait([good, bad, ok_good, any_bad, ok_bad, chained], timeout_s=120)
    names = [job.state.name.value for job in jobs]
    assert names == ["succeeded", "failed", "succeeded", "succeeded", "cancelled", "cancelled"]
    for job, needed in ((jobs[2], jobs[0]), (jobs[3], jobs[1])):
        assert isinstance(job.state, Succeeded)
        assert job.state.started_at >= needed.state.finished_at  # type: ignore[union-attr]
    assert f"#{bad}" in jobs[4].state.cause  # type: ignore[union-attr]
    (late,) = installation.submit(after(bad, DependencyKind.OK))
    assert isinstance(installation.client.jobs.wait([late], timeout_s=120)[0].state, Cancelled)


def test_retry_keeps_what_was_asked_and_follows_the_newest_retry(
    installation: Installation, tmp_path: Path
) -> None:
    installation.start()
    flag = tmp_path / "flag"
    (bad,) = installation.submit(command("sh", "-c", f"test -e {flag}"))
    (dependent,) = installation.submit(command("true", after=(Dependency(bad),)))
    installation.client.jobs.wait([bad, dependent], timeout_s=120)
    flag.touch()
    (again,) = installation.client.jobs.retry([bad], NeedsRequest(mem_bytes=48 * 2**20))
    (dependent_again,) = installation.client.jobs.retry([dependent])
    first, second = installation.client.jobs.wait([again, dependent_again], timeout_s=120)
    assert isinstance(first.state, Succeeded)
    assert first.spec.retry_of == bad
    assert first.spec.argv == installation.client.jobs.get(bad).spec.argv
    assert (first.spec.needs.mem_bytes, first.spec.needs.cpus) == (48 * 2**20, 0.1)
    assert isinstance(second.state, Succeeded)
    assert second.spec.after == (Dependency(again),)


def test_time_limit(installation: Installation) -> None:
    installation.start()
    needs = NeedsRequest(cpus=0.1, mem_bytes=32 * 2**20, time_limit_s=0.3)
    (job_id,) = installation.submit(SubmitRequest(argv=("sleep", "600"), needs=needs, grace_s=1))
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, TimedOut)
    assert job.state.limit_s == pytest.approx(0.3)


def test_what_earlier_runs_took_is_expected_of_the_next(installation: Installation) -> None:
    installation.start()
    (first,) = installation.submit(command("sleep", "0.3"))
    installation.client.jobs.wait([first], timeout_s=120)
    (second,) = installation.submit(command("sleep", "0.3"))
    expected_s = installation.client.jobs.get(second).spec.expected_s
    assert expected_s is not None
    assert 0.3 <= expected_s < 20


def test_a_job_that_cannot_be_launched_disturbs_nobody(installation: Installation) -> None:
    first, second = installation.submit(command("true", start_held=True), command("true"))
    digest = installation.client.jobs.get(first).spec.env_digest
    (other,) = installation.submit(command("true", env={"PATH": "/usr/bin:/bin", "A": "b"}))
    (installation.home.captured_variables / f"{digest}.json").unlink()
    installation.start()
    (job,) = installation.client.jobs.wait([other], timeout_s=120)
    assert isinstance(job.state, Succeeded)
    (job,) = installation.client.jobs.wait([second], timeout_s=120)
    assert isinstance(job.state, Failed)


def test_a_damaged_row_disturbs_nobody(installation: Installation) -> None:
    bad, good = installation.submit(command("true", start_held=True), command("true"))
    installation.start()
    installation.client.jobs.wait([good], timeout_s=120)
    installation.client.scheduler.stop()
    installation.submit(command("true", after=(Dependency(bad),)))
    vandal = sqlite3.connect(installation.home.database)
    vandal.execute("UPDATE jobs SET spec = '{', state = 'queued' WHERE id = ?", (bad,))
    vandal.commit()
    vandal.close()
    installation.start()
    (last,) = installation.submit(command("true"))
    assert isinstance(installation.client.jobs.wait([last], timeout_s=120)[0].state, Succeeded)
    damaged = installation.client.jobs.get(bad)
    assert damaged.state.name is StateName.LOST
    assert "damaged" in damaged.state.cause  # type: ignore[union-attr]
