"""A resident process that has imported a framework, and forks supervisors whose jobs find it imported.

Run by path with the recipe environment's own interpreter, as `zygote.py REQUESTS ENDS STACK MODULE...`;
standard library only besides those modules. It serves like the launcher, and keeps no state either. It
never runs anything of a framework: a pool of threads or a device opened before the fork would hang or
mislead the jobs. What it cannot start faithfully it refuses, with the reason; the job is then started cold.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import site
import sys
import time
from types import ModuleType

FOLDER = os.path.dirname(os.path.abspath(__file__))
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from jobs.runtime import job_folder, launcher, preload, procfs, script, spawn, start_variables
else:
    sys.path.insert(0, FOLDER)
    import job_folder
    import launcher
    import preload
    import procfs
    import script
    import spawn
    import start_variables

TF_CONTEXT = "tensorflow.python.eager.context"


class Zygote:
    """The preloaded modules, what they must still be like, and the fork."""

    def __init__(self) -> None:
        given = dict(map(_pair, procfs.environment(os.getpid())))
        self._variables = start_variables.read_at_start(given)
        # the interpreter itself sets it where no locale is named, and a job finds it set as well
        self._coerced = {
            name: os.environ[name] for name in ("LC_CTYPE",) if given.get(name) != os.environ.get(name)
        }
        self._packages = packages()
        self._stamps = stamps()
        self._threads = 0
        self._warm: script.Warm | None = None
        self._taken: set[str] = set()
        self._script: tuple[tuple[str, int, int], list[Any]] | None = None  # what the last one sets

    def preload(self, stack: str, names: Sequence[str]) -> None:
        """Import the names in order; only `stack` must be there. Raises what its import raises."""
        kept = preload.PreloadedModules()
        before = _descriptors()
        ours = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
        sys.modules["__main__"] = ModuleType("__main__")
        sys.path.remove(FOLDER)
        pools = None
        try:
            for name in names:
                try:
                    kept.preload(name)
                except ImportError:
                    if name == stack:
                        raise
            if (threadpoolctl := sys.modules.get("threadpoolctl")) is not None:
                pools = threadpoolctl.ThreadpoolController()
        finally:
            kept.put_away()
            sys.modules.update(ours)
            sys.path.insert(0, FOLDER)
        self._warm = script.Warm(kept, ours, _descriptors() - before, pools)
        self._taken = kept.names() | (set(sys.modules) - set(ours))
        self._threads = _threads()

    def refuse(self, folder: str) -> dict[str, Any] | None:
        """Why this process cannot stand for the job of the folder; "retire": nor for any other one."""
        if self._threads != 1 or _threads() != 1:
            return {"cold": f"the warm process has {_threads()} threads", "retire": True}
        if self._changed():
            return {"cold": "packages were installed or removed", "retire": True}
        if self._in_use():
            return {"cold": "the warm process is no longer as it was loaded", "retire": True}
        spec = job_folder.read_json(os.path.join(folder, job_folder.SPEC)) or {}
        captured = job_folder.read_json(spec.get("environment_path", "")) or {}
        argv = spec.get("argv", [])
        environ, unforeseen = self._with_script({**captured, **spec.get("extra_env", {})}, argv)
        if unforeseen is not None:
            return {"cold": f"it sets {unforeseen} itself"}
        theirs = start_variables.read_at_start(environ)
        if different := start_variables.differing(self._variables, theirs):
            return {"cold": f"its {different[0]} differs from the warm process's"}
        if hidden := self._hidden(argv):
            return {"cold": f"{hidden!r} lies beside it and would hide a module of that name"}
        return None

    def start(self, spec: dict[str, Any], log: int) -> int:
        """Fork the job, as a child of the calling supervisor. Raises spawn.CannotStart."""
        environ = spawn.prepare(spec)
        assert self._warm is not None
        # the child must not take a signal as a supervisor does
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise spawn.CannotStart(f"no process could be made for it: {error.strerror}") from None
        if pid == 0:
            foreseen, _ = self._with_script(environ, spec["argv"])
            script.become(spec["argv"], {**self._coerced, **environ}, log, self._warm, foreseen)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    def _with_script(
        self, environ: dict[str, str], argv: Sequence[str]
    ) -> tuple[dict[str, str], str | None]:
        """The variables with those that the script sets, and one that cannot be foreseen."""
        try:
            found = os.stat(argv[1])
            known = argv[1], found.st_mtime_ns, found.st_size
            if self._script is None or self._script[0] != known:
                with open(argv[1], "rb") as file:
                    self._script = known, start_variables.settings(file.read())
        except (OSError, IndexError):
            return environ, None  # it will say so itself
        return start_variables.with_settings(environ, self._script[1])

    def _changed(self) -> bool:
        """Whether another set of packages is installed than the one that was imported."""
        now = stamps()
        if now == self._stamps:
            return False
        self._stamps = now  # bytecode written beside a package changes these, but not the packages
        return packages() != self._packages

    def _in_use(self) -> bool:
        assert self._warm is not None
        context = self._warm.shelf.module(TF_CONTEXT)
        if context is not None and context._context is not None:
            return True
        return any(
            _target(number).startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri/"))
            for number in self._warm.descriptors
        )

    def _hidden(self, argv: Sequence[str]) -> str | None:
        """A file beside the script that the script would import in place of what is loaded here."""
        try:
            found = os.listdir(os.path.dirname(os.path.realpath(argv[1])))
        except (OSError, IndexError):
            return None
        script_name = os.path.basename(argv[1])
        for name in sorted(found):
            stem, dot, ending = name.partition(".")
            if stem in self._taken and name != script_name and (not dot or ending.endswith(("py", "so"))):
                return name
        return None


def stamps() -> list[int]:
    """When something was last added to or removed from the folders of installed packages."""
    found = []
    for path in _package_folders():
        try:
            found.append(os.stat(path).st_mtime_ns)
        except OSError:
            found.append(0)
    return found


def packages() -> list[tuple[str, int]]:
    """The installed packages, and when each was installed."""
    found = []
    for path in _package_folders():
        try:
            entries = [entry for entry in os.scandir(path) if entry.name.endswith((".dist-info", ".pth"))]
            found += [(entry.path, entry.stat().st_mtime_ns) for entry in entries]
        except OSError:
            continue
    return sorted(found)


def _package_folders() -> list[str]:
    folders = site.getsitepackages()
    return [*folders, site.getusersitepackages()] if site.ENABLE_USER_SITE else folders


def _pair(entry: bytes) -> tuple[str, str]:
    name, _, value = os.fsdecode(entry).partition("=")
    return name, value


def _is_ours(name: str) -> bool:
    return os.path.dirname(getattr(sys.modules[name], "__file__", None) or "") == FOLDER


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _descriptors() -> set[int]:
    """Those open now, without the one that lists them."""
    return {number for number in map(int, os.listdir("/proc/self/fd")) if _target(number)}


def _target(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def main(requests: int, ends: int, stack: str, names: Sequence[str]) -> None:
    """Preload, tell how that went, and serve until the socket closes."""
    began = time.monotonic()
    launcher.settle(requests, ends)
    zygote = Zygote()
    try:
        zygote.preload(stack, names)
    except BaseException as error:
        text = f"{stack} cannot be imported: {type(error).__name__}: {error}"
        os.write(requests, json.dumps({"unfit": text[:500]}).encode())
        return
    gc.collect()
    held = procfs.held_bytes(os.getpid()) or procfs.rss_bytes(os.getpid())
    took_s = round(time.monotonic() - began, 3)
    os.write(requests, json.dumps({"ready": os.getpid(), "mem_bytes": held, "took_s": took_s}).encode())
    launcher.serve(requests, ends, zygote.start, zygote.refuse)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
