"""submit: queue a recipe or any command, with what it needs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import click

from cro_tui.commands.command_context import EXIT_CODES_HELP, now_s, open_client, print_json, with_scheduler
from cro_tui.commands.options import (
    dependencies,
    duration_s,
    json_option,
    needs_options,
    needs_request,
    whole,
)
from cro_tui.present import counted, job_json, name_text
from cro_tui.present.sweep import grid, name_of, sweep_line, values_of
from jobs.client import Client
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery, SortKey, SubmitRequest

_TRIALS = 40
_MANY, _MOST = 1_000, 100_000  # jobs of a sweep: beyond the first it is asked for, beyond the other refused


class _Submit(click.Command):
    """Keeps everything behind the first `--` as the command, exactly as it was typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(
    short_help="Queue a recipe, or any command.",
    cls=_Submit,
    epilog=f"With --wait or --follow: {EXIT_CODES_HELP}",
)
@click.argument("words", metavar="RECIPE | -- COMMAND...", nargs=-1)
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A recipe's parameter.")
@needs_options
@click.option(
    "--priority",
    type=whole("priority", "50"),
    metavar="N",
    help="0 to 100, each step counts double (default 50).",
)
@click.option(
    "--after", multiple=True, metavar="ID", help="Start after 12 succeeds (12, ok:12) or ends (any:12)."
)
@click.option("--name", help="A name for lists.")
@click.option("--cwd", metavar="FOLDER", help="Where it runs (default: here).")
@click.option(
    "--grace", type=duration_s, metavar="TIME", help="Time between TERM and KILL when it is stopped."
)
@click.option(
    "--on-reboot",
    metavar="requeue|fail",
    help="If the machine is restarted while it runs (default: what its recipe says, else fail).",
)
@click.option(
    "--checkpoint/--no-checkpoint",
    default=None,
    help="It saves and exits with 75 on TERM and goes on from CRO_RESUME: it may be stopped for others"
    " (default: what its recipe says).",
)
@click.option(
    "--optimize",
    metavar="METRIC",
    help="Let Optuna choose the parameters that make this metric best: -p n=50..200 is a range,"
    " -p lr=1e-4..1e-1:log one by factors, -p kind=a,b a choice.",
)
@click.option(
    "--trials", type=whole("trials", "40"), metavar="N", help="How many jobs --optimize tries (default 40)."
)
@click.option(
    "--prune/--no-prune",
    default=True,
    help="Stop a trial that reports worse than the others did at its step (default: yes).",
)
@click.option("--hold", is_flag=True, help="Queue it held; cro-tui release lets it go.")
@click.option("--wait", "waits", is_flag=True, help="Wait for its end and leave with its fate.")
@click.option("--follow", is_flag=True, help="Show what it prints, and leave with its fate.")
@click.option("-y", "--yes", is_flag=True, help="Queue a sweep of more than 1,000 jobs without asking.")
@click.option("-q", "--quiet", is_flag=True, help="Print the id alone.")
@json_option
@click.pass_context
def submit(  # noqa: PLR0917 - click calls it by keyword
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    params: tuple[str, ...],
    priority: int | None,
    after: tuple[str, ...],
    name: str | None,
    cwd: str | None,
    grace: float | None,
    on_reboot: str | None,
    checkpoint: bool | None,
    optimize: str | None,
    trials: int | None,
    prune: bool,
    hold: bool,
    waits: bool,
    follow: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
    **needs: Any,
) -> int:
    """Queue a recipe, or any command behind --. It starts when this machine can take it.

    The command runs in this folder with this environment, and goes on when the terminal closes. Several
    values of a parameter are a sweep: a job for each combination, all queued or none.

    \b
      cro-tui submit sklearn_forest -p n_estimators=200 -p data=wine
      cro-tui submit sklearn_forest -p n_estimators=50,100,200 -p max_depth=0,8
      cro-tui submit sklearn_forest -p n_estimators=20..300 --optimize accuracy --trials 40
      cro-tui submit --cpus 2 --mem 4G --time 2h -- python train.py --lr 0.1
      cro-tui submit --after 12 sklearn_evaluate -p model=forest.joblib
    """
    command: tuple[str, ...] = ctx.meta.get("command", ())
    if hold and (waits or follow):
        raise BadInput("A held job cannot be waited for: leave out --hold, --wait or --follow.")
    if trials is not None and optimize is None:
        raise BadInput("--trials is for --optimize: name the metric, like --optimize accuracy.")
    if follow and as_json:
        raise BadInput("--follow prints what the job prints: leave out --json, or use --wait.")
    with open_client() as client:
        request = SubmitRequest(
            recipe=_recipe(words, command, params),
            argv=command,
            name=name,
            cwd=cwd,
            needs=needs_request(needs),
            priority=priority,
            after=dependencies(after),
            start_held=hold,
            grace_s=grace,
            on_reboot=on_reboot,
            checkpoint=checkpoint,
        )
        if optimize is not None:
            most = _TRIALS if trials is None else trials
            found = client.jobs.optimize(request, _params(params), optimize, most, prunes=prune)
            return _optimizing(
                client, found, most, waits=waits, follow=follow, quiet=quiet, as_json=as_json
            )
        requests = _sweep(request, _params(params), yes=yes)
        if follow and len(requests) > 1:
            raise BadInput(f"--follow shows one job, and this is a sweep of {len(requests)}: use --wait.")
        ids = client.jobs.submit(requests, sweep=len(requests) > 1)
        if not (as_json and waits):
            _tell(client, ids, quiet=quiet, as_json=as_json, held=hold)
        return _go_on(client, ids, waits=waits, follow=follow, as_json=as_json)


