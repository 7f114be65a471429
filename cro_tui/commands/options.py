"""How ids, amounts, dependencies and needs are written on a command line, once for all commands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from jobs.core.jobs import Dependency, DependencyKind, JobId
from jobs.core.ports import BadInput
from jobs.core.requests import NeedsRequest

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LARGEST = 2**63 - 1


def mem_bytes(text: str) -> int:
    """600M, 4G, 1.5G."""
    from jobs.core.amounts import parse_mem

    return parse_mem(text)


def duration_s(text: str) -> float:
    """90, 3m, 1h30m."""
    from jobs.core.amounts import parse_duration

    return parse_duration(text)


def cores(text: str) -> float:
    """2, 0.5."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{text[:40]!r} is no number of cores: write it like 2 or 0.5.")
    return number


def whole(what: str, example: str) -> Callable[[str], int]:
    """A reader of whole numbers; `what` names the number in its error."""

    def read(text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{text[:40]!r} is no {what}: write a whole number like {example}.") from None

    return read


def job_id(text: str) -> JobId:
    """An id as people write it. Raises BadInput."""
    digits = text.strip().removeprefix("#")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or not 0 < int(digits) <= _LARGEST:
        raise BadInput(f"{text[:40]!r} is no job id: write it like 12 or #12.")
    return JobId(int(digits))


def dependencies(words: tuple[str, ...]) -> tuple[Dependency, ...]:
    """`12`, `ok:12`, `any:12`, several in one word parted by commas. Raises BadInput."""
    found = []
    for word in (part for each in words for part in each.split(",") if part.strip()):
        kind, colon, number = word.strip().rpartition(":")
        if colon and kind not in ("ok", "any"):
            raise BadInput(f"{word[:40]!r} is no dependency: write 12, ok:12 or any:12.")
        found.append(Dependency(job_id(number), DependencyKind(kind or "ok")))
    return tuple(found)


def needs_options(command: _Command) -> _Command:
    """--cpus --mem --gpus --vram --time; the command gets them as keywords for `needs_request`."""
    options = (
        click.option("--cpus", type=cores, metavar="N", help="Cores to reserve, like 2 or 0.5."),
        click.option(
            "--mem",
            type=mem_bytes,
            metavar="SIZE",
            help="Memory to reserve, like 600M or 4G; a limit, too.",
        ),
        click.option("--gpus", type=whole("number of GPUs", "1"), metavar="N", help="GPUs to reserve."),
        click.option(
            "--vram", type=mem_bytes, metavar="SIZE", help="Memory of each GPU; without it, whole GPUs."
        ),
        click.option("--time", type=duration_s, metavar="TIME", help="Time limit, like 90s, 3m or 1h30m."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def needs_request(options: dict[str, Any]) -> NeedsRequest:
    """What `needs_options` gave; takes them out of the keywords."""
    return NeedsRequest(
        cpus=options.pop("cpus"),
        mem_bytes=options.pop("mem"),
        gpus=options.pop("gpus"),
        gpu_mem_bytes=options.pop("vram"),
        time_limit_s=options.pop("time"),
    )


ids_argument = click.argument("ids", metavar="ID...", nargs=-1, type=job_id)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
