"""Secrets by name: a file each, readable by their owner alone, read when a job that names them starts.

Only names are known to the database, to `spec.json` and to whoever lists them. Nothing here prints a value
or puts one into an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.core.ports import BadInput, StateUnavailable
from jobs.runtime import atomic_write
from recipes.model import SECRET_NAME

LONGEST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Secret:
    name: str
    set_at: float


def keep(folder: Path, name: str, value: str) -> None:
    """Set it, or replace it in one step. Raises BadInput, Unreachable."""
    if not value:
        raise BadInput(f"{_checked(name)} has no value: nothing was set.", "Type or pipe one in.")
    try:
        content = value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput(
            f"The value of {_checked(name)} is no text: nothing was set.", "Pipe text in, as UTF-8."
        ) from None
    if "\0" in value or len(content) > LONGEST_BYTES:
        raise BadInput(
            f"This value cannot be a variable: at most {LONGEST_BYTES >> 10} KiB, and no zero byte.",
            f"Give {_checked(name)} another one.",
        )
    path = folder / _checked(name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write.replace_durably(path, content)
    except OSError as error:
        raise StateUnavailable(
            f"{name} cannot be kept: {error.strerror}.", "Check the folder and the disk."
        ) from None


def remove(folder: Path, name: str) -> None:
    """Forget it. Raises BadInput when there is none of that name."""
    try:
        (folder / _checked(name)).unlink()
    except OSError:
        raise BadInput(f"There is no secret {name}.", "cro-tui secret list names them.") from None


def names(folder: Path) -> tuple[Secret, ...]:
    """Every secret, by name."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return ()
    return tuple(
        Secret(entry.name, entry.stat().st_mtime) for entry in entries if SECRET_NAME.fullmatch(entry.name)
    )


def wanted(
    folder: Path, needed: Sequence[str], environ: Mapping[str, str]
) -> tuple[tuple[str, ...], str | None]:
    """Those that have to come from here, as the submitter's variables lack them; and a sentence where one
    is nowhere.
    """
    from_here = tuple(name for name in needed if not environ.get(name))
    missing = [name for name in from_here if not (folder / name).is_file()]
    if not missing:
        return from_here, None
    return (), (
        f"It needs the secret {missing[0]}, which is neither a variable of yours nor kept: "
        f"cro-tui secret set {missing[0]}"
    )


def _checked(name: str) -> str:
    if not SECRET_NAME.fullmatch(name):
        raise BadInput(f"{name[:64]!r} cannot name a secret.", "Write a variable's name, like HF_TOKEN.")
    return name
