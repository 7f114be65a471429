"""Jobs side by side: what differs of what they were asked for, and all their metrics. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from cro_tui.present.amounts import MISSING, bytes_text, clean, duration_text, number_text
from cro_tui.present.jobs import elapsed_s, state_word
from jobs.core.jobs import Ended, Job
from jobs.core.requests import FirstRun
from jobs.core.tracking import Curve, Provenance

TableRow = tuple[str, ...]
_CELL = 200
_MOST_PACKAGES = 4  # that are named


def head(jobs: Sequence[Job]) -> TableRow:
    return ("WHAT", *(f"#{job.id}" for job in jobs))


def rows(jobs: Sequence[Job], better: Mapping[str, str] = {}, now: float = 0.0) -> list[TableRow]:
    """The state, what differs, then every metric: the best is marked with * where `better` says which."""
    made: list[TableRow] = [("state", *(state_word(job) for job in jobs))]
    for label, cells in (
        ("recipe", [clean(job.spec.recipe or "", _CELL) for job in jobs]),
        ("folder", [clean(job.spec.cwd, _CELL) for job in jobs]),
        ("cores", [number_text(job.spec.needs.cpus) for job in jobs]),
        ("memory", [bytes_text(job.spec.needs.mem_bytes) for job in jobs]),
    ):
        if len(set(cells)) > 1:
            made.append((label, *(cell or MISSING for cell in cells)))
    params = [dict(job.spec.params) for job in jobs]
    for name in dict.fromkeys(name for given in params for name in given):
        asked = [given.get(name) for given in params]
        if any(type(value) is not type(asked[0]) or value != asked[0] for value in asked):
            made.append((clean(name, 40), *(_cell(value) for value in asked)))
    if not any(params):
        commands = [clean(shlex.join(job.spec.argv), _CELL) for job in jobs]
        if len(set(commands)) > 1:
            made.append(("command", *commands))
    metrics = [dict(job.metrics) for job in jobs]
    names = dict.fromkeys(name for found in metrics for name in found)
    values = {name: _marked([found.get(name) for found in metrics], better.get(name, "")) for name in names}
    made += [(clean(name, 40), *cells) for name, cells in values.items()]
    made.append(("ran", *(duration_text(elapsed_s(job, now)) for job in jobs)))
    made.append(("CPU s", *(number_text(job.usage.cpu_s) for job in jobs)))
    made.append(("peak", *(bytes_text(job.usage.peak_mem_bytes) for job in jobs)))
    return made


def curve_names(curves: Sequence[Mapping[str, Curve]], better: Mapping[str, str] = {}) -> list[str]:
    """The metrics that have a curve in one of the jobs, of two points at least.

    Those that the recipe names come first, then as reported.
    """
    known = dict.fromkeys(name for each in curves for name, curve in each.items() if len(curve) > 1)
    return [name for name in better if name in known] + [name for name in known if name not in better]


def outcome_sentence(job: Job, first: FirstRun | None) -> str:
    """Whether a job that ran again came to the same metrics, and if not what else differed.

    Empty for one that is no retry, has not ended, or has no metrics.
    """
    if first is None or not isinstance(job.state, Ended):
        return ""
    before = first.job
    if not job.metrics and not before.metrics:
        return ""
    new, old = dict(job.metrics), dict(before.metrics)
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    if not names:
        return f"the same metrics as #{before.id}"
    moved = ", ".join(
        f"{clean(name, 24)} {_number(old.get(name))} -> {_number(new.get(name))}" for name in names[:3]
    )
    causes = [
        label
        for label, one, other in (
            ("parameters", before.spec.params, job.spec.params),
            ("command", before.spec.argv, job.spec.argv),
            ("environment", before.spec.env_digest, job.spec.env_digest),
            ("cores", before.spec.needs.cpus, job.spec.needs.cpus),
            ("size of the files it was given", before.spec.input_bytes, job.spec.input_bytes),
        )
        if one != other
    ]
    causes += _begun_otherwise(first.began_with, first.now_with)
    why = f"; what differed: {', '.join(causes)}" if causes else "; it was asked for the same"
    return f"other metrics than #{before.id}: {moved}{why}"


def _begun_otherwise(before: Provenance | None, now: Provenance | None) -> list[str]:
    """The files, packages and machine that are not the same: only of what is known of both."""
    if before is None or now is None:
        return []
    files = [path for path in before.files if path in now.files and before.files[path] != now.files[path]]
    found = [f"what stands in {clean(path, 200)}" for path in files]
    packages = dict.fromkeys([*before.packages, *now.packages]) if before.packages and now.packages else {}
    moved = [name for name in packages if before.packages.get(name) != now.packages.get(name)]
    for name in moved[:_MOST_PACKAGES]:
        versions = [clean(each.packages.get(name, "none"), 24) for each in (before, now)]
        found.append(f"{clean(name, 40)} {versions[0]} -> {versions[1]}")
    if len(moved) > _MOST_PACKAGES:
        found.append(f"{len(moved) - _MOST_PACKAGES} more packages")
    if before.machine != now.machine:
        found.append("the machine")
    return found


def _marked(values: Sequence[float | None], better: str) -> list[str]:
    known = [value for value in values if value is not None]
    best = None
    if better and len(set(known)) > 1:
        best = max(known) if better == "max" else min(known)
    return [_number(value) + (" *" if value is not None and value == best else "") for value in values]


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6g}"


def _cell(value: object) -> str:
    return MISSING if value is None else clean(str(value), _CELL)
