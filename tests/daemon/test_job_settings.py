"""What `[jobs]` in settings.toml says reaches the jobs of a real scheduler."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.conftest import TOLERANT, Installation, command

TELL = "cat /proc/self/oom_score_adj; seq 100000"


def printed(installation: Installation) -> Path:
    (job_id,) = installation.submit(command("sh", "-c", TELL))
    installation.client.jobs.wait([job_id], timeout_s=120)
    return installation.client.runs.log_path(job_id)


def test_jobs_stand_back_and_have_long_logs_unless_told_otherwise(installation: Installation) -> None:
    installation.settings(TOLERANT.replace("low_priority = false", ""))
    installation.start()
    lines = printed(installation).read_text().splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("500", 100_001, "100000")


def test_a_person_can_have_it_otherwise(installation: Installation) -> None:
    installation.settings(TOLERANT.replace("[jobs]", '[jobs]\nlog_max = "64K"'))
    installation.start()
    path = printed(installation)
    # the end of a job is told before its log is written anew
    installation.until(lambda: path.stat().st_size < 80_000, "the log to be short")
    lines = path.read_text().splitlines()
    assert lines[0] == Path("/proc/self/oom_score_adj").read_text().strip() != "500"
    assert sum("of output dropped here" in line for line in lines) == 1
    assert lines[-1] == "100000"
