"""Services in words: what is served, by what, and how to ask it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cro_tui.present.amounts import MISSING, clean, counted
from cro_tui.present.jobs import state_word
from jobs.core.jobs import Job
from jobs.core.tracking import ModelCard, RegisteredModel
from jobs.kinds.service import Service, reference_of

ENGINES = {"onnx": "ONNX Runtime", "litert": "LiteRT", "sklearn": "scikit-learn", "keras": "Keras"}
_LONGEST_EXAMPLE = 1_500


def served_text(service: Service) -> str:
    """ "wine:2 by ONNX Runtime", and why not by that."""
    engine = served_by(service)
    why = f" (not compiled: {clean(service.why_native, 200)})" if service.why_native else ""
    return f"{clean(service.name, 64)}:{service.version} by {engine}{why}"


def served_by(service: Service) -> str:
    return ENGINES.get(service.engine, clean(service.engine, 20))


def service_rows(found: Sequence[tuple[Job, Service | None]]) -> list[tuple[str, ...]]:
    """Job, model, version, engine, address and what is to be said, for a table."""
    rows: list[tuple[str, ...]] = []
    for job, service in found:
        reference = clean(reference_of(job), 100)
        if service is None:
            rows.append((f"#{job.id}", reference, *[MISSING] * 6, f"{state_word(job)}, not ready"))
            continue
        engine = served_by(service)
        said = clean(service.problem or service.drift or service.why_native, 300)
        pace = (str(service.requests), *latencies(service))
        rows.append(
            (f"#{job.id}", reference, str(service.version), engine, *pace, clean(service.url, 100), said)
        )
    return rows


def latencies(service: Service) -> tuple[str, str]:
    """Median and 99th percentile, like "0.31 ms"; a dash before the first request."""
    if not service.requests:
        return MISSING, MISSING
    return f"{service.p50_ms:.3g} ms", f"{service.p99_ms:.3g} ms"


def serves(job: Job, service: Service | None, model: RegisteredModel, card: ModelCard) -> bool:
    """Whether a service answers by this very version, or is about to."""
    if service is not None:
        return (service.name, service.version) == (card.name, card.version)
    meant = {
        f"{card.name}:{card.version}",
        *(f"{card.name}@{alias}" for alias in model.aliases_of(card.version)),
    }
    newest = max(each.version for each in model.versions) == card.version
    return reference_of(job) in meant or (newest and reference_of(job) == card.name)


def serving_rows(
    model: RegisteredModel, card: ModelCard, found: Sequence[tuple[Job, Service | None]]
) -> list[tuple[str, str]]:
    """Labelled lines of every service that answers by this very version, or is about to."""
    rows = []
    for job, service in found:
        if not serves(job, service, model, card):
            continue
        if service is None:
            rows.append(("Served", f"soon: #{job.id} {state_word(job)}"))
            continue
        pace = ""
        if service.requests:
            half, most = latencies(service)
            pace = f", {counted(service.requests, 'request')}, p50 {half}, p99 {most}"
        rows.append(("Served", f"{clean(service.url, 100)} by {served_by(service)} (#{job.id}){pace}"))
        rows += [("Trouble", clean(service.problem, 300))] if service.problem else []
        rows += [("Drift", clean(service.drift, 300))] if service.drift else []
    return rows


def service_json(job: Job, service: Service | None) -> dict[str, Any]:
    told = {} if service is None else asdict(service)
    return {"id": job.id, "state": job.state.name.value, "reference": reference_of(job), **told}


def curl_text(service: Service, sample: object, token: str = "") -> str:
    """A command that asks it for the first stored row; "" where there is none to ask with."""
    if not isinstance(sample, list) or not sample:
        return ""
    body = json.dumps(sample[:1])
    if len(body) > _LONGEST_EXAMPLE:
        return ""
    words = ["curl", "-s", f"{service.url}/predict", "-H", "Content-Type: application/json"]
    words += ["-H", f"Authorization: Bearer {token}"] if token else []
    return clean(shlex.join([*words, "-d", body]), 4 * _LONGEST_EXAMPLE)
