"""show: everything that is known of one job."""

from __future__ import annotations

import shlex
import time

import click

from cro_tui.commands.command_context import now_s, open_client, print_json, print_pairs
from cro_tui.commands.options import job_id, json_option
from cro_tui.present import (
    ago,
    bytes_text,
    clean,
    counted,
    duration_text,
    elapsed_s,
    finished_at,
    flagged_text,
    history_json,
    job_json,
    metrics_text,
    name_text,
    needs_text,
    next_step,
    number_text,
    reason_sentence,
    reported_json,
    reported_text,
    result_sentence,
    started_at,
    state_word,
)
from cro_tui.present.compare import outcome_sentence
from cro_tui.present.sweep import sweep_line
from jobs.core.jobs import DependencyKind, Ended, Job, JobId
from jobs.core.tracking import Reported
from jobs.kinds.optimization import in_sweep
from jobs.records.events import read

_LONG = 2000


@click.command(short_help="Show everything about one job.")
@click.argument("id_", metavar="ID", type=job_id)
@json_option
def show(id_: JobId, as_json: bool) -> int:
    """Show one job: what it runs, what it needs and used, how it ended, and its story.

    \b
      cro-tui show 12
    """
    now = now_s()
    with open_client() as client:
        job, history = client.forecasts.explain(id_), client.jobs.history(id_)
        log, output = str(client.runs.log_path(id_)), str(client.runs.output_dir(id_))
        removed_at = client.runs.files_removed_at(id_)
        first = client.runs.retry_origin(job)
        sweep = client.groups.summary(id_) if in_sweep(job) else None
        reported = read(client.runs.events_path(id_), ended=isinstance(job.state, Ended))
    if as_json:
        table = job_json(job, now)
        table |= {"history": [history_json(entry) for entry in history], "log": log, "output": output}
        table["files_removed_at"] = removed_at
        table["reported"] = reported_json(reported)
        print_json(table)
        return 0
    if removed_at is not None:
        log = output = f"removed {_when(removed_at, now)} to make room"
    print(f"#{job.id} {name_text(job)}  {state_word(job)}")
    fate, step = result_sentence(job), next_step(job)
    print_pairs(
        [
            ("State", fate or job.state.name.value),
            *(("Why", reason_sentence(reason, now)) for reason in job.reasons),
            ("Recipe", clean(job.spec.recipe or "")),
            ("Params", clean("  ".join(f"{name}={value}" for name, value in job.spec.params), _LONG)),
            ("Command", clean(shlex.join(job.spec.argv), _LONG)),
            ("Folder", clean(job.spec.cwd, _LONG)),
            ("Needs", needs_text(job.spec.needs) + f", priority {job.spec.priority}"),
            ("After", _after(job)),
            ("Used", _used(job)),
            ("Metrics", metrics_text(job, 20)),
            ("Reports", "" if isinstance(job.state, Ended) else reported_text(reported, 20)),
            ("Artifacts", clean(", ".join(reported.artifacts), _LONG)),
            ("Model", _model(reported)),
            ("Notes", clean("; ".join(reported.notes), _LONG)),
            ("Flagged", flagged_text(reported)),
            ("Queued", _when(job.submitted_at, now)),
            ("Started", _when(started_at(job), now)),
            ("Ended", _when(finished_at(job), now)),
            ("Ran", "" if started_at(job) is None else duration_text(elapsed_s(job, now))),
            ("Made room", _made_room(job)),
            ("Sweep", "" if sweep is None else sweep_line(sweep)),
            ("Retry of", f"#{job.spec.retry_of}" if job.spec.retry_of else ""),
            ("Outcome", outcome_sentence(job, first)),
            ("Log", clean(log, _LONG) if job.attempts else ""),
            ("Output", clean(output, _LONG) if job.attempts else ""),
            ("Next", f"{step.command}  {step.what}"),
        ]
    )
    if history:
        print("\nStory")
    for entry in history:
        print(f"  {_clock(entry.at)}  {clean(entry.event, 24):<14} {clean(entry.detail, 300)}".rstrip())
    return 0


def _after(job: Job) -> str:
    return ", ".join(
        f"#{each.job_id}" + (" (however it ends)" if each.kind is DependencyKind.ANY else "")
        for each in job.spec.after
    )


def _made_room(job: Job) -> str:
    """How often it was saved and stopped for others, and what that cost."""
    if not job.evictions:
        return ""
    kept, lost = duration_text(job.attained_s), duration_text(job.lost_s)
    return f"{counted(job.evictions, 'time')} for others: {kept} of work kept, {lost} lost"


def _model(reported: Reported) -> str:
    model = reported.model
    return "" if model is None else clean(f"{model.path} ({model.flavor or 'no flavour'})", _LONG)


def _used(job: Job) -> str:
    usage = job.usage
    parts = []
    if usage.cpu_s is not None:
        parts.append(f"{usage.cpu_s:.1f} s of CPU")
    if usage.cpus is not None:
        when = "mostly at most {} cores" if isinstance(job.state, Ended) else "{} cores now"
        parts.append(when.format(number_text(usage.cpus)))
    if usage.peak_mem_bytes is not None:
        parts.append(f"at most {bytes_text(usage.peak_mem_bytes)} memory")
    if usage.gpu_mem_bytes is not None:
        parts.append(f"{bytes_text(usage.gpu_mem_bytes)} GPU memory")
    return ", ".join(parts)


def _when(at: float | None, now: float) -> str:
    return "" if at is None else f"{_clock(at)} ({ago(at, now)})"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
