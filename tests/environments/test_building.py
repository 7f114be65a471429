"""Recipes whose packages are not here: built once by uv, shared, told when it fails, never half used."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobs.core.jobs import Cancelled, Failed, JobId
from jobs.core.requests import JobQuery, SubmitRequest
from jobs.environments import folder, installed
from jobs.kinds.environment import PROGRAM
from recipes.model import Recipe
from tests.daemon.conftest import Installation
from tests.environments.conftest import recipe, wheel

X = {"x": 1}


def _builds(installation: Installation) -> list[int]:
    jobs = installation.client.jobs.list(JobQuery(limit=1000))
    return sorted(job.id for job in jobs if job.spec.name.startswith("environment for "))


def test_it_is_built_once_and_shared_by_a_sweep_other_recipes_and_later_runs(
    installation: Installation,
) -> None:
    client, recipes = installation.client, installation.home.recipes
    recipe(recipes, "one", "crotiny>=1")
    recipe(recipes, "other", "croinner", "crotiny")
    assert client.forecasts.preview(SubmitRequest(recipe="one")).builds == 1
    sweep = client.jobs.submit([SubmitRequest(recipe="one", params={"x": x}) for x in range(6)], sweep=True)
    (second,) = client.jobs.submit([SubmitRequest(recipe="other", params=X)])
    assert _builds(installation) == [1, 8] and sweep[0] == 2
    assert client.jobs.get(JobId(1)).spec.name == "environment for one"
    installation.start()
    ended = client.jobs.wait([*sweep, second], timeout_s=60)
    assert [job.state.name for job in ended] == ["succeeded"] * 7, client.runs.log_path(
        JobId(1)
    ).read_text()
    assert [dict(job.metrics)["x"] for job in ended[:6]] == list(range(6))

    (made,) = client.environments.list()
    digest, packages = client.environments.of_job(sweep[0])
    assert digest == made.digest == client.environments.of_job(second)[0] and {*made.recipes} == {
        "one",
        "other",
    }
    assert packages == ("croinner==1.0", "crotiny==1.2") and made.packages == 2
    assert str(installation.home.recipe_environments / digest) in client.runs.log_path(sweep[0]).read_text()

    listed = subprocess.run(
        [sys.executable, "-m", "cro_tui", "environments"],
        env={**os.environ, "CRO_HOME": str(installation.home.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest in listed.stdout and "one" in listed.stdout

    (later,) = client.jobs.submit([SubmitRequest(recipe="one", params=X)])
    assert _builds(installation) == [1, 8] and not client.jobs.get(later).spec.after
    installation.until_state(later, "succeeded")
    client.environments.remove([digest[:6]])
    assert client.environments.list() == ()
    (again,) = client.jobs.retry([later])
    installation.until_state(again, "succeeded")
    assert _builds(installation) == [1, 8, 11] and client.environments.of_job(again)[0] == digest


def test_a_failed_build_says_why_and_a_retry_of_the_job_builds_again(
    installation: Installation, index: Path
) -> None:
    client = installation.client
    recipe(installation.home.recipes, "later", "crotiny>=2")
    (job,) = client.jobs.submit([SubmitRequest(recipe="later", params=X)])
    installation.start()
    build = installation.until_state(JobId(1), "failed").state
    assert isinstance(build, Failed) and "crotiny" in build.cause and ">=2" in build.cause
    state = installation.until_state(job, "cancelled").state
    assert isinstance(state, Cancelled) and build.cause.rstrip(".") in state.cause
    wheel(index, "crotiny", "2.0")
    (again,) = client.jobs.retry([job])
    assert dict(installation.until_state(again, "succeeded").metrics)["major"] == 2


def test_what_is_satisfied_is_looked_up_again_once_packages_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here_now = tmp_path / "site-packages"
    (here_now / "crotiny-1.2.dist-info").mkdir(parents=True)
    (here_now / "crotiny-1.2.dist-info" / "METADATA").write_text("Name: crotiny\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(here_now))
    asked = Recipe("one", tmp_path / "one.py", "One", dependencies=("crotiny>=1",))
    assert installed.wanted_now(asked, tmp_path) is None
    assert installed.wanted_now(asked, tmp_path) is None
    shutil.rmtree(here_now / "crotiny-1.2.dist-info")
    found = installed.wanted_now(asked, tmp_path)
    assert found is not None and found.dependencies == ("crotiny>=1",)


def test_without_network_it_is_said_at_once(installation: Installation, environ: dict[str, str]) -> None:
    del environ["UV_NO_INDEX"], environ["UV_FIND_LINKS"]
    recipe(installation.home.recipes, "far", "crotiny")
    (job,) = installation.submit(SubmitRequest(recipe="far", params=X))
    installation.start()
    state = installation.until_state(job, "cancelled").state
    assert isinstance(state, Cancelled)
    assert "uv has no network, and does not have them in its cache. Go online, then retry." in state.cause


def test_a_killed_builder_leaves_nothing_half_used_and_its_job_builds_again(
    installation: Installation, index: Path
) -> None:
    """uv stands still in the middle of it: the newest wheel is a pipe that nobody writes to."""
    gate = index / "crotiny-9.0-py3-none-any.whl"
    os.mkfifo(gate)
    client = installation.client
    recipe(installation.home.recipes, "slow", "crotiny")
    (job,) = client.jobs.submit([SubmitRequest(recipe="slow", params=X)])
    installation.start()
    running = installation.until_state(JobId(1), "running")
    installation.until(lambda: list(installation.home.recipe_environments.glob(".new-*")), "the build")
    tree = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if PROGRAM[-1] in (words := process.info["cmdline"] or ()) and str(installation.home.data) in words
    ]
    assert tree and running.state.name == "running"
    for pid in tree:
        os.kill(pid, signal.SIGKILL)
    assert installation.until_state(job, "cancelled") and client.environments.list() == ()
    gate.unlink()
    (again,) = client.jobs.retry([job])
    installation.until_state(again, "succeeded")
    folder.prune(installation.home.recipe_environments, (), 0)
    assert not list(installation.home.recipe_environments.glob(".new-*"))


def test_the_longest_unused_goes_beyond_the_size_but_never_a_needed_one(
    installation: Installation, index: Path
) -> None:
    client, venvs = installation.client, installation.home.recipe_environments
    wheel(index, "crotiny", "3.0")
    for name, needs in (("old", "crotiny<2"), ("new", "crotiny==3.0")):
        recipe(installation.home.recipes, name, needs)
    made = client.jobs.submit([SubmitRequest(recipe=name, params=X) for name in ("old", "new")])
    installation.start()
    for job in client.jobs.wait(made, timeout_s=60):
        assert job.state.name == "succeeded"
    old, new = (client.environments.of_job(job)[0] for job in made)
    os.utime(venvs / old / folder.COMPLETE, (1, 1))
    os.utime(venvs / new / folder.COMPLETE, (2, 2))
    (held,) = client.jobs.submit([SubmitRequest(recipe="old", params=X, start_held=True)])
    os.utime(venvs / old / folder.COMPLETE, (1, 1))
    installation.until_state(held, "held")
    assert {each.digest: each.needed for each in client.environments.list()} == {old: True, new: False}
    object.__setattr__(client.settings.environments, "max_bytes", 1)
    assert client.environments.prune() == (new,)
    client.jobs.cancel([held])
    installation.until_state(held, "cancelled")
    assert client.environments.prune() == (old,) and client.environments.list() == ()
