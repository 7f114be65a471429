"""Every reason has words for a list and a sentence, and both show its numbers."""

from __future__ import annotations

import pytest

from cro_tui import present
from jobs.core.jobs import GIB, JobId, Reason, ReasonCode, Unit

NOW = 1_764_000_000.0
J = tuple(JobId(number) for number in (41, 39, 38, 7, 8))

CASES: list[tuple[Reason, str, list[str]]] = [
    (Reason(ReasonCode.NOT_SEEN), "not seen yet", ["queued"]),
    (Reason(ReasonCode.AHEAD, 312, unit=Unit.JOBS), "312 others first", ["312 others go first"]),
    (Reason(ReasonCode.AHEAD, 1, unit=Unit.JOBS), "1 other first", ["1 other goes first"]),
    (Reason(ReasonCode.AHEAD), "others go first", ["Others go first"]),
    (
        Reason(ReasonCode.CPUS, 4, 2.4, Unit.CPUS, J[:2], NOW + 960),
        "4 cores, 2.4 free",
        ["4 cores", "2.4 free", "#41 and #39", "~16m"],
    ),
    (Reason(ReasonCode.CPUS, 1, 0.5, Unit.CPUS), "1 core, 0.5 free", ["1 core,"]),
    (
        Reason(ReasonCode.MEMORY, 8 * GIB, 6 * GIB, Unit.BYTES, J),
        "MEM 8.0G, 6.0G free",
        ["8.0G", "6.0G", "#41, #39, #38 and 2 more"],
    ),
    (
        Reason(ReasonCode.GPUS, 2, 1, Unit.DEVICES, J[:1], None, "GPU 0 (A100)"),
        "2 GPUs, 1 free",
        ["GPU 0 (A100)"],
    ),
    (
        Reason(ReasonCode.GPU_MEMORY, 10 * GIB, 6 * GIB, Unit.BYTES, J[:1], NOW + 60, "GPU 0 (A100)"),
        "VRAM 10.0G, 6.0G free",
        ["10.0G of GPU memory", "6.0G free", "#41", "GPU 0 (A100)"],
    ),
    (
        Reason(ReasonCode.FOREIGN_CPU, 4, 1.5, Unit.CPUS),
        "4 cores, 1.5 free (others)",
        ["4 cores", "1.5 free", "other programs"],
    ),
    (
        Reason(ReasonCode.FOREIGN_MEMORY, 8 * GIB, 3 * GIB, Unit.BYTES),
        "MEM 8.0G, 3.0G free (others)",
        ["8.0G", "3.0G", "other programs"],
    ),
    (
        Reason(ReasonCode.FOREIGN_GPU, 8 * GIB, GIB, Unit.BYTES, detail="GPU 1 (T4)"),
        "VRAM 8.0G, 1.0G free (others)",
        ["8.0G of GPU memory", "other programs use GPU 1 (T4)"],
    ),
    (
        Reason(ReasonCode.FOREIGN_GPU, 1, 0, Unit.DEVICES, detail="GPU 1 (T4)"),
        "1 GPU, 0 free (others)",
        ["1 GPU", "other programs use GPU 1 (T4)"],
    ),
    (
        Reason(
            ReasonCode.PRESSURE, until_at=NOW + 30, detail="memory stalls 23.1 % of the time, limit 20 %"
        ),
        "machine under pressure",
        ["23.1 %", "limit 20 %", "~30s"],
    ),
    (
        Reason(ReasonCode.SETTLING, 4 * GIB, 2 * GIB, Unit.BYTES, J[2:3], NOW + 8),
        "settling after #38",
        ["#38", "4.0G", "2.0G", "~8s"],
    ),
    (Reason(ReasonCode.BACKFILL, jobs=J[:1], until_at=NOW + 60), "would delay #41", ["delay #41", "~1m"]),
    (Reason(ReasonCode.DEPENDENCY, jobs=J[1:2]), "after #39", ["after #39"]),
    (Reason(ReasonCode.DEPENDENCY, jobs=J[:3]), "after #41 +2", ["#41, #39 and #38"]),
    (Reason(ReasonCode.DEPENDENCY_FAILED, jobs=J[:1], detail="failed"), "#41 failed", ["#41", "failed"]),
    (
        Reason(ReasonCode.DEPENDENCY_FAILED, jobs=J[:1], detail="out_of_memory"),
        "#41 ran out of memory",
        ["ran out of memory"],
    ),
    (Reason(ReasonCode.HELD, detail="held by you"), "held by you", ["It is held by you."]),
    (Reason(ReasonCode.DRAINING), "queue is paused", ["paused"]),
    (
        Reason(ReasonCode.ALERT, detail="GPU 1 cannot be read: lost."),
        "paused by an alert",
        ["Nothing starts while an alert stands: GPU 1 cannot be read: lost."],
    ),
    (Reason(ReasonCode.NO_SAMPLE), "machine cannot be read", ["cannot be read"]),
    (
        Reason(ReasonCode.NO_SAMPLE, 1, 0, Unit.DEVICES, detail="GPU 0 (T4)"),
        "GPU cannot be read",
        ["GPU 0 (T4) cannot be read"],
    ),
    (Reason(ReasonCode.TOO_BIG, 64, 16, Unit.CPUS), "too big: CPU 64 > 16", ["64 cores", "at most 16"]),
    (
        Reason(ReasonCode.TOO_BIG, 80 * GIB, 24 * GIB, Unit.BYTES, detail="GPU memory"),
        "too big: VRAM 80.0G > 24.0G",
        ["80.0G of GPU memory", "24.0G"],
    ),
    (
        Reason(ReasonCode.START_FAILED, until_at=NOW + 30, detail="fork: no more processes"),
        "start failed, tries again",
        ["fork: no more processes.", "next try", "~30s"],
    ),
    (Reason(ReasonCode.NO_SCHEDULER), "no scheduler runs", ["No scheduler"]),
    (Reason(ReasonCode.MAKING_ROOM, jobs=J[:1]), "#41 makes room", ["#41 saves and makes room"]),
    (Reason(ReasonCode.MAKING_ROOM, jobs=J[:2]), "#41 +1 makes room", ["#41 and #39 save and make"]),
    (
        Reason(ReasonCode.EVICTED, 420.0, unit=Unit.SECONDS),
        "saved at 00:07:00",
        ["00:07:00 of work are kept"],
    ),
    (Reason(ReasonCode.TRIAL), "first run: a short trial", ["short trial"]),
    (Reason(ReasonCode.FAIR, 4.1, jobs=J[:1]), "you used 4.1x your share", ["4.1x the average", "#41"]),
    (
        Reason(ReasonCode.OVERDUE, 86_400.0, unit=Unit.SECONDS),
        "has waited long, is next",
        ["more than", "goes first"],
    ),
    (
        Reason(ReasonCode.MORE_MEMORY, 4 * GIB, unit=Unit.BYTES, detail="2 of 3"),
        "again with 4.0G of memory",
        ["4.0G (2 of 3)"],
    ),
    (
        Reason(ReasonCode.MORE_GPU_MEMORY, 8 * GIB, unit=Unit.BYTES, detail="1 of 3"),
        "again with 8.0G of GPU memory",
        ["ran out of GPU memory", "8.0G (1 of 3)"],
    ),
    (Reason(ReasonCode.GUARD, 1, unit=Unit.CPUS), "1 core kept for you", ["1 core is kept"]),
    (Reason(ReasonCode.GUARD, 2 * GIB, unit=Unit.BYTES), "2.0G kept for you", ["2.0G of memory are kept"]),
]


@pytest.mark.parametrize(("reason", "short", "parts"), CASES, ids=lambda case: getattr(case, "code", None))
def test_the_words_of_a_reason(reason: Reason, short: str, parts: list[str]) -> None:
    assert present.reason_short(reason) == short
    sentence = present.reason_sentence(reason, NOW)
    for part in parts:
        assert part in sentence
    assert sentence.endswith(".")
    assert "None" not in sentence


def test_every_code_is_covered() -> None:
    assert {reason.code for reason, _, _ in CASES} == set(ReasonCode)


@pytest.mark.parametrize("code", ReasonCode)
@pytest.mark.parametrize("detail", ["", "evil\x1b[2J\n\u202ename"])
def test_a_bare_or_hostile_reason_still_reads_well(code: ReasonCode, detail: str) -> None:
    reason = Reason(code, detail=detail)
    for text in (present.reason_short(reason), present.reason_sentence(reason, NOW)):
        assert text
        assert text.isprintable()
