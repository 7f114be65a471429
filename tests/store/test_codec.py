"""What is written reads back the same; what was damaged says so and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.jobs import (
    Cancelled,
    Dependency,
    DependencyKind,
    Failed,
    Grant,
    Held,
    Job,
    JobId,
    JobSpec,
    Lost,
    Needs,
    OutOfMemory,
    Paused,
    Queued,
    Reason,
    ReasonCode,
    Running,
    Starting,
    State,
    Succeeded,
    TimedOut,
    Unit,
    Usage,
)
from jobs.core.machine import Capacity, Device, DeviceSample, Pressure, Sample
from jobs.store import codec
from jobs.store.codec import DamagedRecord

texts = st.text(max_size=20)
numbers = st.floats(0, 1e12)
sizes = st.integers(0, 2**50)
usages = st.builds(Usage, st.none() | numbers, st.none() | sizes, st.none() | sizes)
grants = st.builds(Grant, st.lists(texts, max_size=2).map(tuple))
specs = st.builds(
    JobSpec,
    name=texts,
    argv=st.lists(texts, min_size=1, max_size=3).map(tuple),
    cwd=texts,
    env_digest=texts,
    needs=st.builds(Needs, numbers, sizes, st.integers(0, 8), st.none() | sizes, st.none() | numbers),
    priority=st.integers(0, 100),
    after=st.lists(
        st.builds(Dependency, st.integers(1, 9).map(JobId), st.sampled_from(DependencyKind)), max_size=2
    ).map(tuple),
    recipe=st.none() | texts,
    params=st.lists(st.tuples(texts, st.booleans() | st.integers() | numbers | texts), max_size=2).map(
        tuple
    ),
    retry_of=st.none() | st.integers(1, 9).map(JobId),
    expected_s=st.none() | numbers,
)
codes = st.none() | st.integers(0, 255)


def with_usage(usage: Usage) -> st.SearchStrategy[State]:
    kept = st.just(usage)
    return st.one_of(
        st.builds(Queued, numbers),
        st.builds(Held, numbers, texts),
        st.builds(Starting, numbers, st.integers(1, 3), grants),
        st.builds(Running, numbers, st.integers(1, 3), grants, st.integers(1, 99), st.none() | numbers),
        st.builds(Paused, numbers, numbers, st.integers(1, 3), grants, st.integers(1, 99)),
        st.builds(Succeeded, numbers, numbers, kept),
        st.builds(Failed, st.none() | numbers, numbers, codes, codes, texts, kept),
        st.builds(Cancelled, st.none() | numbers, numbers, codes, codes, kept, texts),
        st.builds(TimedOut, numbers, numbers, codes, codes, numbers, kept),
        st.builds(OutOfMemory, numbers, numbers, codes, codes, st.none() | sizes, st.none() | sizes, kept),
        st.builds(Lost, st.none() | numbers, numbers, texts, kept),
    )


jobs = usages.flatmap(
    lambda usage: st.builds(
        Job,
        st.just(JobId(7)),
        specs,
        with_usage(usage),
        numbers,
        st.integers(0, 3),
        st.just(usage),
        metrics=st.lists(st.tuples(texts, numbers), max_size=2).map(tuple),
    )
)


def row(job: Job, **changes: Any) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.name.value,
        "priority": job.spec.priority,
        "submitted_at": job.submitted_at,
        "attempts": job.attempts,
        "spec": codec.dump_spec(job.spec),
        "detail": codec.dump_detail(job),
        "reasons": None,
        "estimated_start_at": None,
    } | changes


@given(jobs)
def test_a_job_reads_back_as_it_was_written(job: Job) -> None:
    assert codec.load_job(row(job)) == job


def test_the_priority_of_the_row_counts() -> None:
    job = Job(JobId(1), JobSpec("a", ("a",), "/", ""), Queued(0.0), 0.0)
    assert codec.load_job(row(job, priority=90)).spec.priority == 90


@given(
    jobs,
    st.sampled_from(["spec", "detail"]),
    st.text() | st.sampled_from(["{}", "[]", "null", "1", '{"state":7}']),
)
def test_damaged_text_is_damaged_and_nothing_else(job: Job, column: str, text: str) -> None:
    with pytest.raises(DamagedRecord):
        codec.load_job(row(job, **{column: text}))


def test_needs_that_are_no_numbers_are_damaged() -> None:
    job = Job(JobId(1), JobSpec("a", ("a",), "/", ""), Queued(0.0), 0.0)
    text = codec.dump_spec(job.spec).replace('"cpus":1.0', '"cpus":"many"')
    with pytest.raises(DamagedRecord, match="many"):
        codec.load_job(row(job, spec=text))


def test_arguments_that_are_not_utf8_survive() -> None:
    spec = JobSpec("a", ("cat", "\udcff.csv"), "/", "")
    text = codec.dump_spec(spec)
    assert codec.load_spec(text.encode().decode()) == spec


def test_reasons_read_back() -> None:
    reasons = (
        Reason(ReasonCode.MEMORY, 10.0, 4.5, Unit.BYTES, (JobId(3),), 99.5, "a\nb"),
        Reason(ReasonCode.HELD),
    )
    assert codec.load_reasons(codec.dump_reasons(reasons)) == reasons
    with pytest.raises(DamagedRecord):
        codec.load_reasons('[{"needed":3}]')


def test_a_sample_and_a_capacity_read_back() -> None:
    sample = Sample(
        5.0, 1.5, None, (0.5, 1.0), 8, 4, None, 0.3, Pressure(memory_full_avg10=1.0),
        (DeviceSample("GPU-1", 5, foreign_processes=1),), {JobId(4): Usage(cpu_s=1.0)}, None,
    )  # fmt: skip
    assert codec.load_sample(codec.load(codec.dump(codec.dump_sample(sample)))) == sample
    capacity = Capacity(2.0, 8, (Device("GPU-1", 0, "T4", 16),))
    assert codec.load_capacity(codec.load(codec.dump(codec.dump_capacity(capacity)))) == capacity


def test_a_metric_that_is_not_a_number_survives() -> None:
    usage = Usage()
    job = Job(
        JobId(1),
        JobSpec("a", ("a",), "/", ""),
        Succeeded(0.0, 1.0, usage),
        0.0,
        1,
        metrics=(("loss", math.nan),),
    )
    ((name, value),) = codec.load_job(row(job)).metrics
    assert name == "loss"
    assert math.isnan(value)
