"""What a job reserves by what earlier runs used: what was named is kept, and the machine is the most."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.jobs import GIB, MIB, JobSpec, Needs, Usage
from jobs.core.machine import Capacity
from jobs.core.rules import SchedulerSettings
from jobs.policy.history import UNKNOWN, RunHistory, after_restart, after_run, after_save, forecast_of
from jobs.policy.sizing import History, RunUsage, learned_needs, used, with_run
from tests.policy.worlds import gpu

BOX = Capacity(16.0, 64 * GIB, (gpu(0, 24),))
ASKED = Needs(cpus=4.0, mem_bytes=12 * GIB, mem_is_limit=True)


def forest(needs: Needs = ASKED, *, explicit_needs: tuple[str, ...] = (), trees: int = 100) -> JobSpec:
    params = (("n_estimators", trees),)
    return JobSpec(
        "forest",
        ("py",),
        "/",
        "",
        needs,
        recipe="forest",
        params=params,
        explicit_needs=explicit_needs,
        user="ann",
    )


def after(runs: list[Usage], asked: JobSpec, ran: JobSpec | None = None) -> tuple[Needs, int]:
    """What `asked` reserves when `ran` has used that."""
    known: dict[str, RunHistory] = {}
    for usage in runs:
        known |= after_run(ran or asked, 60.0, usage, known.get)
    made = forecast_of(asked, known.get, BOX, SchedulerSettings())
    return made.needs or asked.needs, made.sized_runs


def peaks(*gib: float, cpus: float | None = None) -> list[Usage]:
    return [Usage(peak_mem_bytes=int(each * GIB), cpus=cpus) for each in gib]


def test_one_run_is_no_evidence() -> None:
    assert after(peaks(1.0), forest()) == (ASKED, 0)


def test_few_runs_count_by_the_largest_and_never_for_less_than_a_quarter() -> None:
    assert after(peaks(2.0, 3.0), forest())[0].mem_bytes == 6 * GIB
    assert after(peaks(0.1, 0.1), forest())[0].mem_bytes == 3 * GIB


def test_many_runs_leave_a_small_margin_above_the_largest() -> None:
    needs, runs = after(peaks(*[2.0, 2.1, 1.9, 2.0, 2.05, 1.95, 2.0, 2.0]), forest())
    assert runs == 8
    assert 2.1 * GIB < needs.mem_bytes < 2.7 * GIB
    assert needs.mem_bytes % MIB == 0


def test_what_was_declared_is_the_most_and_what_nobody_declared_may_grow() -> None:
    assert after(peaks(20.0, 20.0, 20.0), forest())[0].mem_bytes == 12 * GIB
    default = replace(ASKED, mem_bytes=GIB, mem_is_limit=False)
    assert after(peaks(6.0, 6.0, 6.0), forest(default))[0].mem_bytes > 6 * GIB


def test_it_never_reserves_more_than_the_machine_can_give() -> None:
    default = replace(ASKED, mem_bytes=GIB, mem_is_limit=False)
    needs, _ = after(peaks(60.0, 62.0), forest(default))
    assert needs.mem_bytes <= 64 * GIB - int(64 * GIB * 0.05)


def test_what_the_person_named_is_kept() -> None:
    runs = peaks(*[1.0] * 6, cpus=1.0)
    assert after(runs, forest(explicit_needs=("mem", "cpus"))) == (ASKED, 0)
    needs, _ = after(runs, forest(explicit_needs=("mem",)))
    assert (needs.mem_bytes, needs.cpus) == (ASKED.mem_bytes, 1.0)


def test_cores_go_by_the_most_that_one_run_used_and_stay_where_they_are_about_right() -> None:
    runs = [Usage(cpus=1.2), Usage(cpus=2.1), Usage(cpus=0.4)]
    assert after(runs, forest())[0].cpus == 2.1
    assert after([Usage(cpus=3.8)] * 3, forest())[0].cpus == 4.0
    assert after([Usage(cpus=0.3)] * 3, forest())[0].cpus == 1.0, "a whole core is the least"
    small = replace(ASKED, cpus=0.5)
    assert after([Usage(cpus=0.1)] * 3, forest(small))[0].cpus == 0.5


def test_a_whole_gpu_stays_whole_and_a_share_is_learned() -> None:
    whole = replace(ASKED, gpus=1)
    runs = [Usage(gpu_mem_bytes=4 * GIB)] * 4
    assert after(runs, forest(whole))[0].gpu_mem_bytes is None
    share = replace(whole, gpu_mem_bytes=16 * GIB)
    assert after(runs, forest(share))[0].gpu_mem_bytes == int(4 * GIB * 1.6) + GIB // 2
    assert after(runs, forest(share, explicit_needs=("vram",)))[0].gpu_mem_bytes == 16 * GIB


def test_a_bigger_run_of_the_same_program_does_not_go_by_smaller_ones() -> None:
    small, big = forest(trees=10), forest(trees=1000)
    assert after(peaks(*[1.0] * 6), big, ran=small) == (ASKED, 0)
    assert after(peaks(*[1.0] * 6), forest(trees=12), ran=small)[0].mem_bytes < 2 * GIB
    assert after(peaks(*[8.0] * 6), small, ran=big)[0].mem_bytes > 8 * GIB, "more of it is an upper bound"


def grown(*trees: int, gib_a_tree: float = 0.05) -> dict[str, RunHistory]:
    """What is remembered of runs whose memory grows with their trees, one run each."""
    known: dict[str, RunHistory] = {}
    for each in trees:
        usage = Usage(peak_mem_bytes=int(each * gib_a_tree * GIB))
        known |= after_run(forest(trees=each), 60.0, usage, known.get)
    return known


def test_memory_that_grows_with_the_size_is_foreseen_for_sizes_that_never_ran() -> None:
    known = grown(10, 20, 40, 80, 160)
    foreseen = {}
    for trees in (5, 30, 100, 640):
        needs = forecast_of(forest(trees=trees), known.get, BOX, SchedulerSettings()).needs
        foreseen[trees] = (needs or ASKED).mem_bytes / GIB
    assert 0.5 < foreseen[5] < 0.7, "as the smallest that was seen: a part of it never shrinks"
    assert 1.5 < foreseen[30] < 1.9
    assert 5.0 < foreseen[100] < 6.2
    assert foreseen[640] == 12.0, "beyond half as much again as was ever seen, what was asked for counts"


def test_memory_that_does_not_grow_with_the_size_is_not_made_to() -> None:
    known: dict[str, RunHistory] = {}
    for trees, gib in [(10, 2.0), (20, 1.0), (40, 2.0), (80, 1.0), (160, 1.5)]:
        known |= after_run(forest(trees=trees), 60.0, Usage(peak_mem_bytes=int(gib * GIB)), known.get)
    needs = forecast_of(forest(trees=60), known.get, BOX, SchedulerSettings()).needs
    assert needs is not None
    assert needs.mem_bytes <= 4 * GIB


def test_a_setting_switches_it_off() -> None:
    known = {"program recipe forest": (RunUsage(GIB, None, 1.0, 6.6),) * 6}
    assert learned_needs(forest(), known.get, BOX, SchedulerSettings(learned_needs=False)) == (None, 0)


def test_old_runs_are_forgotten() -> None:
    history: History = ()
    for number in range(40):
        history = with_run(history, used(forest(), Usage(peak_mem_bytes=number)))
    assert (len(history), history[0].mem_bytes) == (32, 8)


def test_a_program_that_does_not_save_twice_in_a_row_is_asked_no_more() -> None:
    known: dict[str, RunHistory] = {}

    def trusted() -> bool:
        return forecast_of(forest(), known.get, BOX, SchedulerSettings()).saves

    for saved, expected in [(False, True), (True, True), (False, True), (False, False), (True, True)]:
        known |= after_save(forest(), saved, 1.0, known.get)
        assert trusted() is expected
    assert after_save(JobSpec("x", (), "/", ""), False, 1.0, known.get) == {}
    assert known.get("nothing", UNKNOWN).failed_saves == 0


def test_what_a_restart_costs_is_known_once_both_halves_were_seen() -> None:
    known: dict[str, RunHistory] = {}

    def cost_s() -> float | None:
        return forecast_of(forest(), known.get, BOX, SchedulerSettings()).restart_cost_s

    known |= after_save(forest(), True, 2.0, known.get)
    assert cost_s() is None
    known |= after_restart(forest(trees=7), 10.0, known.get)
    assert cost_s() == 12.0, "other arguments of the same program"
    known |= after_restart(forest(), 20.0, known.get)
    assert cost_s() == pytest.approx(15.0), "newer ones count more, no single one for all"
    known |= after_save(forest(), False, 30.0, known.get)
    assert cost_s() == pytest.approx(15.0), "who was killed has not saved"
    known |= after_run(forest(), 60.0, Usage(), known.get)
    assert cost_s() == pytest.approx(15.0)


@given(
    st.lists(st.integers(1, 80 * GIB), min_size=0, max_size=40),
    st.integers(MIB, 60 * GIB),
    st.booleans(),
)
def test_what_is_reserved_stays_within_what_was_seen_asked_for_and_there(
    seen: list[int], asked: int, declared: bool
) -> None:
    spec = forest(replace(ASKED, mem_bytes=asked, mem_is_limit=declared))
    needs, _ = after([Usage(peak_mem_bytes=peak) for peak in seen], spec)
    assert needs.mem_bytes <= max(asked, BOX.mem_bytes)
    assert needs.mem_bytes > 0
    if declared:
        assert needs.mem_bytes <= asked
    elif len(seen) >= 5:
        assert needs.mem_bytes <= max(asked, 1.5 * max(seen[-32:]) + MIB)


@pytest.mark.parametrize("exact", [(), ("a",)])
def test_a_command_is_known_by_its_words(exact: tuple[str, ...]) -> None:
    spec = JobSpec("t", ("python", "train.py", *exact), "/", "", ASKED)
    assert after(peaks(*[1.0] * 6), spec)[0].mem_bytes < 2 * GIB
