"""A group of jobs in words: its row in a list, what it is called, and how far it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cro_tui.present.amounts import MISSING, bytes_text, clean, duration_text, number_text
from cro_tui.present.jobs import STATE_WORDS, JobRow, elapsed_s, result_short, state_word
from cro_tui.present.reasons import reason_short
from jobs.core.jobs import Ended, Job, StateName, Succeeded, Waiting
from jobs.core.requests import JobGroup

_ENDED = frozenset(
    {
        StateName.SUCCEEDED,
        StateName.FAILED,
        StateName.CANCELLED,
        StateName.TIMED_OUT,
        StateName.OUT_OF_MEMORY,
        StateName.LOST,
    }
)
_FAILED = _ENDED - {StateName.SUCCEEDED, StateName.CANCELLED}
_AT_WORK = (StateName.RUNNING, StateName.STARTING, StateName.PAUSED)
_WAITING = (StateName.QUEUED, StateName.HELD)


def number_in(group: JobGroup, states: Iterable[StateName]) -> int:
    return sum(group.counts.get(name, 0) for name in states)


def controller_of(group: JobGroup) -> Job | None:
    """The controller of an optimisation, while it has not ended or its row stands for it."""
    return group.foremost if group.foremost.id == group.controller else None


def at_work(group: JobGroup) -> int:
    """How many of its jobs run, its controller included."""
    lead = controller_of(group)
    return number_in(group, _AT_WORK) + (lead is not None and lead.state.name in _AT_WORK)


def waiting(group: JobGroup) -> int:
    """How many of its jobs wait, its controller included."""
    lead = controller_of(group)
    return number_in(group, _WAITING) + (lead is not None and isinstance(lead.state, Waiting))


def ended_in(group: JobGroup) -> int:
    return number_in(group, _ENDED)


def failed_in(group: JobGroup) -> int:
    return number_in(group, _FAILED)


def group_name(group: JobGroup, width: int = 60) -> str:
    return clean(group.name, width) or "(no name)"


def member_name(job: Job, group: JobGroup, width: int = 60) -> str:
    """What a job is called below its group: what differs, in a narrow place the values alone."""
    name = job.spec.name.removeprefix(group.name).strip() or job.spec.name
    if len(name) > width and "=" in name:
        name = ", ".join(word.partition("=")[2] or word for word in name.split())
    return clean(name, width) or "(no name)"


def group_state(group: JobGroup) -> str:
    """The word of its foremost job; once all have ended, FAIL where one failed."""
    lead = controller_of(group)
    if lead is not None or not isinstance(group.foremost.state, Ended):
        return state_word(group.foremost)
    if failed_in(group):
        return STATE_WORDS[StateName.FAILED]
    done = group.counts.get(StateName.SUCCEEDED)
    return STATE_WORDS[StateName.SUCCEEDED if done else StateName.CANCELLED]


def best_text(group: JobGroup) -> str:
    """ "best accuracy 0.94"; empty while there is none."""
    return "" if group.best is None else f"best {clean(group.metric, 24)} {group.best:.4g}"


def progress_text(group: JobGroup) -> str:
    """ "12 of 30 done, best accuracy 0.9412, 2 run, 3 failed, 1 stopped".

    Of an optimization whose controller has failed it first says how.
    """
    parts = [_fate(group), f"{_done(group)} done", best_text(group), *_others(group)]
    return ", ".join(filter(None, parts))


def shorter_texts(group: JobGroup) -> tuple[str, ...]:
    """The same in ever fewer words: "12 of 30, best 0.941, 2 run", "12 of 30, best 0.941", "12 of 30"."""
    best = [] if group.best is None else [f"best {group.best:.3g}"]
    parts = [*filter(None, [_fate(group)]), _done(group), *best, *_others(group)]
    return tuple(", ".join(parts[:number]) for number in range(len(parts), 0, -1))


def _fate(group: JobGroup) -> str:
    lead = controller_of(group)
    return "" if lead is None or isinstance(lead.state, Succeeded) else result_short(lead)


def _done(group: JobGroup) -> str:
    return f"{group.counts.get(StateName.SUCCEEDED, 0):,} of {group.size:,}"


def _others(group: JobGroup) -> list[str]:
    found = (
        (number_in(group, _AT_WORK), "run"),
        (failed_in(group), "failed"),
        (group.counts.get(StateName.HELD, 0), "held"),
        (group.counts.get(StateName.CANCELLED, 0), "stopped"),
    )
    return [f"{number:,} {what}" for number, what in found if number]


def group_row(group: JobGroup, now: float, active: Iterable[Job] = ()) -> JobRow:
    """Its cells; `active` are the jobs of it that run: their use is added up."""
    lead = controller_of(group)
    use = [job.usage for job in active]
    if lead is not None and not isinstance(lead.state, Ended):
        use.append(lead.usage)
    over = ended_in(group) >= group.size or (lead is not None and isinstance(lead.state, Ended))
    return JobRow(
        str(group.id),
        group_state(group),
        group_name(group),
        str(group.foremost.spec.priority),
        progress_text(group),
        number_text(_sum(each.cpus for each in use)),
        bytes_text(_sum(each.mem_bytes for each in use)),
        MISSING if lead is None else duration_text(elapsed_s(lead, now)),
        MISSING,
        None if over else ended_in(group) / max(1, group.size),
        shorter=shorter_texts(group),
    )


def group_lines(group: JobGroup, now: float) -> list[str]:
    """What there is to say of it beside the list."""
    what, unit = ("A sweep", "jobs") if group.controller is None else ("An optimization", "trials")
    lines = [f"{what} of {group.size:,} {unit}."]
    states = [f"{STATE_WORDS[name]} {count:,}" for name, count in _ordered(group)]
    lines.append(f"{', '.join(states)}." if states else "None is queued yet.")
    if group.best is not None:
        lines.append(f"Best: #{group.best_id}, {clean(group.metric, 24)} {group.best:.6g}")
    first = group.foremost
    if isinstance(first.state, Waiting):
        reason = reason_short(first.reasons[0]) if first.reasons else "not seen yet"
        lines.append(f"Next is #{first.id}: {reason}")
    return lines


def group_sentence(group: JobGroup) -> str:
    """For the notice line: "#12 forest: 12 of 30 done, best accuracy 0.94 (#14), 2 run"."""
    best = best_text(group)
    said = progress_text(group)
    told = said.replace(best, f"{best} (#{group.best_id})", 1) if best else said
    return f"#{group.id} {group_name(group, 30)}: {told}."


def _ordered(group: JobGroup) -> list[tuple[StateName, int]]:
    return [(name, group.counts[name]) for name in StateName if group.counts.get(name)]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
