"""Homes that earlier commits wrote are read, and go on: nothing that waited is lost.

`tests/data/README.md` says how they were made and what is in each. All of them were left by a power cut,
in a boot of their own; that their programs stood in other folders is the one thing that is not as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.upgrade.earlier import ENDED, NAMES, VERSION, Earlier, Table, manifest

RESTARTED = "the machine was restarted while it ran"


def test_every_earlier_version_of_the_tables_has_a_home() -> None:
    assert {manifest(name)["schema"] for name in NAMES} >= set(range(1, VERSION))


# --- as it lies there ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=NAMES)
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Earlier]:
    found = Earlier(request.param, tmp_path_factory.mktemp("earlier") / "home")
    yield found
    found.close()


def test_all_is_read_as_it_was_written(earlier: Earlier) -> None:
    jobs = earlier.jobs()
    assert sorted(jobs) == [was["id"] for was in earlier.was]
    for was in earlier.was:
        job = jobs[was["id"]]
        known = was.keys() - {"unread"}
        assert {key: job[key] for key in known} == {key: was[key] for key in known}
        assert "damaged" not in job["cause"]
        assert earlier.events(was["id"])[:1] == ([] if was["unread"] else ["submitted"])
    (succeeded,) = earlier.named("succeeded")
    assert earlier.log(succeeded["id"]) == "begun\n"
    if curves := earlier.curves(succeeded["id"]):
        assert curves["loss"] == ((1, 0.5), (2, 0.25))
    for fit in earlier.named("fit"):
        packages = earlier.packages(fit["id"])
        assert packages is None or "scikit_learn" in packages
        assert (earlier.output(fit["id"]) / "model.joblib").stat().st_size > 0
    if "optimize" in earlier.said["can"]:  # by then jobs reported, and what they began with was kept
        assert curves
        assert packages is not None


def test_groups_have_their_members_and_counts(earlier: Earlier) -> None:
    groups = earlier.groups()
    assert set(groups) == {said["first"] for said in earlier.said["sweeps"]}
    for said in earlier.said["sweeps"]:
        its = [was for was in earlier.was if was["id"] in said["jobs"]]
        sweep, group = earlier.sweep_of(its[0]["id"]), groups[said["first"]]
        same = ("first", "size", "metric", "better", "optimized")
        assert {key: sweep[key] for key in same} == {key: said[key] for key in same}
        assert sorted(sweep["jobs"]) == said["jobs"] == [was["id"] for was in its]
        assert (group["controller"] is not None) == said["optimized"]
        assert group["size"] == said["size"] == sum(group["counts"].values())
        if not its[0]["unread"]:
            retried = {was["retry_of"] for was in its}  # by one of the sweep: only the retry counts
            assert group["counts"] == Counter(was["state"] for was in its if was["id"] not in retried)
    if "optimize" in earlier.said["can"]:
        first, again = earlier.named("optimize climb")
        assert groups[first["id"]]["controller"] == again["id"]
        assert earlier.group_of(again["id"])["id"] == first["id"]


def test_a_group_knows_the_best_of_its_runs(earlier: Earlier) -> None:
    """Where it knows by which metric they are judged."""
    for said in earlier.said["sweeps"]:
        group = earlier.group_of(said["jobs"][0])
        succeeded = [
            was for was in earlier.was if was["id"] in said["jobs"] and was["state"] == "succeeded"
        ]
        if group["judged_by"] and succeeded:
            best = max(succeeded, key=lambda was: float(was["metrics"]["height"]))
            assert group["best"] == ("height", best["metrics"]["height"], best["id"])


def test_models_are_read_and_copied_out(earlier: Earlier, tmp_path: Path) -> None:
    models = earlier.models()
    assert set(models) == {said["name"] for said in earlier.said["models"]}
    for said in earlier.said["models"]:
        model = models[said["name"]]
        assert model["aliases"] == said["aliases"]
        for card, written in zip(model["versions"], said["versions"], strict=True):
            assert {key: card[key] for key in written} == written
            copy = tmp_path / f"{card['name']}-{card['version']}"
            earlier.export(f"{card['name']}:{card['version']}", copy)
            for file in written["files"]:
                assert (copy / file["path"]).stat().st_size == file["size_bytes"]
    if models:
        assert earlier.version("lines@champion") == 1
        assert earlier.version("lines@challenger") == 2


# --- as it goes on -----------------------------------------------------------------------------------


def fate(was: Table) -> str:
    """What becomes of a job once a scheduler of today has found that all processes are gone."""
    name, state, requeue = was["name"], was["state"], was.get("on_reboot") == "requeue"
    by_name = {
        "to be cancelled": "cancelled",
        "to be held": "held",
        "to be released": "succeeded",
        "stopping": "cancelled",
        "after running well": "cancelled",  # what it waits for did not succeed
        "optimize goes on": "failed",  # queued again, and its program is not on this machine
    }
    if state in ENDED:
        return str(state)
    if name in by_name:
        return by_name[name]
    if state == "paused":
        return "held" if requeue else "lost"
    if state == "running":
        return "queued again" if requeue else "lost"
    return "held" if state == "held" else "succeeded"


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Earlier]]]:
    """All homes, each with a scheduler: they mostly wait, so together they take little longer than one."""

    def begin(name: str, folder: Path) -> Earlier:
        home = Earlier(name, folder)
        home.start()
        return home

    with ThreadPoolExecutor(4) as pool:
        homes = {
            name: pool.submit(begin, name, tmp_path_factory.mktemp("begun") / "home") for name in NAMES
        }
        yield homes
    for home in homes.values():
        if home.exception() is None:
            home.result().close()


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_on_where_it_was(beginning: Mapping[str, Future[Earlier]], name: str) -> None:
    earlier = beginning[name].result()
    again = [was["id"] for was in earlier.was if fate(was) == "queued again"]
    for job_id in again:
        earlier.until_attempt(job_id, 2)
    earlier.cancel(again)  # on a small machine others wait for it
    expected = {was["id"]: "cancelled" if was["id"] in again else fate(was) for was in earlier.was}
    for job_id, state in expected.items():
        earlier.until(job_id, *(ENDED if state in ENDED else (state,)))
    jobs = earlier.jobs()
    told = {was["id"]: was["name"] for was in earlier.was}
    assert {(i, told[i], jobs[i]["state"]) for i in told} == {(i, told[i], expected[i]) for i in told}
    for was in earlier.was:
        job = jobs[was["id"]]
        assert (job["name"], job["command"]) == (was["name"], was["command"])
        if was["state"] not in ENDED:
            assert job["priority"] == (77 if was["name"] == "to be urgent" else was["priority"])
            assert job["state"] != "lost" or job["cause"] == RESTARTED
    for ran in ("waiting", "unread", "room is made"):
        for was in earlier.named(ran):
            assert earlier.log(was["id"]) == "it ran\n"
    if "evict" in earlier.said["can"]:
        (evicted,) = earlier.named("evicted")
        assert earlier.log(evicted["id"]) == "goes on after 7\n"
        assert jobs[evicted["id"]]["attempts"] == evicted["attempts"] + 1
    ended_jobs_are_retried(earlier)
    groups_go_on(earlier)
    assert not earlier.note()


def ended_jobs_are_retried(earlier: Earlier) -> None:
    failed = earlier.named("failed")[-1]["id"]
    job = earlier.until(earlier.retry(failed), *ENDED)
    assert (job["state"], job["exit_code"], job["retry_of"]) == ("failed", 3, failed)


def groups_go_on(earlier: Earlier) -> None:
    """Counts follow what has become of the jobs, and a retried controller is its group's."""
    jobs = earlier.jobs()
    for said in earlier.said["sweeps"]:
        its = [jobs[job_id] for job_id in said["jobs"]]
        retried = {job["retry_of"] for job in its}
        now = Counter(job["state"] for job in its if job["id"] not in retried)
        assert earlier.group_of(its[0]["id"])["counts"] == now
        heights = [job["metrics"]["height"] for job in its if job["state"] == "succeeded"]
        if heights:
            assert jobs[earlier.sweep_of(its[0]["id"])["jobs"][0]]["metrics"]["height"] == max(heights)
    for was in earlier.named("optimize goes on"):
        again = earlier.retry(was["id"])
        group = earlier.group_of(again)
        assert (group["id"], group["controller"]) == (was["id"], again)


