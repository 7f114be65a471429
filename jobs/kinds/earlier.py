"""The kind of a job whose record was written before kinds were: told by its command. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.core.kinds import JobKind

PROGRAMS = {
    "jobs.serving": JobKind.SERVICE,
    "jobs.optimizing": JobKind.OPTIMIZATION,
    "jobs.venvs": JobKind.ENVIRONMENT,
    "jobs.notebooks": JobKind.NOTEBOOK,
}
_BY_MODULE = ("-P", "-m")


def kind_of(argv: Sequence[str], recipe: str | None) -> JobKind:
    """Which of its own programs an earlier version ran by this command, or else a recipe or a command."""
    if tuple(argv[1:3]) == _BY_MODULE and len(argv) > 3 and argv[3] in PROGRAMS:
        return PROGRAMS[argv[3]]
    return JobKind.COMMAND if recipe is None else JobKind.RECIPE
