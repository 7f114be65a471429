"""Jobs in words: states, fates, rows, the why panel, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cro_tui import present
from jobs.core.jobs import (
    GIB,
    MIB,
    Cancelled,
    Dependency,
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
    StateName,
    Succeeded,
    TimedOut,
    Unit,
    Usage,
)
from jobs.core.machine import Capacity, Device

NOW = 1_764_000_000.0
SPEC = JobSpec("forest", ("python", "forest.py"), "/tmp", "d", Needs(2, 8 * GIB), recipe="sklearn_forest")
GRANT = Grant(("GPU-1",))
USED = Usage(cpu_s=20.0, mem_bytes=4 * GIB, peak_mem_bytes=5 * GIB, cpus=1.9)
STATES: dict[StateName, State] = {
    state.name: state
    for state in (
        Queued(NOW - 5),
        Held(NOW - 5),
        Starting(NOW - 1, 1, GRANT),
        Running(NOW - 723, 1, GRANT, 99),
        Paused(NOW - 5, NOW - 60, 1, GRANT, 99),
        Succeeded(NOW - 20, NOW - 10, USED),
        Failed(NOW - 20, NOW - 10, 7, None, "exit code 7", USED),
        Cancelled(NOW - 20, NOW - 10, None, 15, USED),
        TimedOut(NOW - 20, NOW - 10, None, 9, 3600.0, USED),
        OutOfMemory(NOW - 20, NOW - 10, None, 9, 12 * GIB, 8 * GIB, USED),
        Lost(NOW - 20, NOW - 10, "the machine was restarted", USED),
    )
}


def job(state: State, **changes: object) -> Job:
    return replace(Job(JobId(42), SPEC, state, NOW - 800, usage=USED), **changes)  # type: ignore[arg-type]


def test_every_state_has_its_own_short_word() -> None:
    assert set(present.STATE_WORDS) == set(StateName)
    words = [present.state_word(job(state)) for state in STATES.values()]
    assert len(set(words)) == len(StateName)
    assert all(2 < len(word) <= 5 for word in words)


def test_a_job_being_stopped_says_so() -> None:
    running = Running(NOW, 1, GRANT, 99, cancel_requested_at=NOW)
    assert present.state_word(job(running)) == "STOP?"
    assert present.job_row(job(running), NOW).why == "stopping"


@pytest.mark.parametrize(
    ("state", "short", "sentence"),
    [
        (STATES[StateName.SUCCEEDED], "done", "done in 10s"),
        (STATES[StateName.FAILED], "exit code 7", "failed: exit code 7"),
        (
            Failed(NOW, NOW, None, 11, "segmentation fault", USED),
            "SIGSEGV",
            "failed: ended by SIGSEGV (segmentation fault)",
        ),
        (
            Failed(None, NOW, None, None, "no such program\x1b[2J", USED),
            "no such program[2J",
            "could not start: no such program[2J",
        ),
        (STATES[StateName.CANCELLED], "stopped", "cancelled by you"),
        (
            Cancelled(None, NOW, None, None, Usage()),
            "taken out of the queue",
            "cancelled by you, it never ran",
        ),
        (STATES[StateName.TIMED_OUT], "over 1h00m", "stopped at its time limit of 1h00m"),
        (STATES[StateName.OUT_OF_MEMORY], "memory 12.0G > 8.0G", "used 12.0G, limit 8.0G"),
        (
            OutOfMemory(NOW, NOW, None, 9, 3 * GIB, None, USED),
            "memory",
            "the machine ran out of memory, it used 3.0G",
        ),
        (STATES[StateName.LOST], "the machine was restarted", "lost: the machine was restarted"),
        (STATES[StateName.RUNNING], "", ""),
    ],
)
def test_fates(state: State, short: str, sentence: str) -> None:
    assert present.result_short(job(state)) == short
    assert present.result_sentence(job(state)) == sentence


def test_metrics_are_the_fate_of_a_success() -> None:
    done = job(STATES[StateName.SUCCEEDED], metrics=(("accuracy", 0.94234), ("f1", 0.9)))
    assert present.result_short(done) == "accuracy 0.9423  f1 0.9"
    assert present.result_sentence(done) == "done in 10s: accuracy 0.9423  f1 0.9"


def test_a_waiting_row() -> None:
    reasons = (Reason(ReasonCode.CPUS, 4, 2.4, Unit.CPUS), Reason(ReasonCode.MEMORY))
    row = present.job_row(job(Queued(NOW), reasons=reasons, estimated_start_at=NOW + 960), NOW)
    assert (row.id, row.state, row.why, row.eta) == ("42", "WAIT", "4 cores, 2.4 free", "~16m")
    assert (row.cpus, row.mem, row.elapsed, row.progress) == ("-", "-", "-", None)


def test_a_running_row() -> None:
    running = job(STATES[StateName.RUNNING], spec=replace(SPEC, expected_s=723.0 + 1200))
    row = present.job_row(running, NOW, 0.38)
    assert (row.cpus, row.mem, row.elapsed, row.eta) == ("1.9", "4.0G", "00:12:03", "20m")
    assert row.progress == 0.38


def test_an_ended_row_shows_peaks_and_the_average() -> None:
    row = present.job_row(job(STATES[StateName.FAILED]), NOW, 0.5)
    assert (row.why, row.cpus, row.mem, row.elapsed) == ("exit code 7", "2", "5.0G", "00:00:10")
    assert row.progress is None


def test_what_was_not_measured_is_a_dash() -> None:
    bare = job(Running(NOW - 5, 1, Grant(), 9), usage=Usage())
    row = present.job_row(bare, NOW)
    assert (row.cpus, row.mem) == ("-", "-")


@pytest.mark.parametrize("state", STATES.values(), ids=lambda state: state.name)
def test_every_state_has_rows_lines_and_a_next_step(state: State) -> None:
    hostile = replace(SPEC, name="\x1b]0;x\x07[red]na\nme\u202e", argv=("a\x1b[2J",))
    each = job(state, spec=hostile)
    row = present.job_row(each, NOW)
    assert row.name == "]0;x[red]na me"
    assert all(line.text.isprintable() for line in present.why_lines(each, NOW))
    step = present.next_step(each)
    assert step.key
    assert step.command.startswith("cro-tui ")
    assert "42" in step.command


def test_the_next_step_after_out_of_memory_offers_more() -> None:
    step = present.next_step(job(STATES[StateName.OUT_OF_MEMORY]))
    assert step.command == "cro-tui retry 42 --mem 16G"
    assert step.sentence == "r retries it with 16.0G"
    small = job(
        OutOfMemory(NOW, NOW, None, 9, 70 * MIB, 64 * MIB, USED),
        spec=replace(SPEC, needs=Needs(1, 64 * MIB)),
    )
    assert present.next_step(small).command == "cro-tui retry 42 --mem 1G"


def test_the_why_panel_marks_what_is_short_and_what_is_fine() -> None:
    capacity = Capacity(16, 64 * GIB, (Device("GPU-1", 0, "A100", 24 * GIB),))
    reason = Reason(ReasonCode.GPU_MEMORY, 10 * GIB, 6 * GIB, Unit.BYTES, (JobId(41),), NOW + 900)
    waiting = job(
        Queued(NOW),
        spec=replace(SPEC, needs=Needs(2, 8 * GIB, 1, 10 * GIB), after=(Dependency(JobId(3)),)),
        reasons=(reason,),
        estimated_start_at=NOW + 960,
    )
    lines = [str(line) for line in present.why_lines(waiting, NOW, capacity)]
    assert "x VRAM  needs 10.0G, free  6.0G" in lines
    assert "v CPU   needs     2 of 16" in lines
    assert "v MEM   needs  8.0G of 64.0G" in lines
    assert "v after #3" in lines
    assert any("(~16m), when #41 ends." in line for line in lines)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (ReasonCode.HELD, "cro-tui release 42"),
        (ReasonCode.TOO_BIG, "cro-tui cancel 42"),
        (ReasonCode.DEPENDENCY_FAILED, "cro-tui cancel 42"),
        (ReasonCode.NO_SCHEDULER, "cro-tui daemon"),
        (ReasonCode.DRAINING, "cro-tui daemon --no-drain"),
        (ReasonCode.CPUS, ""),
    ],
)
def test_where_waiting_does_not_help_it_says_what_does(code: ReasonCode, advice: str) -> None:
    waiting = job(Queued(NOW), reasons=(Reason(code),))
    assert advice in present.advice_for(waiting)
    lines = [line.text for line in present.why_lines(waiting, NOW)]
    assert any(advice in line for line in lines)
    assert ("When it starts cannot be told yet." in lines) == (not advice)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (ReasonCode.HELD, "h "),
        (ReasonCode.TOO_BIG, " x,"),
        (ReasonCode.DEPENDENCY_FAILED, " x,"),
        (ReasonCode.NO_SCHEDULER, "S "),
        (ReasonCode.DRAINING, "P "),
    ],
)
def test_on_the_screen_the_advice_names_a_key_and_no_command(code: ReasonCode, key: str) -> None:
    advice = present.advice_for(job(Queued(NOW), reasons=(Reason(code),)), keys=True)
    assert key in advice
    assert "cro-tui" not in advice


def test_when_it_fits_is_said_once() -> None:
    reason = Reason(ReasonCode.CPUS, 1, 0, Unit.CPUS, (JobId(3),), until_at=NOW + 60)
    waiting = replace(job(Queued(NOW), reasons=(reason,)), estimated_start_at=NOW + 60)
    text = "\n".join(line.text for line in present.why_lines(waiting, NOW))
    assert text.count(present.clock_text(NOW + 60, NOW)) == 1


@pytest.mark.parametrize("state", STATES.values(), ids=lambda state: state.name)
def test_json_has_the_same_keys_for_every_state(state: State) -> None:
    each = job(state, reasons=(Reason(ReasonCode.CPUS, 4, 2.4, Unit.CPUS, (JobId(3),)),))
    table = json.loads(json.dumps(present.job_json(each, NOW)))
    assert set(table) == set(present.job_json(job(Queued(NOW)), NOW))
    assert table["id"] == 42
    assert table["state"] == state.name.value
    assert table["command"] == ["python", "forest.py"]
    assert table["needs"]["mem_bytes"] == 8 * GIB
    assert table["reasons"][0]["code"] == "cpus"
    assert table["reasons"][0]["free"] == 2.4
    assert table["started_at"] == getattr(state, "started_at", None)
    assert table["finished_at"] == getattr(state, "finished_at", None)
    assert table["exit_code"] == getattr(state, "exit_code", None)