def _go_on(client: Client, ids: tuple[JobId, ...], *, waits: bool, follow: bool, as_json: bool) -> int:
    """Show the job or wait for all of them where that was asked for; see to it that they are scheduled."""
    if follow:
        from cro_tui.commands.logs import follow_job

        return follow_job(client, ids[0])
    if waits:
        from cro_tui.commands.wait import wait_for

        return wait_for(client, ids, as_json=as_json, one=len(ids) == 1)
    with_scheduler(client)
    return 0


def _optimizing(
    client: Client, id_: JobId, trials: int, *, waits: bool, follow: bool, quiet: bool, as_json: bool
) -> int:
    """Say that the controller is queued; with `waits` or `follow` come back when all trials have ended."""
    if as_json or quiet:
        if not (as_json and waits):
            _tell(client, (id_,), quiet=quiet, as_json=as_json, held=False)
    else:
        print(f"#{id_} chooses {counted(trials, 'trial')}; cro-tui sweep {id_} shows them.")
    code = _go_on(client, (id_,), waits=waits, follow=follow, as_json=as_json)
    if waits and not follow and not as_json:
        print(sweep_line(client.groups.summary(id_)))
    return code


def _recipe(words: tuple[str, ...], command: tuple[str, ...], params: tuple[str, ...]) -> str | None:
    if words and command:
        raise BadInput("Give a recipe or a command, not both.", "The command comes behind --.")
    if len(words) > 1:
        import shlex

        typed = shlex.join(words)
        raise BadInput(
            f"{words[0]!r} is followed by {words[1]!r}: a recipe takes its parameters as -p name=value.",
            f"To queue a command, put -- before it: cro-tui submit -- {typed}",
        )
    if not words and not command:
        raise BadInput("Name a recipe, or a command behind --.", "cro-tui recipes lists the recipes.")
    return words[0] if words else None


def _sweep(request: SubmitRequest, params: dict[str, tuple[str, ...]], *, yes: bool) -> list[SubmitRequest]:
    """One request for each combination of the parameters' values."""
    number = math.prod(len(values) for values in params.values())
    if number > _MANY and not yes:
        raise BadInput(f"That is a sweep of {number:,} jobs.", "Add --yes to queue them all.")
    if number > _MOST:
        raise BadInput(f"A sweep of {number:,} jobs is more than {_MOST:,}.", "Queue a part of it.")
    points = grid(params)
    if number == 1:
        return [replace(request, params=points[0])]
    base = request.name or request.recipe or ""
    return [replace(request, params=each, name=name_of(base, params, each)) for each in points]


def _tell(client: Client, ids: tuple[JobId, ...], *, quiet: bool, as_json: bool, held: bool) -> None:
    if as_json:
        jobs = client.jobs.list(JobQuery(ids=frozenset(ids), sort=SortKey.ID, limit=len(ids)))
        found = [job_json(job, now_s()) for job in reversed(jobs)]
        print_json(found[0] if len(ids) == 1 else found)
    elif quiet:
        print("\n".join(map(str, ids)))
    else:
        job = client.jobs.get(ids[0])
        which = f"#{ids[0]} {name_text(job)}"
        if len(ids) > 1:
            which = f"#{ids[0]} to #{ids[-1]}, {len(ids)} jobs,"
        print(f"{which} queued{' and held' if held else ''}.")


def _params(words: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The values of each parameter. Raises BadInput."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise BadInput(f"{word[:40]!r} is no parameter: write it like -p n_estimators=200.")
        if name in found:
            raise BadInput(f"The parameter {name!r} is given twice: leave one out.")
        found[name] = values_of(value)
    return found
