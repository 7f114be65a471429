"""Which processes of one installation there are, by kind, and what of its jobs is still there.

Reads /proc only and trusts no record of ours: a job's process is known by its mark (`CRO_OUTPUT_DIR`), by
its folder, or by a session that such a process leads. To kill a new kind of process, add it to `KINDS`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.runtime import procfs


@dataclass(frozen=True, slots=True)
class Process:
    """A live process. `folder` is the job folder that it stands in, as job id and attempt."""

    pid: int
    parent: int
    words: tuple[str, ...]
    cwd: Path
    folder: tuple[int, int] | None


class Processes:
    """All processes of the installation in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._jobs = self.home / "jobs"

    def of_kind(self, kind: str) -> list[Process]:
        """Those alive now, zombies left out."""
        everyone = self._everyone()
        return [one for one in everyone.values() if KINDS[kind](self, one, everyone)]

    def left_of_jobs(self) -> dict[int, str]:
        """Live processes that a job of this installation has left: pid -> what it is."""
        everyone = self._everyone()
        mark = f"CRO_OUTPUT_DIR={self._jobs}{os.sep}".encode()
        ours = {
            pid: " ".join(one.words) or "(no command line)"
            for pid, one in everyone.items()
            if one.folder is not None
            or any(variable.startswith(mark) for variable in procfs.environment(pid))
        }
        led = {pid: text for pid in everyone if (text := ours.get(procfs.session(pid) or 0)) is not None}
        return {pid: ours.get(pid, text) for pid, text in {**led, **ours}.items()}

    def own(self) -> dict[int, str]:
        """Live processes of ours, of every kind."""
        return {one.pid: kind for kind in KINDS for one in self.of_kind(kind)}

    def is_daemon(self, one: Process) -> bool:
        return "jobs.daemon" in one.words and str(self.home) in one.words

    def _everyone(self) -> Mapping[int, Process]:
        found = {}
        for pid in procfs.all_pids():
            above = procfs.parent(pid)
            if above is None or procfs.start_ticks(pid) is None:
                continue
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                cwd = Path(str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)"))
            except OSError:
                continue
            found[pid] = Process(pid, above, tuple(words[:-1]), cwd, self._folder(cwd))
        return found

    def _folder(self, cwd: Path) -> tuple[int, int] | None:
        if not cwd.is_relative_to(self._jobs):
            return None
        parts = cwd.relative_to(self._jobs).parts
        return (int(parts[1]), int(parts[2])) if len(parts) >= 3 else None


def kill(pid: int) -> bool:
    """kill -9; whether it was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _runs(one: Process, script: str) -> bool:
    return any(word.endswith(f"/{script}") for word in one.words)


def _is_launcher(all_: Processes, one: Process, everyone: Mapping[int, Process]) -> bool:
    above = everyone.get(one.parent)
    return _runs(one, "launcher.py") and above is not None and all_.is_daemon(above)


def _is_supervisor(all_: Processes, one: Process, everyone: Mapping[int, Process]) -> bool:
    """A fork of the launcher (or of what serves warm starts) that stands in its job folder."""
    return one.folder is not None and (_runs(one, "launcher.py") or _runs(one, "zygote.py"))


def _is_zygote(all_: Processes, one: Process, everyone: Mapping[int, Process]) -> bool:
    if not _runs(one, "zygote.py") or one.folder is not None:
        return False
    above = everyone.get(one.parent)
    return above is not None and (all_.is_daemon(above) or _is_launcher(all_, above, everyone))


def _is_screen(all_: Processes, one: Process, everyone: Mapping[int, Process]) -> bool:
    home = f"CRO_HOME={all_.home}".encode()
    return "cro_tui" in one.words and home in procfs.environment(one.pid)


def _is_client(all_: Processes, one: Process, everyone: Mapping[int, Process]) -> bool:
    return "tests.faults.client" in one.words and str(all_.home) in one.words


KINDS: Mapping[str, Callable[[Processes, Process, Mapping[int, Process]], bool]] = {
    "daemon": lambda all_, one, _: all_.is_daemon(one),
    "launcher": _is_launcher,
    "supervisor": _is_supervisor,
    "zygote": _is_zygote,
    "screen": _is_screen,
    "client": _is_client,
}
