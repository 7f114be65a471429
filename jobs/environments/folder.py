"""The folder of recipes' environments: what is kept where, what is complete, what goes.

    <digest>/             an environment, with `cro.json`, renamed into place when it is complete
    locks/<digest>.txt    the exact packages of one; kept when the environment goes, for runs name it
    wanted/<key>.py       what a header asks for; for its owner alone: an index may have a password
    wanted/<key>.lock     the lock that lay beside the recipe
    wanted/<key>          a link to the environment that came of it

Builds nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from jobs.kinds.environment import WANTED, Environment, EnvironmentRequest, key_of
from jobs.runtime import atomic_write
from jobs.upkeep.retention import longest_unused

COMPLETE = "cro.json"
LOCKS = "locks"
NEW = ".new-"
LOCK = "lock"  # held by the builder of a folder, and by the one for a key
SPARED_S = 600.0  # what was used just now may be in the hands of somebody who has not queued yet


def remember(venvs: Path, wanted: EnvironmentRequest) -> str:
    """Keep what is asked for, for the build to come, and return its key."""
    folder, key = venvs / WANTED, wanted.key
    if not (folder / f"{key}.py").exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if wanted.lock:
            atomic_write.replace_durably(folder / f"{key}.lock", wanted.lock)
        atomic_write.replace_durably(folder / f"{key}.python", wanted.python)
        atomic_write.replace_durably(folder / f"{key}.py", wanted.header)
    return key


def digest_for(venvs: Path, key: str) -> str | None:
    """The digest of the complete environment for a key; None when there is none yet."""
    try:
        digest = (venvs / WANTED / key).readlink().name
    except OSError:
        return None
    return digest if (venvs / digest / COMPLETE).exists() else None


def in_place(venvs: Path, argv: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The command with the very environment that it will run in, and its digest; marks it as used.

    The same command and an empty digest for one that runs in no such environment, or in one that is gone.
    """
    key = key_of(argv[0], str(venvs)) if argv else None
    digest = None if key is None else digest_for(venvs, key)
    if digest is None:
        return argv, ""
    touch(venvs, digest)
    return (str(venvs / digest / "bin" / "python"), *argv[1:]), digest


def touch(venvs: Path, digest: str) -> None:
    """It is used now."""
    with contextlib.suppress(OSError):
        os.utime(venvs / digest / COMPLETE)


def link(venvs: Path, key: str, digest: str) -> None:
    """From now on the key means that environment."""
    fresh = venvs / WANTED / f".{key}.{os.getpid()}.{os.urandom(4).hex()}"
    fresh.symlink_to(Path("..") / digest)
    os.replace(fresh, venvs / WANTED / key)


def packages_of(venvs: Path, digest: str) -> tuple[str, ...]:
    """The exact packages, as `name==version`, also of an environment that is gone."""
    try:
        text = (venvs / LOCKS / f"{digest}.txt").read_text(encoding="utf-8")
    except OSError:
        return ()
    lines = (line.split(" \\")[0].split(" ;")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", "--")))


def environments(venvs: Path, needed: Collection[str] = ()) -> tuple[Environment, ...]:
    """All that are complete, the last used first; `needed` are keys that waiting or running jobs name."""
    wanted = {digest_for(venvs, key) for key in needed}
    found = [each for digest in _names(venvs) if (each := _read(venvs, digest, digest in wanted))]
    return tuple(sorted(found, key=lambda each: -each.used_at))


def add_recipe(venvs: Path, digest: str, recipe: str) -> None:
    """Say that it is used for that recipe as well."""
    record = _record(venvs, digest)
    names = record.get("recipes", [])
    if recipe and isinstance(names, list) and recipe not in names:
        atomic_write.replace_durably(
            venvs / digest / COMPLETE, json.dumps({**record, "recipes": [*names, recipe][-20:]})
        )


def remove(venvs: Path, digest: str) -> None:
    """Take it away; a kill in the middle leaves nothing that looks complete."""
    gone = venvs / f"{NEW}gone-{os.urandom(4).hex()}"
    with contextlib.suppress(FileNotFoundError):
        (venvs / digest).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    for each in (venvs / WANTED).iterdir():
        if each.is_symlink() and not each.exists():
            each.unlink(missing_ok=True)


def prune(
    venvs: Path, needed: Collection[str], max_bytes: int, *, spared_s: float = SPARED_S
) -> tuple[str, ...]:
    """Remove the longest unused beyond the size, and what killed builds have left; which ones went."""
    _sweep(venvs)
    gone = longest_unused(environments(venvs, needed), time.time(), max_bytes, spared_s=spared_s)
    for digest in gone:
        remove(venvs, digest)
    return gone


def size_of(folder: str | Path) -> int:
    """Bytes on the disk; a file that uv's own cache shares counts as well, links are not followed."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += size_of(entry.path)
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _sweep(venvs: Path) -> None:
    """Remove half-built folders whose builder is gone: it would hold their lock."""
    import fcntl

    for folder in venvs.glob(f"{NEW}*"):
        with contextlib.suppress(OSError), open(folder / LOCK, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _names(venvs: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (each.name for each in venvs.iterdir() if (each / COMPLETE).exists())


def _record(venvs: Path, digest: str) -> dict[str, object]:
    try:
        record = json.loads((venvs / digest / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _read(venvs: Path, digest: str, needed: bool) -> Environment | None:
    record = _record(venvs, digest)
    try:
        used_at = (venvs / digest / COMPLETE).stat().st_mtime
        recipes = record.get("recipes", ())
        return Environment(
            digest,
            str(record["python"]),
            int(str(record["packages"])),
            int(str(record["size_bytes"])),
            float(str(record["made_at"])),
            used_at,
            tuple(map(str, recipes)) if isinstance(recipes, list) else (),
            needed,
        )
    except (OSError, KeyError, ValueError):
        return None
