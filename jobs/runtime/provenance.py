"""What an attempt begins with: the files that its command names, its packages, its machine.

Standard library only. It is written beside the job as that starts, so that a later run can be compared; it
reads files and changes none. What cannot be read, or is too large, is known by less or not at all.
"""

from __future__ import annotations

import hashlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_FILES = 32
MOST_BYTES = 64 << 20  # of all files together; what is larger is known by its size and its time
MOST_PACKAGES = 2000
MOST_CHARS = 200
_PIECE_BYTES = 1 << 20


def of(argv: Sequence[str], cwd: str) -> dict[str, object]:
    """Empty for a command that names no file and is no Python: there is nothing to compare."""
    files = dict(_files(argv[1:], cwd))
    packages = _packages(argv[0]) if argv else {}
    if not files and not packages:
        return {}
    system = os.uname()
    machine = f"{system.nodename}, {system.sysname} {system.release}, {system.machine}"
    commit = _commit(cwd)
    return {"files": files, "packages": packages, "machine": machine[:MOST_CHARS], "commit": commit}


def _files(words: Sequence[str], cwd: str) -> Iterator[tuple[str, str]]:
    """What stands in each file that a word, or what follows its "=", is the path of."""
    left, found = MOST_BYTES, 0
    for word in words:
        for path in dict.fromkeys((word, word.partition("=")[2])):
            if not path or len(path) > MOST_CHARS or found >= MOST_FILES:
                continue
            try:
                said, read = _content(os.path.join(cwd, path), left)
            except (OSError, ValueError):
                continue
            yield path, said
            left, found = left - read, found + 1


def _content(path: str, most: int) -> tuple[str, int]:
    """A word that is another once the file is, and how much was read. Raises OSError for no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("not a file")
        if about.st_size > most:
            return f"size {about.st_size} time {about.st_mtime_ns}", 0
        digest, read = hashlib.sha256(), 0
        while read < most and (piece := os.read(descriptor, _PIECE_BYTES)):
            digest.update(piece)
            read += len(piece)
        return f"sha256 {digest.hexdigest()}", read
    finally:
        os.close(descriptor)


def _commit(folder: str) -> str:
    """The commit of the Git work tree around a folder, by its files alone; empty where there is none.

    Git itself is not asked: it would do what a stranger's settings say.
    """
    try:
        while not os.path.exists(os.path.join(folder, ".git")):
            above = os.path.dirname(folder)
            if above == folder:
                return ""
            folder = above
        git = os.path.join(folder, ".git")
        if os.path.isfile(git):  # a work tree beside the first one
            git = os.path.join(folder, _line(git).removeprefix("gitdir: "))
        head = _line(os.path.join(git, "HEAD"))
        if not head.startswith("ref: "):
            return _hash(head)
        name = head.removeprefix("ref: ")
        common = os.path.join(git, "commondir")
        for place in (git, os.path.join(git, _line(common)) if os.path.exists(common) else git):
            if os.path.isfile(os.path.join(place, name)):
                return _hash(_line(os.path.join(place, name)))
            packed = os.path.join(place, "packed-refs")
            if os.path.isfile(packed):
                with open(packed, encoding="utf-8", errors="replace") as file:
                    for line in file.read(_PIECE_BYTES).splitlines():
                        if line.endswith(f" {name}"):
                            return _hash(line.split(" ")[0])
    except OSError:
        pass
    return ""


def _line(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline(4096).strip()


def _hash(text: str) -> str:
    return text if 40 <= len(text) <= 64 and all(char in "0123456789abcdef" for char in text) else ""


def _packages(program: str) -> dict[str, str]:
    """The version of each package beside a Python, by the names of their folders; empty for others."""
    if not os.path.basename(program).startswith("python") or not os.path.isabs(program):
        return {}
    library = os.path.join(os.path.dirname(os.path.dirname(program)), "lib")
    found: dict[str, str] = {}
    try:
        for folder in os.listdir(library):
            if not folder.startswith("python3"):
                continue
            found["python"] = folder.removeprefix("python")
            for name in os.listdir(os.path.join(library, folder, "site-packages"))[:MOST_PACKAGES]:
                if name.endswith(".dist-info") and len(name) <= MOST_CHARS:
                    package, _, version = name.removesuffix(".dist-info").partition("-")
                    found[package] = version
    except OSError:
        pass
    return found
