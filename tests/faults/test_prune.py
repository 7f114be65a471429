"""Old jobs' files make room; never those of a job that runs, is kept or is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jobs.core.jobs import Dependency, Failed, JobId
from jobs.daemon.retention import remove
from jobs.installation.home import KEEP
from jobs.upkeep.retention import EndedFiles, to_remove
from tests.daemon.conftest import TOLERANT, Installation, command

DAY_S = 86400.0
NOW = 100 * DAY_S
FILES = st.lists(
    st.builds(
        EndedFiles,
        st.integers(1, 50).map(JobId),
        st.floats(0, NOW),
        st.integers(0, 1000),
        st.booleans(),
    ),
    unique_by=lambda each: each.job_id,
    max_size=20,
)


@given(FILES, st.sampled_from([0.0, DAY_S, 30 * DAY_S]), st.sampled_from([0, 1, 500, 5000]))
def test_what_stays_is_within_the_limits_or_may_not_go(
    files: list[EndedFiles], keep_s: float, max_bytes: int
) -> None:
    gone = set(to_remove(files, NOW, keep_s, max_bytes))
    removed = [each for each in files if each.job_id in gone]
    stays = [each for each in files if each.job_id not in gone]
    free = [each for each in stays if not each.kept and NOW - each.ended_at > 3600]
    assert not any(each.kept or NOW - each.ended_at <= 3600 for each in removed)
    assert keep_s == 0 or all(NOW - each.ended_at <= keep_s for each in free)
    assert max_bytes == 0 or not free or sum(each.size_bytes for each in stays) <= max_bytes
    if keep_s == max_bytes == 0:
        assert not gone
    if keep_s == 0:
        young = min((each.ended_at for each in free), default=NOW)
        assert all(each.ended_at <= young for each in removed), "the oldest go first"


def settings(keep: str) -> str:
    return f"{TOLERANT}\n[keep]\ncheck_s = 0.2\n{keep}\n"


def cro(installation: Installation, *words: str) -> str:
    environ = {**os.environ, "CRO_HOME": str(installation.home.data)}
    done = subprocess.run(
        [sys.executable, "-m", "cro_tui", *words], env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def log_of(installation: Installation, job_id: JobId) -> Path:
    return installation.home.attempt(job_id, 1) / "output.log"


def test_the_oldest_files_go_and_rows_stay(installation: Installation) -> None:
    installation.settings(settings("days = 0"))
    installation.start()
    big = "head -c 3000000 /dev/zero; exit 4"
    kept, old = installation.submit(*[command("sh", "-c", big)] * 2)
    (runs,) = installation.submit(command("sh", "-c", "head -c 3000000 /dev/zero; sleep 600"))
    installation.client.jobs.wait([kept, old], timeout_s=120)
    installation.until(lambda: log_of(installation, runs).stat().st_size == 3_000_000, "its output")
    log_of(installation, kept).with_name(KEEP).touch()
    installation.client.scheduler.stop()
    installation.settings(settings('max = "1M"'))
    installation.start()
    installation.until(lambda: not log_of(installation, old).exists(), "the files to go")
    installation.until(
        lambda: "files removed" in [each.event for each in installation.client.jobs.history(old)],
        "it to be told",
    )
    (new,) = installation.submit(command("true"))
    installation.client.jobs.wait([new], timeout_s=120)
    removed_at = installation.home.removed_at(old)
    assert removed_at is not None
    assert abs(removed_at - time.time()) < 600
    assert log_of(installation, kept).stat().st_size == 3_000_000
    assert log_of(installation, runs).stat().st_size == 3_000_000
    state = installation.client.jobs.get(old).state
    assert isinstance(state, Failed)
    assert state.exit_code == 4
    assert "were removed on" in cro(installation, "logs", str(old))
    assert "to make room" in cro(installation, "show", str(old))
    assert new == runs + 1
    assert log_of(installation, old).parents[1].exists(), "so that no database ever gives its id again"


def test_files_that_a_waiting_job_needs_stay(installation: Installation) -> None:
    installation.settings(settings('max = "1M"'))
    first, second = (command("sh", "-c", "head -c 3000000 /dev/zero") for _ in range(2))
    needed, free = installation.submit(first, second)
    (waits,) = installation.submit(command("true", start_held=True, after=(Dependency(needed),)))
    installation.start()
    installation.client.jobs.wait([needed, free], timeout_s=120)
    installation.until(lambda: not log_of(installation, free).exists(), "the files to go")
    assert log_of(installation, needed).exists()
    installation.client.jobs.release([waits])
    installation.client.jobs.wait([waits], timeout_s=120)
    installation.until(lambda: not log_of(installation, needed).exists(), "its files to go after that")


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    (tmp_path / "1" / "output").mkdir(parents=True)
    (tmp_path / "2").mkdir()
    (tmp_path / "removed").write_text("5.0\n")
    assert remove(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["removed"]
    assert (tmp_path / "removed").read_text() == "5.0\n"
