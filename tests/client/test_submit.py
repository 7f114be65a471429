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


def test_a_command_keeps_what_it_was_given(api: Client, tmp_path: Path) -> None:
    needs = NeedsRequest(cpus=0.5, mem_bytes=64 * MIB, time_limit_s=60)
    request = SubmitRequest(
        argv=("sh", "-c", "exit 7"), cwd=str(tmp_path), needs=needs, priority=60, grace_s=1
    )
    (job_id,) = api.submit([request])
    job = api.job(job_id)
    assert job_id == 1
    assert job.spec.name == "sh"
    assert job.spec.argv == ("sh", "-c", "exit 7")
    assert job.spec.cwd == str(tmp_path)
    assert job.spec.needs.mem_bytes == 64 * MIB
    assert job.spec.needs.mem_is_limit
    assert (job.spec.needs.cpus, job.spec.needs.time_limit_s) == (0.5, 60.0)
    assert (job.spec.priority, job.spec.grace_s) == (60, 1.0)
    assert isinstance(job.state, Queued)


def test_what_nobody_named_comes_from_the_settings(api: Client) -> None:
    (job_id,) = api.submit([TRUE])
    spec = api.job(job_id).spec
    assert (spec.needs.cpus, spec.needs.mem_bytes, spec.needs.mem_is_limit) == (1.0, GIB, False)
    assert (spec.grace_s, spec.cwd) == (10.0, str(Path.cwd()))


def test_a_recipe_brings_its_needs_and_flags(api: Client) -> None:
    request = SubmitRequest(
        recipe="counting", params={"rounds": "5"}, needs=NeedsRequest(cpus=0.25), start_held=True
    )
    (job_id,) = api.submit([request])
    job = api.job(job_id)
    path = str(api.home.recipes / "counting.py")
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
    api: Client, request_: SubmitRequest, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        api.submit([TRUE, request_])
    assert api.jobs() == ()
    problems = api.preview(request_).problems
    assert len(problems) == 1
    assert api.submit([TRUE]) == (1,)


def test_what_never_fits_is_refused_with_the_numbers(api: Client) -> None:
    capacity = api.capacity()
    with pytest.raises(NeverFits, match=f"needs 4096 cores, and this machine can give {capacity.cpus:g}"):
        api.submit([SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=4096))])
    with pytest.raises(NeverFits, match="GiB"):
        api.submit([SubmitRequest(argv=("true",), needs=NeedsRequest(mem_bytes=2**60))])
    assert api.jobs() == ()
    assert set(
        api.preview(SubmitRequest(argv=("true",), needs=NeedsRequest(mem_bytes=2**60))).problems
    ) == {"mem"}


def test_dependencies_must_exist(api: Client) -> None:
    with pytest.raises(NoSuchJob, match="no job 5"):
        api.submit([SubmitRequest(argv=("true",), after=(Dependency(JobId(5)),))])
    assert set(api.preview(SubmitRequest(argv=("true",), after=(Dependency(JobId(5)),))).problems) == {
        "after"
    }
    (first,) = api.submit([TRUE])
    (second,) = api.submit([SubmitRequest(argv=("true",), after=(Dependency(first, DependencyKind.ANY),))])
    assert api.job(second).spec.after == (Dependency(first, DependencyKind.ANY),)


def test_the_environment_is_a_private_file_and_no_row(api: Client) -> None:
    first, second = api.submit(
        [TRUE, SubmitRequest(argv=("true",), env={"A": "1", "PATH": os.environ["PATH"]})]
    )
    digest = api.job(first).spec.env_digest
    assert digest != api.job(second).spec.env_digest
    path = path_of(api.home.captured_variables, digest)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["TOKEN"] == "xyzzy-secret"
    (third,) = api.submit([TRUE])
    assert api.job(third).spec.env_digest == digest
    assert len(list(api.home.captured_variables.iterdir())) == 2
    for file in api.home.data.glob("cro.db*"):
        assert b"xyzzy-secret" not in file.read_bytes()


def test_a_preview_writes_nothing(api: Client) -> None:
    preview = api.preview(SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=0.1, mem_bytes=MIB)))
    assert preview.problems == {}
    assert preview.needs is not None
    assert preview.starts_now or preview.reasons
    assert list(api.home.captured_variables.iterdir()) == []
    assert api.jobs() == ()


def test_a_hundred_alike_are_queued_at_once(api: Client) -> None:
    assert api.submit([TRUE] * 100) == tuple(range(1, 101))
    assert len(api.jobs(JobQuery(limit=500))) == 100


def test_wishes_are_checked_before_they_are_written(api: Client) -> None:
    queued, held = api.submit([TRUE, SubmitRequest(argv=("true",), start_held=True)])
    with pytest.raises(NoSuchJob):
        api.cancel([queued, JobId(77)])
    with pytest.raises(WrongState):
        api.release([held, queued])
    with pytest.raises(WrongState):
        api.hold([held])
    with pytest.raises(WrongState, match="only an ended job"):
        api.retry([queued])
    with pytest.raises(BadInput):
        api.set_priority([queued], 101)
    with pytest.raises(BadInput):
        api.set_priority([queued])
    api.cancel([])


def test_whether_it_may_be_stopped_for_others_is_the_recipes_word_or_the_persons(api: Client) -> None:
    text = '# /// script\n# [tool.cro]\n# title = "x"\n# checkpoint = true\n# ///\n'
    (api.home.recipes / "saves.py").write_text(text)
    asked = (
        SubmitRequest(recipe="saves"),
        SubmitRequest(recipe="saves", checkpoint=False),
        SubmitRequest(recipe="counting"),
        TRUE,
        SubmitRequest(argv=("true",), checkpoint=True),
    )
    promised = [api.job(job_id).spec.checkpoint for job_id in api.submit(asked)]
    assert promised == [True, False, False, False, True]
