"""Alerts: told once when something was wrong for long enough, over once it was right for long enough."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobs.core.jobs import GIB, JobId, ReasonCode
from jobs.core.machine import Alert, AlertKind, Capacity, Device, DeviceSample, Pressure, Sample
from jobs.policy.decide import decide
from jobs.upkeep.alerts import LEVELS, AlertReading, AlertTracker, readings_of, track
from tests.policy.worlds import only, queued, sample, started, world

FULL = (AlertKind.MEMORY, "full")


def full(percent: float) -> list[AlertReading]:
    return [AlertReading(*FULL, percent, f"{percent} %")]


def test_it_is_told_after_a_while_and_over_only_well_below_and_after_another() -> None:
    watch = track(AlertTracker(), full(98), 0.0)
    assert watch.alerts == ()
    watch = track(watch, full(98.5), 9.0)
    assert watch.alerts == ()
    watch = track(watch, full(99), 10.0)
    assert watch.alerts == (Alert(*FULL, 0.0, 99, "99 %"),)
    for at, percent in ((20, 95), (60, 94), (61, 92), (80, 95), (81, 92), (110, 92)):
        watch = track(watch, full(percent), float(at))
        assert len(watch.alerts) == 1, (at, percent)
    assert track(watch, full(92), 111.0) == AlertTracker()


def test_a_moment_of_calm_begins_the_wait_anew() -> None:
    watch = track(track(track(AlertTracker(), full(98), 0.0), full(50), 8.0), full(98), 9.0)
    assert track(watch, full(98), 12.0).alerts == ()
    assert track(watch, full(98), 19.0).alerts[0].since_at == 9.0


def test_what_is_read_no_more_is_over_in_time_and_a_clock_that_was_set_back_hurts_nothing() -> None:
    watch = track(track(AlertTracker(), full(98), 1000.0), full(98), 1010.0)
    assert watch.alerts
    watch = track(watch, [], 5.0)
    assert watch.alerts
    assert track(watch, [], 35.0) == AlertTracker()


@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 100)), max_size=60))
def test_it_never_flaps_and_never_stands_without_cause(steps: list[tuple[float, float]]) -> None:
    level, watch, now, told_at, over_at = LEVELS[FULL], AlertTracker(), 0.0, None, None
    for wait_s, percent in steps:
        now += wait_s
        before, watch = watch, track(watch, full(percent), now)
        raised = bool(watch.standing) and not before.standing
        cleared = bool(before.standing) and not watch.standing
        if raised:
            assert percent >= level.raise_at
            assert watch.standing[FULL].since_at <= now - level.raise_after_s
            told_at = now
        if cleared:
            assert percent < level.clear_at and told_at is not None
            assert now - told_at >= level.clear_after_s
            over_at = now
        if watch.standing and over_at is not None and raised:
            assert now - over_at >= level.raise_after_s
        assert not (watch.above_since and watch.standing)


def test_everything_that_is_watched_has_its_sentence_and_its_level() -> None:
    capacity = Capacity(8, 64 * GIB, (Device("a", 0, "A", 1), Device("b", 1, "B", 1)))
    sample = Sample(
        0.0,
        mem_total_bytes=64 * GIB,
        mem_available_bytes=1 * GIB,
        pressure=Pressure(memory_full_avg10=40.0),
        devices=(DeviceSample("a", temperature_c=95.0, throttled=True, ecc_errors=2, xid=31),),
        gpu_note="lost GPU 1: it fell off the bus",
    )
    readings = readings_of(
        sample, capacity, disk=(GIB, 100 * GIB), log_bytes={JobId(7): 5 * GIB}, log_kept_bytes=GIB
    )
    watch = track(track(AlertTracker(), readings, 0.0), readings, 60.0)
    assert [alert.text for alert in watch.alerts] == [
        "GPU 1 cannot be read: lost GPU 1: it fell off the bus.",
        "Memory is nearly full: 1.0 GiB of 64.0 GiB are left.",
        "All work stands still 40 % of the time for want of memory.",
        "The disk of cro-tui's files is nearly full: 1.0 GiB of 100.0 GiB are left.",
        "GPU 0 reported XID 31 (a program touched memory that is not its own); dmesg says more.",
        "GPU 0 has had 2 memory errors that could not be corrected.",
        "GPU 0 is too hot: its clocks are held down.",
        "GPU 0 is at 95 degrees Celsius.",
        "Job #7 has written 5.0 GiB to its log; 1.0 GiB are kept.",
    ]
    assert readings_of(Sample(0.0), Capacity(8, GIB)) == []  # what is not read is not wrong


def test_nothing_starts_while_an_alert_stands_where_the_rules_say_so() -> None:
    alert = Alert(AlertKind.DISK, "state", 0.0, 99.0, "The disk is full.")
    alarmed = world(queued(1), read=replace(sample(), alerts=(alert,)))
    assert started(decide(alarmed)) == [1]
    plan = decide(replace(alarmed, settings=replace(alarmed.settings, pause_on_alert=True)))
    reason = only(plan, 1)
    assert (plan.starts, reason.code, reason.detail) == ((), ReasonCode.ALERT, "The disk is full.")
