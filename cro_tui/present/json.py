"""The engine's values as plain JSON objects, the same for every command that reads.

Pure. Times are Unix seconds, memory is bytes, a missing reading is null. Text is passed on as it is: JSON
escapes what a terminal would act on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cro_tui.present.jobs import finished_at, result_sentence, started_at, state_word
from cro_tui.present.reasons import reason_sentence, reason_short
from jobs.core.jobs import Ended, Job, Needs, Reason, Running, StateName, Waiting
from jobs.core.machine import Capacity, Sample
from jobs.core.requests import DaemonStatus, HistoryEntry, StartEstimate

if TYPE_CHECKING:
    from jobs.core.tracking import Reported

Json = dict[str, Any]


def job_json(job: Job, now: float) -> Json:
    """Everything that is known of a job. `fate` is null until it has ended."""
    spec, state = job.spec, job.state
    granted = () if isinstance(state, Waiting | Ended) else state.grant.device_uuids
    return {
        "id": job.id,
        "name": spec.name,
        "state": state.name.value,
        "word": state_word(job),
        "exit_code": getattr(state, "exit_code", None),
        "signal": getattr(state, "signal", None),
        "fate": result_sentence(job) or None,
        "priority": spec.priority,
        "needs": needs_json(spec.needs),
        "reserved": needs_json(job.needs),
        "usage": asdict(job.usage),
        "reasons": [reason_json(reason, now) for reason in job.reasons],
        "estimated_start_at": job.estimated_start_at,
        "submitted_at": job.submitted_at,
        "started_at": started_at(job),
        "finished_at": finished_at(job),
        "attempts": job.attempts,
        "evictions": job.evictions,
        "attained_s": job.attained_s,
        "lost_s": job.lost_s,
        "recipe": spec.recipe,
        "params": dict(spec.params),
        "command": list(spec.argv),
        "cwd": spec.cwd,
        "after": [{"id": each.job_id, "kind": each.kind.value} for each in spec.after],
        "retry_of": spec.retry_of,
        "group": None if spec.group is None else {"first": spec.group.first, "size": spec.group.size},
        "grace_s": spec.grace_s,
        "on_reboot": spec.on_reboot.value,
        "checkpoint": spec.checkpoint,
        "kind": spec.kind.value,
        "expected_s": spec.expected_s,
        "gpus_granted": list(granted),
        "pid": state.pid if isinstance(state, Running) else None,
        "metrics": dict(job.metrics),
    }


def reported_json(reported: Reported) -> Json:
    """What a run says of itself."""
    return asdict(reported)


def needs_json(needs: Needs) -> Json:
    return asdict(needs)


def reason_json(reason: Reason, now: float) -> Json:
    """The typed reason with its numbers, and the same in words."""
    return {
        "code": reason.code.value,
        "needed": reason.needed,
        "free": reason.free,
        "unit": None if reason.unit is None else reason.unit.value,
        "jobs": list(reason.jobs),
        "until_at": reason.until_at,
        "detail": reason.detail,
        "short": reason_short(reason),
        "sentence": reason_sentence(reason, now),
    }


def start_estimate_json(outlook: StartEstimate) -> Json:
    return asdict(outlook)


def history_json(entry: HistoryEntry) -> Json:
    return asdict(entry)


def daemon_json(status: DaemonStatus) -> Json:
    return asdict(status)


def capacity_json(capacity: Capacity | None) -> Json | None:
    return None if capacity is None else asdict(capacity)


def sample_json(sample: Sample | None) -> Json | None:
    if sample is None:
        return None
    table = asdict(sample)
    table["jobs"] = {str(job_id): asdict(usage) for job_id, usage in sample.jobs.items()}
    return table


def counts_json(counts: Mapping[StateName, int]) -> Json:
    return {name.value: counts.get(name, 0) for name in StateName}
