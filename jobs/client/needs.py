"""What a job reserves: what the person named, else what its recipe says, else the defaults of the settings.

Pure. A wrong value is one sentence under its field's name: cpus, mem, gpus, vram, time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobs.core.jobs import Needs
from jobs.core.requests import NeedsRequest
from jobs.installation.settings import DefaultSettings

if TYPE_CHECKING:
    from recipes.manifest import Recipe

_FIELDS = {
    "cpus": "cpus",
    "mem_bytes": "mem",
    "gpus": "gpus",
    "gpu_mem_bytes": "vram",
    "time_limit_s": "time",
}
_LEARNABLE = ("cpus", "mem_bytes", "gpu_mem_bytes")


def needs_of(
    request: NeedsRequest, recipe: Recipe | None, defaults: DefaultSettings, problems: dict[str, str]
) -> Needs:
    """What to reserve; what is wrong goes into `problems`, and the answer is then of no use."""
    wrong = wrong_values(request)
    problems.update(wrong)
    asked: dict[str, float | int | None] = {
        name: getattr(recipe.needs, name) if recipe is not None and value is None else value
        for name, value in _values(request).items()
    }
    if request.gpus == 0 and request.gpu_mem_bytes is None:
        asked["gpu_mem_bytes"] = None
    if asked["gpu_mem_bytes"] is not None and not asked["gpus"]:
        problems.setdefault("vram", "vram is memory of a GPU: ask for at least one GPU as well.")
    if wrong:
        return Needs()
    cpus, mem_bytes, gpus = asked["cpus"], asked["mem_bytes"], asked["gpus"]
    gpu_mem_bytes, time_limit_s = asked["gpu_mem_bytes"], asked["time_limit_s"]
    return Needs(
        cpus=float(defaults.cpus if cpus is None else cpus),
        mem_bytes=int(defaults.mem_bytes if mem_bytes is None else mem_bytes),
        gpus=int(gpus or 0),
        gpu_mem_bytes=None if gpu_mem_bytes is None else int(gpu_mem_bytes),
        time_limit_s=None if time_limit_s is None else float(time_limit_s),
        mem_is_limit=mem_bytes is not None,
    )


def changed(needs: Needs, request: NeedsRequest) -> Needs:
    """The needs with what a person names in place of it; the request's values must be right."""
    named: dict[str, Any] = {name: value for name, value in _values(request).items() if value is not None}
    if request.mem_bytes is not None:
        named["mem_is_limit"] = True
    if request.gpus == 0:
        named["gpu_mem_bytes"] = None
    return replace(needs, **named)


def explicit_needs(request: NeedsRequest) -> tuple[str, ...]:
    """The needs that the person named and that earlier runs could tell: see `JobSpec.explicit_needs`."""
    return tuple(_FIELDS[name] for name in _LEARNABLE if getattr(request, name) is not None)


def wrong_values(request: NeedsRequest) -> dict[str, str]:
    """One sentence for each value that no job can have."""
    problems: dict[str, str] = {}
    for name, value in _values(request).items():
        field = _FIELDS[name]
        if value is None:
            continue
        if name == "gpus":
            if not math.isfinite(value) or value < 0 or value != int(value):
                problems[field] = "gpus must be a whole number, 0 or more."
        elif not math.isfinite(value) or value <= 0:
            problems[field] = f"{field} must be more than 0."
    return problems


def _values(request: NeedsRequest) -> dict[str, float | int | None]:
    return {name: getattr(request, name) for name in _FIELDS}
