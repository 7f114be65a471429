"""The nouns of serving, and how a service job is told from any other: by its command line.

Pure values. `service.json`, in the job's output folder, is what a service says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from jobs.core.jobs import Job
from jobs.core.ports import BadInput
from jobs.core.versions import read_as

PROGRAM = ("-P", "-m", "jobs.programs.serving")
SERVICE = "service.json"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
BODY_LIMIT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What a service job was asked for. `reference` is name, name@alias or name:3.

    `port` 0 takes a free one. `token_sha256` is the digest of the token that requests must carry, or "".
    `native` True: not compiled. `log_predictions`: keep what is asked and answered.
    """

    models: str
    reference: str
    host: str = "127.0.0.1"
    port: int = 0
    token_sha256: str = ""
    native: bool = False
    log_predictions: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """What a running service says of itself. `engine` is "onnx", "litert", "sklearn" or "keras";
    `why_native` says why it is not a faster one. `problem` is set while a version that its alias means
    cannot be served. `requests` to `drift` (a sentence, while inputs are far from what it learned from) are
    as of some seconds ago.
    """

    url: str
    reference: str
    name: str
    version: int
    engine: str
    why_native: str = ""
    problem: str = ""
    since_at: float = 0.0
    pid: int = 0
    requests: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    drift: str = ""


def checked(asked: ServiceRequest) -> ServiceRequest:
    """The same, if it can be done. Raises BadInput."""
    if not 0 <= asked.port <= 65535:
        raise BadInput(f"{asked.port} is no port: write 0 (any that is free) to 65535.")
    if not asked.host or "\0" in asked.host:
        raise BadInput("An address is needed.", "127.0.0.1 is this machine alone.")
    if asked.host not in LOOPBACK and not asked.token_sha256:
        raise BadInput(f"{asked.host} can be reached by others: a token is needed.", "Add --token.")
    return asked


def argv(python: str, asked: ServiceRequest) -> tuple[str, ...]:
    """The command of a service job."""
    words = [python, *PROGRAM, "--models", asked.models, "--host", asked.host, "--port", str(asked.port)]
    words += ["--token-sha256", asked.token_sha256] if asked.token_sha256 else []
    words += ["--native"] if asked.native else []
    words += ["--log-predictions"] if asked.log_predictions else []
    return (*words, asked.reference)


def reference_of(job: Job) -> str:
    """Which model a service job serves."""
    return job.spec.argv[-1]


def service_text(service: Service) -> str:
    return json.dumps(asdict(service), indent=1) + "\n"


def service_of(text: str | bytes) -> Service | None:
    """What `service.json` says; None where it cannot be read."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(table, Mapping):
        return None
    try:
        return read_as(Service, table) if isinstance(table.get("url"), str) else None
    except TypeError:
        return None