# --- where its programs stand as they did ---------------------------------------------------------------


def test_runs_and_controllers_of_earlier_commits_go_on(tmp_path: Path) -> None:
    """As after an update in place: what a job names as its Python is still one, in the same folder."""
    earlier = Earlier("schema-5-models", tmp_path / "home")
    earlier.is_as_if_made_here()
    try:
        earlier.start()
        (controller,) = earlier.named("optimize goes on")
        earlier.until(controller["id"], *ENDED)
        assert "2 trials are there already" in earlier.log(controller["id"])
        for was in earlier.was:
            if was["recipe"] == "climb" and was["state"] == "held":
                earlier.until(was["id"], "held")
                earlier.release(was["id"])
                assert earlier.until(was["id"], *ENDED)["metrics"] == {"height": was["params"]["x"]}
    finally:
        earlier.close()


# --- where the database is gone -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_job_folders_alone_bring_their_jobs_back(name: str, tmp_path: Path) -> None:
    """What each commit wrote into the folders of its jobs is enough to know how they ended."""
    earlier = Earlier(name, tmp_path / "home")
    earlier.loses_its_database()
    jobs = earlier.jobs()
    assert sorted(jobs) == [was["id"] for was in earlier.was if was["attempts"]]
    for was in earlier.was:
        if not was["attempts"] or was["name"] == "evicted":
            continue
        folder = earlier.attempt(was["id"], was["attempts"])
        job, same = jobs[was["id"]], ["command", "cwd", "attempts", "grace_s"]
        if (folder / "exit.json").exists():
            same += ["state", "exit_code", "signal", "metrics", "finished_at"]
        else:
            assert job["state"] == "starting"  # what became of it is found out next
        if json.loads((folder / "spec.json").read_text()).get("record"):
            same += ["name", "recipe", "params", "priority", "after", "sweep", "on_reboot", "checkpoint"]
        assert {key: job[key] for key in same} == {key: was[key] for key in same}
    earlier.close()


def test_a_job_that_saved_for_another_is_not_ended_where_only_its_folder_is_left(tmp_path: Path) -> None:
    """Nobody cancelled it: its folder has its checkpoint, and its promise to go on from it."""
    earlier = Earlier("schema-8", tmp_path / "home")
    earlier.loses_its_database()
    (evicted,) = earlier.named("evicted")
    job = earlier.job(evicted["id"])
    earlier.close()
    assert job["checkpoint"]
    assert job["state"] not in ENDED
