"""Compares what the scheduler says of its jobs with what the jobs and their clients wrote down themselves.

Pure. It believes the ledger (a line when a job begins, one before it ends), the clients' notes and the list
of who was killed; what the scheduler tells is what is being judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from jobs.core.jobs import Cancelled, DependencyKind, Ended, Failed, Job, Lost, Succeeded


@dataclass(slots=True)
class Ledger:
    """What the jobs wrote: who began, and with what each was about to end. Line numbers give the order."""

    begun: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    codes: dict[int, int] = field(default_factory=dict)
    begins: Counter[int] = field(default_factory=Counter)

    @classmethod
    def read(cls, text: str) -> Ledger:
        ledger = cls()
        for number, line in enumerate(text.splitlines()):
            word, job, _attempt, code = line.split()
            job_id = int(job)
            if word == "begin":
                ledger.begins[job_id] += 1
                ledger.begun.setdefault(job_id, number)
            else:
                ledger.ended[job_id] = number
                ledger.codes[job_id] = int(code)
        return ledger


@dataclass(slots=True)
class Figures:
    """Complaints by figure; all of them have to be empty."""

    unknown_fates: list[str] = field(default_factory=list)
    wrong_exit_codes: list[str] = field(default_factory=list)
    missing_submits: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    run_twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    false_cancels: list[str] = field(default_factory=list)

    def bad(self) -> dict[str, tuple[int, str]]:
        """How often each went wrong, with the first case of it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: (len(complaints), complaints[0]) for name, complaints in found.items() if complaints}


def audit(
    jobs: Iterable[Job],
    ledger: Ledger,
    *,
    codes: Mapping[int, int],
    cancelled: Collection[int],
    robbed: Collection[int],
    left: list[str],
) -> Figures:
    """`codes`: acknowledged jobs and how they were told to end. `cancelled`: those somebody asked to stop.

    `robbed`: jobs whose supervisor was killed. `left`: processes still there at the end.
    """
    known = {job.id: job for job in jobs}
    figures = Figures(
        missing_submits=[f"job {job_id}" for job_id in codes if job_id not in known],
        left_behind=left,
        run_twice=[f"job {job_id} began {n} times" for job_id, n in ledger.begins.items() if n > 1],
    )
    for job in known.values():
        state, told = job.state, ledger.codes.get(job.id)
        words = f"job {job.id} is {state}; it began: {job.id in ledger.begun}, was to end with {told}"
        if told is not None and codes.get(job.id, told) != told:
            figures.wrong_exit_codes.append(f"{words}, its client said {codes[job.id]}")
        match state:
            case Succeeded() | Failed(exit_code=int()):
                if state.exit_code != told:
                    figures.wrong_exit_codes.append(words)
            case Cancelled():
                dependency = [
                    known[after.job_id].state for after in job.spec.after if after.kind is DependencyKind.OK
                ]
                if job.id not in cancelled and all(isinstance(one, Succeeded) for one in dependency):
                    figures.false_cancels.append(words)
                if state.started_at is None and job.id in ledger.begun:
                    figures.unknown_fates.append(f"{words}, yet is said never to have started")
                if state.exit_code is not None and state.exit_code != told:
                    figures.wrong_exit_codes.append(words)
            case Lost():
                if job.id not in robbed or "supervisor" not in state.cause:
                    figures.unknown_fates.append(words)
            case _:
                figures.unknown_fates.append(words)
        for after in job.spec.after:
            if job.id in ledger.begun and isinstance(known[after.job_id].state, Ended):
                done = ledger.ended.get(after.job_id, -1)
                if done > ledger.begun[job.id]:
                    figures.out_of_order.append(f"job {job.id} began before job {after.job_id} had ended")
                if after.kind is DependencyKind.OK and ledger.codes.get(after.job_id) != 0:
                    figures.out_of_order.append(
                        f"job {job.id} began though job {after.job_id} did not succeed"
                    )
    return figures
