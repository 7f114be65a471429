"""What was typed into the queue form, as a request; and what is wrong with it, field by field.

Pure. The recipe's own parameters go to the engine as typed: it knows their bounds.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cro_tui.present import (
    bytes_text,
    clean,
    clock_text,
    counted,
    estimate_text,
    number_text,
    reason_sentence,
    span_text,
)
from cro_tui.source import RecipeNeeds, RecipeParam
from jobs.core.amounts import parse_duration, parse_mem
from jobs.core.jobs import Dependency, DependencyKind, JobId, ParamValue
from jobs.core.ports import BadInput
from jobs.core.requests import NeedsRequest, Preview, SubmitRequest
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Typed:
    """The form's fields as text; `params` by the recipe's names."""

    recipe: str | None
    command: str = ""
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    cpus: str = ""
    mem: str = ""
    gpus: str = ""
    vram: str = ""
    time: str = ""
    after: str = ""
    priority: str = ""
    on_reboot: str = ""
    hold: bool = False


def request_of(typed: Typed, default_priority: int) -> tuple[SubmitRequest, dict[str, str]]:
    """The request, and one sentence for each field that cannot be read at all."""
    problems: dict[str, str] = {}

    def read(name: str, text: str, parse: Callable[[str], Value], example: str) -> Value | None:
        if not text.strip():
            return None
        try:
            return parse(text)
        except (ValueError, BadInput):
            problems[name] = f"Write it like {example}."
            return None

    needs = NeedsRequest(
        cpus=read("cpus", typed.cpus, float, "2 or 0.5"),
        mem_bytes=read("mem", typed.mem, parse_mem, "600M or 1.5G"),
        gpus=read("gpus", typed.gpus, int, "0 or 1"),
        gpu_mem_bytes=read("vram", typed.vram, parse_mem, "8G"),
        time_limit_s=read("time", typed.time, parse_duration, "30m or 1h30m"),
    )
    after = read("after", typed.after, parse_after, '"39 41", or "any:39"')
    priority = read("priority", typed.priority, int, "50")
    if priority is not None and not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        problems["priority"] = f"From {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}."
    argv: tuple[str, ...] = ()
    if typed.recipe is None:
        try:
            argv = tuple(shlex.split(typed.command))
        except ValueError:
            problems["command"] = "A quote is not closed."
        if not argv and "command" not in problems:
            problems["command"] = "Type a program and its arguments."
    return (
        SubmitRequest(
            recipe=typed.recipe,
            params=dict(typed.params),
            argv=argv,
            needs=needs,
            priority=default_priority if priority is None else priority,
            after=after or (),
            start_held=typed.hold,
            on_reboot=typed.on_reboot.strip().lower() or None,
        ),
        problems,
    )


def parse_after(text: str) -> tuple[Dependency, ...]:
    """Dependencies from "39 41" (success) or "any:39" (however it ends). Raises ValueError."""
    found = []
    for word in text.replace(",", " ").replace("#", " ").replace("any: ", "any:").split():
        kind = DependencyKind.ANY if word.startswith("any:") else DependencyKind.OK
        found.append(Dependency(JobId(int(word.removeprefix("any:"))), kind))
    return tuple(found)


def would_start(preview: Preview, now: float) -> str:
    """When the job would start, and why not now."""
    if preview.builds is not None:
        return f"once its environment is built, for {counted(preview.builds, 'package')} and what they need"
    if preview.starts_now:
        return "now"
    why = " ".join(reason_sentence(reason, now) for reason in preview.reasons[:3])
    at = preview.estimated_start_at
    when = f"about {clock_text(at, now)} ({estimate_text(at, now)}). " if at is not None else "waits. "
    return f"{when}{why}".strip()


def expected(param: RecipeParam) -> str:
    """What a parameter takes, in a few words: "int, 1-500"."""
    words = [str(param.type)]
    if param.choices:
        words = [" | ".join(clean(choice, 30) for choice in param.choices)]
        if param.type == "path":
            words.append("or a file")
    elif param.minimum is not None and param.maximum is not None:
        words.append(f"{param.minimum}-{param.maximum}")
    elif param.minimum is not None:
        words.append(f"{param.minimum} or more")
    return ", ".join(words) if not param.choices else " ".join(words)


def default_text(value: ParamValue | None) -> str:
    """A default as it would be typed."""
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else clean(str(value), 200)


def need_defaults(needs: RecipeNeeds | None, cpus: float, mem_bytes: int) -> dict[str, str]:
    """What holds for needs that are left empty, as placeholders."""

    def pick(value: float | None, general: float | None) -> float | None:
        return general if value is None else value

    mem = pick(needs.mem_bytes if needs else None, mem_bytes)
    vram = needs.gpu_mem_bytes if needs else None
    time = needs.time_limit_s if needs else None
    return {
        "cpus": number_text(pick(needs.cpus if needs else None, cpus)),
        "mem": bytes_text(mem),
        "gpus": number_text(pick(needs.gpus if needs else None, 0)),
        "vram": bytes_text(vram) if vram is not None else "",
        "time": span_text(time) if time is not None else "none",
    }
