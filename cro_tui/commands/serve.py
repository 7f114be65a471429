"""serve: let a registered model answer over HTTP, list what answers, stop it."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import (
    has_ended,
    note,
    open_client,
    print_json,
    print_table,
    with_scheduler,
)
from cro_tui.commands.options import cores, json_option, mem_bytes, whole
from cro_tui.present import reason_short, result_sentence
from cro_tui.present.serving import curl_text, served_text, service_json, service_rows
from jobs.client import Client
from jobs.core.jobs import Held, Job, JobId, Queued
from jobs.core.ports import BadInput, WrongState
from jobs.core.requests import NeedsRequest
from jobs.kinds.service import Service, reference_of

_TELL_EVERY_S = 0.2


@click.command(short_help="Let a registered model answer over HTTP.")
@click.argument("name", required=False, metavar="NAME[@ALIAS]")
@click.option("--port", type=whole("port", "8080"), default="0", help="Which port (default: a free one).")
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Another address than this machine's own needs --token.",
)
@click.option("--token", is_flag=True, help="Answer only who sends a token; it is made, and printed once.")
@click.option("--native", is_flag=True, help="Do not compile it for ONNX Runtime or LiteRT.")
@click.option(
    "--log-predictions", is_flag=True, help="Keep what is asked and answered, in the job's output folder."
)
@click.option("--cpus", type=cores, metavar="N", help="Cores to reserve, like 2 or 0.5.")
@click.option("--mem", type=mem_bytes, metavar="SIZE", help="Memory to reserve, like 600M; a limit, too.")
@click.option("--no-wait", is_flag=True, help="Queue it, and do not wait until it is ready.")
@click.option("--list", "lists", is_flag=True, help="List what is served.")
@click.option("--stop", "stops", is_flag=True, help="Stop serving NAME; without a name, everything.")
@json_option
def serve(  # noqa: PLR0917 - click calls it by keyword
    name: str | None,
    port: int,
    host: str,
    token: bool,
    native: bool,
    log_predictions: bool,
    cpus: float | None,
    mem: int | None,
    no_wait: bool,
    lists: bool,
    stops: bool,
    as_json: bool,
) -> int:
    """Let a registered model answer over HTTP, as a job of the queue, until it is stopped.

    It follows its alias: when that moves, the next version is ready before the one before goes. Routes:
    /predict, /invocations (MLflow's), /ping, /health, /ready, /metrics, /openapi.json.

    \b
      cro-tui serve digits@champion
      cro-tui serve digits@champion --port 8080 --cpus 2 --mem 1G
      cro-tui serve --list
      cro-tui serve --stop digits@champion
    """
    with open_client() as client:
        if lists:
            return _list(client, as_json=as_json)
        if stops:
            return _stop(client, name, as_json=as_json)
        if name is None:
            raise BadInput("Name a model: cro-tui serve NAME@champion.", "cro-tui models lists them.")
        word = digest = ""
        if token:
            import hashlib
            import secrets

            word = secrets.token_urlsafe(32)
            digest = hashlib.sha256(word.encode()).hexdigest()
        needs = NeedsRequest(cpus=cpus, mem_bytes=mem)
        job_id = client.services.serve(
            name,
            needs,
            host=host,
            port=port,
            token_sha256=digest,
            native=native,
            log_predictions=log_predictions,
        )
        with_scheduler(client)
        if no_wait:
            job = client.jobs.get(job_id)
            if as_json:
                print_json(service_json(job, None) | ({"token": word} if word else {}))
            else:
                print(f"#{job_id} serve {name} queued.")
                if word:
                    print(f"Token, shown only now: {word}")
            return 0
        try:
            job, service = _until_ready(client, job_id)
        except KeyboardInterrupt:
            note(f"Job {job_id} goes on. cro-tui serve --list shows when it is ready.")
            raise
        card, _ = client.models.get(f"{service.name}:{service.version}")
        if as_json:
            print_json(service_json(job, service) | ({"token": word} if word else {}))
            return 0
        print(f"#{job.id} serves {served_text(service)} at {service.url}")
        if word:
            print(f"Token, shown only now: {word}")
        if text := curl_text(service, card.sample, word):
            print(f"\n{text}\n")
        print(f"cro-tui serve --stop {name} ends it; cro-tui logs {job.id} shows what it says.")
    return 0


def _until_ready(client: Client, job_id: JobId) -> tuple[Job, Service]:
    """The job once its model answers; it says meanwhile why it waits. Raises WrongState when it ended."""
    told = ""
    while True:
        service = client.services.wait(job_id, _TELL_EVERY_S)
        job = client.jobs.get(job_id)
        if service is not None:
            return job, service
        if has_ended(job):
            raise WrongState(
                f"Job {job_id} is not serving: {result_sentence(job)}. {_said(client, job_id)}".strip()
            )
        if isinstance(job.state, (Queued, Held)) and job.reasons:
            why = reason_short(job.reasons[0])
            if why != told:
                note(f"#{job_id} waits: {why}")
                told = why


def _said(client: Client, job_id: JobId) -> str:
    """The last thing that its log says."""
    try:
        with client.runs.log_path(job_id).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4000))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f"It says: {said[-1]}" if said else ""


def _list(client: Client, *, as_json: bool) -> int:
    found = client.services.list()
    if as_json:
        print_json([service_json(job, service) for job, service in found])
    elif found:
        print_table(
            ("JOB", "MODEL", "VERSION", "BY", "REQUESTS", "P50", "P99", "ADDRESS", ""),
            service_rows(found),
            stretch=(8, 1),
        )
    else:
        note("Nothing is served. cro-tui serve NAME@champion begins.")
    return 0


def _stop(client: Client, name: str | None, *, as_json: bool) -> int:
    jobs = [job for job, _ in client.services.list() if name is None or reference_of(job) == name]
    if not jobs:
        raise WrongState(
            f"{name} is not served." if name else "Nothing is served.",
            "cro-tui serve --list shows what is.",
        )
    client.jobs.cancel([job.id for job in jobs])
    with_scheduler(client)
    client.jobs.wait([job.id for job in jobs], timeout_s=30.0)
    if as_json:
        print_json([service_json(client.jobs.get(job.id), None) for job in jobs])
    else:
        for job in jobs:
            print(f"#{job.id} {reference_of(job)} is stopped.")
    return 0
