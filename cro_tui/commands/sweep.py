"""sweep: the jobs that were queued together for several values of a parameter, the best first."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import note, now_s, open_client, print_json, print_pairs, print_table
from cro_tui.commands.options import job_id, json_option, whole
from cro_tui.present import clean, job_json, state_word
from cro_tui.present.sweep import sweep_line
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput
from jobs.core.sweeps import is_pruned, score

_LIMIT = 20


@click.command(short_help="Show a sweep: how far it is, and its best jobs.")
@click.argument("id_", metavar="ID", type=job_id)
@click.option("--limit", type=whole("limit", "20"), metavar="N", help=f"So many jobs (default {_LIMIT}).")
@json_option
def sweep(id_: JobId, limit: int | None, as_json: bool) -> int:
    """Show the sweep, or optimization, that a job belongs to: how many have ended, and the best first.

    Better is what the recipe's header says about its metrics. cancel --sweep ID stops all of it.

    \b
      cro-tui sweep 12
    """
    most = _LIMIT if limit is None else limit
    if most < 1:
        raise BadInput(f"The limit must be 1 or more, not {most}.")
    with open_client() as client:
        found = client.groups.summary(id_)
    if as_json:
        table = {
            "first": found.first,
            "size": found.size,
            "metric": found.metric,
            "better": found.better,
            "optimized": found.optimized,
            "pruned": found.pruned,
        }
        table["counts"] = {name.value: count for name, count in found.counts.items()}
        jobs = [job_json(job, now_s()) for job in found.jobs[:most]]
        print_json(table | {"varying": list(found.varying), "jobs": jobs})
        return 0
    print_pairs([("Sweep", sweep_line(found))])
    rows = []
    for job in found.jobs[:most]:
        params = dict(job.spec.params)
        value = score(job, found.metric)
        told = [clean(str(params.get(name, "")), 24) for name in found.varying]
        rows.append(
            (
                str(job.id),
                "pruned" if is_pruned(job) else state_word(job),
                *told,
                "" if value is None else f"{value:.6g}",
            )
        )
    heads = ("ID", "STATE", *(clean(name, 24) for name in found.varying), clean(found.metric, 24))
    print_table(heads, rows, right=(0, len(heads) - 1))
    if len(found.jobs) > most:
        note(f"The first {most} of {len(found.jobs)} are shown; --limit shows more.")
    return 0
