"""Make a home as a commit of this repository writes it, for the tests of upgrades.

    python tests/data/make_home.py COMMIT OUT

writes OUT.tar.gz, the home as a power cut would leave it, and OUT.json, what that commit says of it. The
commit is checked out beside the home with an environment of its own, and everything it starts lives in
namespaces of its own, so that no name of this machine gets into a file, and nothing outlives the making.
What happens in the home is in `some_days.py`.

Commands and records name their place, /mnt/ada: on a machine that runs the tests only root could put a
program there.

Needs Linux, git, uv and util-linux; without root also user namespaces.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
BASE = Path("/mnt/ada")
CODE, HOME = BASE / "cro-tui", BASE / "home"
MACHINE = "desk"
BOOT_ID = "0ada0ada-0000-4000-8000-0000000000ad"
RELEASE = "6.1.0"  # of the kernel, in place of this machine's
ENVIRONMENT = {
    "PATH": f"{CODE}/.venv/bin:/usr/bin:/bin",
    "HOME": str(BASE),
    "USER": "ada",
    "LANG": "C.UTF-8",
    "CRO_HOME": str(HOME),
}
LARGEST_LOG = 10_000
LEFT_OUT = {"venvs", "satisfied.json", "cro.db.migrate", "settings.toml"}  # made anew, or a person's
TEXTS = {".json", ".jsonl", ".log", ".py"}
LARGEST = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("commit", metavar="COMMIT", help="a commit or a tag of this repository")
    parser.add_argument("out", metavar="OUT", type=Path, help="for example tests/data/homes/release-0.2.0")
    asked = parser.parse_args()
    commit = _git("rev-parse", "--short=12", f"{asked.commit}^{{commit}}").decode().strip()
    with tempfile.TemporaryDirectory(prefix="make-home-") as folder:
        base = Path(folder) / BASE.name
        _check_out(commit, base / CODE.name)
        try:
            _run_alone(base)
        finally:
            _remove_control_groups(base / HOME.name)
        kept = _kept(base / HOME.name)
        _neutralize(kept)
        if found := list(_strangers(kept, folder)):
            sys.exit("\n".join(["The home tells of this machine:", *found]))
        said = {"commit": commit} | json.loads((base / "said.json").read_text(encoding="utf-8"))
        _pack(asked.out, base / HOME.name, kept, said)


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(REPOSITORY), *words], check=True, capture_output=True).stdout


def _check_out(commit: str, code: Path) -> None:
    """The commit's files, and an environment with what its lock file names."""
    code.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(code)], input=_git("archive", commit), check=True)
    extras = ["--all-extras"] if "optional-dependencies" in (code / "pyproject.toml").read_text() else []
    environ = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    command = ["uv", "sync", "--quiet", "--frozen", "--no-dev", "--no-install-project", *extras]
    subprocess.run(command, cwd=code, env=environ, check=True)
    (packages,) = code.glob(".venv/lib/python3*/site-packages")
    (packages / "commit.pth").write_text(f"{CODE}\n")


def _run_alone(base: Path) -> None:
    """Let `some_days.py` run with names, processes and a boot of its own: at its end all is killed."""
    (base / "passwd").write_text(f"ada:x:0:0::{BASE}:/bin/sh\n")
    (base / "boot_id").write_text(BOOT_ID + "\n")
    (base / "some_days.py").write_bytes((HERE / "some_days.py").read_bytes())
    script = (
        f'hostname {MACHINE} && mount --bind "$1" {BASE.parent} && shift && '
        f"mount --bind {BASE}/passwd /etc/passwd && "
        f"mount --bind {BASE}/boot_id /proc/sys/kernel/random/boot_id && "
        'exec env -u PWD -u OLDPWD "$@"'
    )
    apart = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        apart += ["--user", "--map-root-user"]
    days = [str(CODE / ".venv/bin/python"), f"{BASE}/some_days.py", str(HOME), f"{BASE}/said.json"]
    command = [*apart, "sh", "-c", script, "sh", str(base.parent), *days]
    if (code := subprocess.run(command, env=ENVIRONMENT, cwd="/tmp", check=False).returncode) != 0:
        sys.exit(f"The home could not be made: {code}.")


def _remove_control_groups(home: Path) -> None:
    """Those of the jobs that the end of all processes has left empty."""
    for path in home.rglob("pid.json"):
        with suppress(OSError, ValueError, KeyError):
            Path(json.loads(path.read_bytes())["cgroup"]).rmdir()


def _kept(home: Path) -> list[Path]:
    """What is kept of the home: no sockets, nothing long, nothing that is made anew."""
    return [
        path
        for path in sorted(home.rglob("*"))
        if LEFT_OUT.isdisjoint(path.relative_to(home).parts)
        and (path.is_dir() or (path.is_file() and not path.is_symlink()))
        and (path.suffix != ".log" or path.stat().st_size <= LARGEST_LOG)
    ]


def _neutralize(kept: list[Path]) -> None:
    """Replace the two names of this machine that no namespace hides."""
    names = {os.uname().release: RELEASE} | dict.fromkeys(_control_groups(), "/ada")
    for path in kept:
        if path.suffix in TEXTS and path.is_file():
            text = found = path.read_bytes()
            for name, neutral in names.items():
                found = found.replace(name.encode(), neutral.encode())
            if found != text:
                path.write_bytes(found)


def _control_groups() -> set[str]:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return {line.split(":", 2)[2] for line in lines} - {"/"}


def _strangers(kept: list[Path], folder: str) -> Iterator[str]:
    """Where a file of the home holds what belongs to this machine or its user."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    names = {socket.gethostname(), boot_id, os.uname().release, str(Path.home()), str(REPOSITORY), folder}
    names |= _control_groups()
    if getpass.getuser() not in {"root", "ada"}:
        names.add(getpass.getuser())
    words = [re.escape(name.encode()) for name in names if len(name) > 2]
    words += [rb"/(?:root|work|home)\b", rb"/tmp/[^\s\"']+", rb"https?://[^\s\"']+"]
    pattern = re.compile(rb"(?<![\w./-])(?:" + b"|".join(words) + rb")")
    for path in kept:
        if path.is_file():
            for found in sorted(set(pattern.findall(path.read_bytes()))):
                yield f"{path}: {found.decode(errors='replace')}"
            if path.parent.name == "environments":
                for name in sorted(json.loads(path.read_bytes()).keys() - ENVIRONMENT.keys()):
                    yield f"{path}: {name}"


def _pack(out: Path, home: Path, kept: list[Path], said: dict[str, object]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    archive = out.with_name(out.name + ".tar.gz")
    with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
        for path in kept:
            tar.add(path, str(path.relative_to(home)), recursive=False, filter=_nobody)
    if (size := archive.stat().st_size) > LARGEST:
        sys.exit(f"{archive} has {size} bytes: more than {LARGEST}.")
    out.with_name(out.name + ".json").write_text(_lines(said) + "\n", encoding="utf-8")
    print(f"{archive}: {size} bytes, {len(kept)} files and folders")


def _lines(said: dict[str, object]) -> str:
    """JSON with a line for each job."""
    parts = []
    for key, value in said.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in value)
            parts.append(f' "{key}": [\n  {rows}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}"


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    main()
