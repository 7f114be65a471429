"""A copy of the programs that run beside each job, so that an upgrade of the package cannot pull them away.

A scheduler starts launchers and warm processes by path for as long as it lives: from a folder that is
named by the digest of what is in it, which nobody changes. Only the scheduler's start calls this.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "runtime"
_PREFIX = "runtime-"


def copied(folder: Path, source: Path = SOURCE) -> Path:
    """The folder with the copy, made where it is missing; copies of other versions are removed.

    What cannot be written is run from the package itself.
    """
    programs = {path.name: path.read_bytes() for path in sorted(source.glob("*.py"))}
    digest = hashlib.sha256()
    for name, text in programs.items():
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    there = folder / (_PREFIX + digest.hexdigest()[:16])
    try:
        if not there.is_dir():
            waiting = folder / f"{_PREFIX}{os.getpid()}.part"
            waiting.mkdir(mode=0o700)
            for name, text in programs.items():
                (waiting / name).write_bytes(text)
            waiting.rename(there)
    except OSError:
        return source
    for other in folder.glob(_PREFIX + "*"):
        if other != there:
            shutil.rmtree(other, ignore_errors=True)
    return there
