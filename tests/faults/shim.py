"""A clock that jumps and a disk that is full, for real processes: a compiled library that they load first.

It reaches what is started with `environ`, the scheduler's launcher and supervisors included; a job only if
the variables are in its own environment.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


class Shim:
    """The library in a folder, and the files that say how the machine is."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "offset_s"
        self._full = folder / "full"
        self._readonly = folder / "readonly"
        self._ahead_s = 0
        library = folder / "shim.so"
        define = f'-DFOLDER="{folder}"'
        subprocess.run(
            ["gcc", "-O1", "-Wall", "-shared", "-fPIC", define, "-o", library, SOURCE], check=True
        )
        self.environ = {"LD_PRELOAD": str(library)}

    def clock(self) -> float:
        """The wall clock of those processes."""
        return time.time() + self._ahead_s

    def jump(self, seconds: int) -> None:
        """Set their wall clock on or back."""
        self._ahead_s += seconds
        temporary = self._offset.with_suffix(".new")
        temporary.write_text(str(self._ahead_s))
        temporary.rename(self._offset)

    def fill(self, path: Path) -> None:
        """From now on nothing can be written at or below `path`."""
        temporary = self._full.with_suffix(".new")
        temporary.write_text(str(path))
        temporary.rename(self._full)

    def forbid(self, path: Path) -> None:
        """From now on `path` and what is below it lie on a read-only file system."""
        self._readonly.touch()
        self.fill(path)

    def empty(self) -> None:
        """There is room again, and it can be written."""
        self._full.unlink()
        self._readonly.unlink(missing_ok=True)
