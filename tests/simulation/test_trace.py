"""Traces as text: our CSV columns, the Standard Workload Format, and what is refused."""

from __future__ import annotations

import pytest

from jobs.core.jobs import GIB
from jobs.core.ports import BadInput
from jobs.simulation.replay import machine_of
from jobs.simulation.trace import on_box, read_csv, read_swf, work_s
from tests.simulation.traces import heavy_tailed

HEAD = "submit_s,runtime_s,requested_runtime_s,cpus,mem_gb,gpus,gpu_frac,user\n"


def test_a_csv_line_is_a_job() -> None:
    late, early = "9,60,3600,2,4,1,0.5,u1\n", "3,5,,1,1,0,0,u2\n"
    first, second = read_csv(HEAD + late + early)
    assert (first.submit_s, first.run_s, first.limit_s, first.gpus, first.user) == (3.0, 5.0, None, 0, "u2")
    assert (second.cpus, second.mem_bytes, second.gpus, second.gpu_share) == (2.0, 4 * GIB, 1, 0.5)


def test_an_swf_line_is_a_job_and_minus_one_is_unknown() -> None:
    (job,) = read_swf("; UnixStartTime: 0\n1 100 5 60 4 -1 2048 8 600 -1 1 7 1 1 1 1 -1 -1\n")
    assert (job.submit_s, job.run_s, job.cpus, job.limit_s, job.user) == (100.0, 60.0, 4.0, 600.0, "u7")
    assert job.mem_bytes == 4 * 2048 * 1024


@pytest.mark.parametrize("line", ["1,x,2,1,1,0,0,u\n", "1,2,3,-4,1,0,0,u\n", "1,nan,2,1,1,0,0,u\n"])
def test_what_cannot_be_is_refused(line: str) -> None:
    with pytest.raises(BadInput):
        read_csv(HEAD + line)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInput, match="runtime_s"):
        read_csv("submit_s,cpus,mem_gb\n1,2,3\n")


def test_arrivals_are_stretched_to_the_load_and_run_times_are_not() -> None:
    machine = machine_of(16, 64, 4)
    jobs = heavy_tailed(300)
    replayed = on_box(jobs, machine, 0.7)
    assert [job.run_s for job in replayed] == [job.run_s for job in jobs]
    assert work_s(replayed, machine) / replayed[-1].submit_s == pytest.approx(0.7)
    assert {job.submit_s for job in on_box(jobs, machine, None)} == {0.0}
