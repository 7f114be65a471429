"""What submit accepts, what it makes of it, and what it refuses before anything is written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.core.jobs import GIB, MIB, Dependency, DependencyKind, Held, JobId, Queued
from jobs.core.ports import BadInput, NeverFits, NoSuchJob, WrongState
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.store.captured_variables import path_of

TRUE = SubmitRequest(argv=("true",))


def test_a_command_keeps_what_it_was_given(client: Client, tmp_path: Path) -> None:
    needs = NeedsRequest(cpus=0.5, mem_bytes=64 * MIB, time_limit_s=60)
    request = SubmitRequest(
        argv=("sh", "-c", "exit 7"), cwd=str(tmp_path), needs=needs, priority=60, grace_s=1
    )
    (job_id,) = client.jobs.submit([request])
    job = client.jobs.get(job_id)
    assert job_id == 1
    assert job.spec.name == "sh"
    assert job.spec.argv == ("sh", "-c", "exit 7")
    assert job.spec.cwd == str(tmp_path)
    assert job.spec.needs.mem_bytes == 64 * MIB
    assert job.spec.needs.mem_is_limit
    assert (job.spec.needs.cpus, job.spec.needs.time_limit_s) == (0.5, 60.0)
    assert (job.spec.priority, job.spec.grace_s) == (60, 1.0)
    assert isinstance(job.state, Queued)


def test_what_nobody_named_comes_from_the_settings(client: Client) -> None:
    (job_id,) = client.jobs.submit([TRUE])
    spec = client.jobs.get(job_id).spec
    assert (spec.needs.cpus, spec.needs.mem_bytes, spec.needs.mem_is_limit) == (1.0, GIB, False)
    assert (spec.grace_s, spec.cwd) == (10.0, str(Path.cwd()))


def test_a_recipe_brings_its_needs_and_flags(client: Client) -> None:
    request = SubmitRequest(
        recipe="counting", params={"rounds": "5"}, needs=NeedsRequest(cpus=0.25), start_held=True
    )
    (job_id,) = client.jobs.submit([request])
    job = client.jobs.get(job_id)
    path = str(client.home.recipes / "counting.py")
    assert job.spec.argv == (sys.executable, path, "--rounds", "5")
    assert job.spec.params == (("rounds", 5),)
    assert (job.spec.recipe, job.spec.framework, job.spec.name) == ("counting", "sklearn", "counting")
    assert (job.spec.needs.cpus, job.spec.needs.mem_bytes) == (0.25, 64 * MIB)
    assert job.spec.needs.mem_is_limit, "a recipe that names its memory means it"
    assert job.spec.grace_s == 3.0
    assert isinstance(job.state, Held)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (SubmitRequest(), "no command"),
        (SubmitRequest(argv=("",)), "no command"),
        (SubmitRequest(argv=("no-such-program-here",)), "no program 'no-such-program-here' on the PATH"),
        (SubmitRequest(argv=("./missing.sh",)), "no program './missing.sh' in"),
        (SubmitRequest(argv=("/etc/passwd",)), "may not be run"),
        (SubmitRequest(argv=("echo", "a\0b")), "zero byte"),
        (SubmitRequest(argv=("true",), cwd="/no/such/folder"), "does not exist"),
        (SubmitRequest(argv=("true",), priority=101), "from 0 to 100"),
        (SubmitRequest(argv=("true",), grace_s=-1), "grace"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=0)), "cpus must be more than 0"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=float("nan"))), "cpus must be more than 0"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(mem_bytes=-5)), "mem must be more than 0"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(gpus=-1)), "gpus must be a whole number"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(gpu_mem_bytes=5)), "at least one GPU"),
        (SubmitRequest(argv=("true",), needs=NeedsRequest(time_limit_s=0)), "time must be more than 0"),
        (SubmitRequest(argv=("true",), recipe="counting"), "not both"),
        (SubmitRequest(argv=("true",), params={"a": 1}), "belong to a recipe"),
        (SubmitRequest(argv=("true",), env={"A=B": "c"}), "variable"),
        (SubmitRequest(recipe="countin"), 'Did you mean "?counting'),
        (SubmitRequest(recipe="broken"), "cannot be used"),
        (SubmitRequest(recipe="counting", params={"rounds": "ten"}), "rounds"),
        (SubmitRequest(recipe="counting", params={"round": 1}), "no parameter"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    client: Client, request_: SubmitRequest, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        client.jobs.submit([TRUE, request_])
    assert client.jobs.list() == ()
    problems = client.forecasts.preview(request_).problems
    assert len(problems) == 1
    assert client.jobs.submit([TRUE]) == (1,)


def test_all_that_is_wrong_is_said_at_once_and_of_several_jobs_which_one(client: Client) -> None:
    request = SubmitRequest(
        recipe="countin", needs=NeedsRequest(cpus=-1, mem_bytes=0), priority=999, cwd="/no/such/folder"
    )
    assert set(client.forecasts.preview(request).problems) == {"recipe", "cpus", "mem", "priority", "cwd"}
    with pytest.raises(BadInput, match=r"^There is no program.*spelling\.$"):
        client.jobs.submit([SubmitRequest(argv=("no-such-program-here",))])
    with pytest.raises(BadInput, match=r"^Job 2 of 3: The working"):
        client.jobs.submit([TRUE, SubmitRequest(argv=("true",), cwd="/no/such/folder"), TRUE])


def test_what_never_fits_is_refused_with_the_numbers(client: Client) -> None:
    capacity = client.machine.capacity()
    with pytest.raises(NeverFits, match=f"needs 4096 cores, and this machine can give {capacity.cpus:g}"):
        client.jobs.submit([SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=4096))])
    with pytest.raises(NeverFits, match="GiB"):
        client.jobs.submit([SubmitRequest(argv=("true",), needs=NeedsRequest(mem_bytes=2**60))])
    assert client.jobs.list() == ()
    assert set(
        client.forecasts.preview(
            SubmitRequest(argv=("true",), needs=NeedsRequest(mem_bytes=2**60))
        ).problems
    ) == {"mem"}


def test_dependencies_must_exist(client: Client) -> None:
    with pytest.raises(NoSuchJob, match="no job 5"):
        client.jobs.submit([SubmitRequest(argv=("true",), after=(Dependency(JobId(5)),))])
    assert set(
        client.forecasts.preview(SubmitRequest(argv=("true",), after=(Dependency(JobId(5)),))).problems
    ) == {"after"}
    (first,) = client.jobs.submit([TRUE])
    (second,) = client.jobs.submit(
        [SubmitRequest(argv=("true",), after=(Dependency(first, DependencyKind.ANY),))]
    )
    assert client.jobs.get(second).spec.after == (Dependency(first, DependencyKind.ANY),)


def test_the_environment_is_a_private_file_and_no_row(client: Client) -> None:
    first, second = client.jobs.submit(
        [TRUE, SubmitRequest(argv=("true",), env={"A": "1", "PATH": os.environ["PATH"]})]
    )
    digest = client.jobs.get(first).spec.env_digest
    assert digest != client.jobs.get(second).spec.env_digest
    path = path_of(client.home.captured_variables, digest)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["TOKEN"] == "xyzzy-secret"
    (third,) = client.jobs.submit([TRUE])
    assert client.jobs.get(third).spec.env_digest == digest
    assert len(list(client.home.captured_variables.iterdir())) == 2
    for file in client.home.data.glob("cro.db*"):
        assert b"xyzzy-secret" not in file.read_bytes()


def test_a_preview_writes_nothing(client: Client) -> None:
    preview = client.forecasts.preview(
        SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=0.1, mem_bytes=MIB))
    )
    assert preview.problems == {}
    assert preview.needs is not None
    assert preview.starts_now or preview.reasons
    assert list(client.home.captured_variables.iterdir()) == []
    assert client.jobs.list() == ()


def test_a_hundred_alike_are_queued_at_once(client: Client) -> None:
    assert client.jobs.submit([TRUE] * 100) == tuple(range(1, 101))
    assert len(client.jobs.list(JobQuery(limit=500))) == 100


def test_wishes_are_checked_before_they_are_written(client: Client) -> None:
    queued, held = client.jobs.submit([TRUE, SubmitRequest(argv=("true",), start_held=True)])
    with pytest.raises(NoSuchJob):
        client.jobs.cancel([queued, JobId(77)])
    with pytest.raises(WrongState):
        client.jobs.release([held, queued])
    with pytest.raises(WrongState):
        client.jobs.hold([held])
    with pytest.raises(WrongState, match="only an ended job"):
        client.jobs.retry([queued])
    with pytest.raises(BadInput):
        client.jobs.set_priority([queued], 101)
    with pytest.raises(BadInput):
        client.jobs.set_priority([queued])
    client.jobs.cancel([])


def test_whether_it_may_be_stopped_for_others_is_the_recipes_word_or_the_persons(client: Client) -> None:
    text = '# /// script\n# [tool.cro]\n# title = "x"\n# checkpoint = true\n# ///\n'
    (client.home.recipes / "saves.py").write_text(text)
    asked = (
        SubmitRequest(recipe="saves"),
        SubmitRequest(recipe="saves", checkpoint=False),
        SubmitRequest(recipe="counting"),
        TRUE,
        SubmitRequest(argv=("true",), checkpoint=True),
    )
    promised = [client.jobs.get(job_id).spec.checkpoint for job_id in client.jobs.submit(asked)]
    assert promised == [True, False, False, False, True]
