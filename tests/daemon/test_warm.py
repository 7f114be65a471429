"""Warm starts in a whole installation: kept while recipes come, told in the story, no cause of failure."""

from __future__ import annotations

import psutil

from jobs.core.jobs import JobId, Succeeded
from jobs.core.requests import SubmitRequest
from tests.daemon.conftest import TOLERANT, Installation

RECIPE = """# /// script
# [tool.cro]
# title = "Small"
# framework = "sklearn"
# {more}
# ///
import sklearn.ensemble
print("ran")
"""


def queue(installation: Installation, count: int, more: str = "") -> tuple[JobId, ...]:
    (installation.home.recipes / "small.py").write_text(RECIPE.format(more=more))
    ids = installation.submit(*[SubmitRequest(recipe="small")] * count)
    for job in installation.client.jobs.wait(ids, timeout_s=120):
        assert isinstance(job.state, Succeeded), installation.client.runs.log_path(job.id).read_text()
    return ids


def how(installation: Installation, job_id: JobId) -> str:
    (running,) = [entry for entry in installation.client.jobs.history(job_id) if entry.event == "running"]
    return running.detail.partition(", ")[2]


def zygotes(installation: Installation) -> list[psutil.Process]:
    daemon = psutil.Process(installation.client.scheduler.status().pid)
    return [each for each in daemon.children() if any(w.endswith("zygote.py") for w in each.cmdline())]


def test_recipes_start_warm_and_what_dies_is_replaced(installation: Installation) -> None:
    installation.start()
    first = queue(installation, 3)
    assert all(how(installation, job_id).startswith("started warm in ") for job_id in first)
    (zygote,) = zygotes(installation)
    zygote.kill()
    installation.until(lambda: not zygote.is_running(), "the warm process to be gone")
    second = queue(installation, 3)
    assert any(how(installation, job_id).startswith("started warm in ") for job_id in second)
    assert len(zygotes(installation)) == 1


def test_a_recipe_and_the_settings_may_forbid_it(installation: Installation) -> None:
    installation.start()
    (job_id,) = queue(installation, 1, "warm = false")
    assert how(installation, job_id) == "started cold: its recipe says warm = false"
    assert zygotes(installation) == []
    installation.client.scheduler.stop()
    installation.settings(TOLERANT.replace("[admission]", "[admission]\nwarm_starts = false"))
    installation.start()
    (job_id,) = queue(installation, 1)
    assert how(installation, job_id) == "started cold: warm starts are switched off"
    assert zygotes(installation) == []


def test_it_goes_after_idling(installation: Installation) -> None:
    installation.settings(TOLERANT.replace("[admission]", "[admission]\nwarm_idle_s = 0.5"))
    installation.start()
    queue(installation, 1)
    watcher = installation.client.scheduler.watch()
    try:
        installation.until(lambda: not zygotes(installation), "the idle warm process to leave")
    finally:
        watcher.close()


def test_a_scheduler_that_dies_leaves_none_behind(installation: Installation) -> None:
    installation.start()
    queue(installation, 1)
    (zygote,) = zygotes(installation)
    installation.kill()
    installation.until_gone(zygote.pid)
