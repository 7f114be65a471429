"""Builds the environment that a header asks for, with uv: locked, installed in a new folder, renamed.

A folder has its name only when it is complete, so a kill leaves nothing half used, and two builders at once
do no harm: the second finds what the first has made. Imports nothing of what it installs.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs.core.ports import BadInput, CroError
from jobs.environments import folder
from jobs.kinds.environment import WANTED, digest_of
from jobs.runtime import atomic_write

Say = Callable[[str], None]
BOUNDS = {"UV_HTTP_TIMEOUT": "30", "UV_HTTP_CONNECT_TIMEOUT": "10", "UV_HTTP_RETRIES": "2"}
_NOT_PASSED_ON = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")
_NO_NETWORK = re.compile(
    r"network was disabled|Network connectivity is disabled|dns error|error sending request|Failed to fetch"
    r"|connection (refused|reset)|operation timed out|network is unreachable|not found in the cache",
    re.IGNORECASE,
)
_OFFLINE = "The packages cannot be had: uv has no network, and does not have them in its cache."
_MOST_WORDS_CHARS = 400


class BuildFailed(CroError):
    """Remedy: correct the header, or go online; a retry builds again."""


def build(
    venvs: Path,
    key: str,
    recipe: str,
    *,
    say: Say = lambda _: None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Build what is wanted under that key unless it is there, and return its digest.

    `say` hears each phase. Raises BuildFailed, with the resolver's last words; OSError for a full disk.
    """
    with open(venvs / WANTED / f".{key}.building", "ab") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another who builds it")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if digest := folder.digest_for(venvs, key):
            folder.touch(venvs, digest)
            return digest
        return _Builder(venvs, key, recipe, say, environ).build()


class _Builder:
    def __init__(self, venvs: Path, key: str, recipe: str, say: Say, environ: Mapping[str, str]) -> None:
        self._venvs, self._key, self._recipe, self._say = venvs, key, recipe, say
        kept = {name: value for name, value in environ.items() if name not in _NOT_PASSED_ON}
        self._environ = {**BOUNDS, **kept, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        self._uv = _find_uv(environ)
        self._folder = venvs / f"{folder.NEW}{key}-{os.urandom(4).hex()}"

    def build(self) -> str:
        self._folder.mkdir(mode=0o700)
        try:
            with open(self._folder / folder.LOCK, "ab") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                digest = self._build()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        folder.link(self._venvs, self._key, digest)
        folder.add_recipe(self._venvs, digest, self._recipe)
        return digest

    def _build(self) -> str:
        wanted, script, venv = self._venvs / WANTED, self._folder / "script.py", self._folder / "venv"
        shutil.copyfile(wanted / f"{self._key}.py", script)
        if (wanted / f"{self._key}.lock").exists():
            shutil.copyfile(wanted / f"{self._key}.lock", self._folder / "script.py.lock")
        python = (wanted / f"{self._key}.python").read_text(encoding="utf-8")
        chosen = ("--python", python) if python else ()
        self._say("resolving")
        self._run("lock", "--script", str(script), *chosen)
        lock = self._run(
            "export", "--script", str(script), "--locked", "--no-header", "--no-annotate", "-q", *chosen
        )
        self._run("venv", "--relocatable", "-q", *(chosen or self._found(script)), str(venv))
        version = self._version(venv)
        digest = digest_of(f"{version}\n{lock}")
        if (self._venvs / digest / folder.COMPLETE).exists():
            self._say("its packages are there already")
            return digest
        packages = sum(
            1 for line in lock.splitlines() if line[:1].strip() and not line.startswith(("#", "--"))
        )
        self._say(f"installing {packages} packages")
        self._run("sync", "--script", str(script), "--locked", "--active", *chosen, VIRTUAL_ENV=str(venv))
        self._keep(venv, digest, lock, version)
        return digest

    def _keep(self, venv: Path, digest: str, lock: str, version: str) -> None:
        """Give it its name. All of it is on the disk before it can be taken for complete."""
        self._say("writing it to the disk")
        locks = self._venvs / folder.LOCKS
        locks.mkdir(mode=0o700, exist_ok=True)
        atomic_write.replace(locks / f"{digest}.txt", lock)
        record = {
            "python": version,
            "packages": sum(1 for _ in venv.glob("lib/python*/site-packages/*.dist-info")),
            "size_bytes": folder.size_of(venv),
            "made_at": time.time(),
            "recipes": [self._recipe] if self._recipe else [],
        }
        os.sync()
        (venv / folder.COMPLETE).write_text(json.dumps(record), encoding="utf-8")
        try:
            venv.rename(self._venvs / digest)
        except OSError:  # another one was quicker, with another header
            if not (self._venvs / digest / folder.COMPLETE).exists():
                raise

    def _found(self, script: Path) -> tuple[str, str]:
        """The interpreter that uv takes for the header's requires-python."""
        return "--python", self._run("python", "find", "--script", str(script), "-q").strip()

    def _version(self, venv: Path) -> str:
        words = "import platform as p; print(p.python_implementation(), p.python_version(), p.machine())"
        done = subprocess.run(
            [venv / "bin" / "python", "-I", "-c", words],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    def _run(self, *words: str, **more: str) -> str:
        """Run uv and return what it printed. Its messages go to the job's log. Raises BuildFailed."""
        print(f"$ uv {' '.join(words)}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [self._uv, *words],
            cwd=self._folder,
            env={**self._environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        sys.stderr.write(done.stderr)
        sys.stderr.flush()
        if done.returncode == 0:
            return done.stdout
        raise failure(done.stderr)


def failure(stderr: str) -> BuildFailed:
    """One sentence from what uv said at its end, and what to do."""
    lines = [" ".join(line.split()) for line in stderr.splitlines()]
    first = next((at for at, line in enumerate(lines) if line.startswith("error:")), max(0, len(lines) - 4))
    words = [line.removeprefix("error:").removeprefix("cause:").strip(" ×╰─▶│") for line in lines[first:]]
    told = " ".join(word for word in words if word and not word.startswith("hint:"))[:_MOST_WORDS_CHARS]
    if _NO_NETWORK.search(stderr):
        return BuildFailed(_OFFLINE, f"Go online, then retry. uv says: {told}")
    return BuildFailed(f"uv cannot build the environment: {told or 'it did not say why'}")


def _find_uv(environ: Mapping[str, str]) -> str:
    try:
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        raise BadInput("uv is not installed, and the recipe's environment needs it.", "pip install uv")
    return found
