"""What an attempt starts from: the files that its command names, its packages, its machine.

The modules that lie beside a Python script and that it imports count as files of the command. Imports are
read from the text, not executed. Standard library only. The record is written while the job starts, so that
a later run can be compared with it. What cannot be read, or is too large, is recorded by size, or left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_FILES = 32  # that the command names
MOST_MODULES = 200  # that its scripts import
MOST_IMPORTS = 500  # of one file
MOST_BYTES = 64 << 20  # of all files together; what is larger is recorded by its size and its time
MOST_PACKAGES = 2000
MOST_CHARS = 200
_PIECE_BYTES = 1 << 20
# An import statement: the module and names of `from`, or the modules of `import`; bounded, so that no text
# takes long.
_IMPORT = re.compile(
    rb"\n[ \t]*(?:from[ \t]+([\w.]{1,200})[ \t]+import[ \t]*(\([^)]{0,2000}|[^\n]{0,500})"
    rb"|import[ \t]+([\w., \t]{1,500}))"
)
_NAME = re.compile(rb"([\w.]+)(?:[ \t]+as[ \t]+\w+)?")


def of(argv: Sequence[str], cwd: str) -> dict[str, object]:
    """Empty for a command that names no file and is no Python: there is nothing to compare."""
    files = _files(argv[1:], cwd)
    packages = _packages(argv[0]) if argv else {}
    if not files and not packages:
        return {}
    system = os.uname()
    machine = f"{system.nodename}, {system.sysname} {system.release}, {system.machine}"
    commit = _commit(cwd)
    return {"files": files, "packages": packages, "machine": machine[:MOST_CHARS], "commit": commit}


def _files(words: Sequence[str], cwd: str) -> dict[str, str]:
    """What each file holds that a word, or the part after its "=", names; then what scripts import."""
    found: dict[str, str] = {}
    left, scripts = MOST_BYTES, []
    for word in words:
        for path in dict.fromkeys((word, word.partition("=")[2])):
            if not path or len(path) > MOST_CHARS or len(found) >= MOST_FILES:
                continue
            try:
                found[path], read, start = _content(os.path.join(cwd, path), left)
            except (OSError, ValueError):
                continue
            left -= read
            if path.endswith(".py"):
                scripts.append((path, start))
    for path, start in scripts:
        left = _add_modules(path, start, cwd, found, left)
    return found


def _add_modules(script: str, start: bytes, cwd: str, found: dict[str, str], left: int) -> int:
    """Add the modules beside a script that it imports, directly or not; returns how many bytes are left.

    Paths are written as the script's is: `kit/data.py` beside `sklearn_forest.py`.
    """
    most = len(found) + MOST_MODULES
    modules = _Modules(os.path.dirname(script), cwd)
    waiting = list(modules.imported(start, modules.beside))
    for path in waiting:  # which grows
        if path in found or len(found) >= most or len(path) > MOST_CHARS:
            continue
        try:
            found[path], read, start = _content(os.path.join(cwd, path), left)
        except (OSError, ValueError):
            continue
        left -= read
        waiting += modules.imported(start, os.path.dirname(path))
    return left


class _Modules:
    """The modules and packages beside a script; looks for each only once."""

    def __init__(self, beside: str, cwd: str) -> None:
        self.beside = beside
        self._cwd = cwd
        self._known: dict[str, str] = {}

    def imported(self, text: bytes, package: str) -> Iterator[str]:
        """The files that the import statements in a text name; `package` is the folder of the file itself.

        A line that only looks like an import, in a docstring for example, may name a file too many.
        """
        for number, match in enumerate(_IMPORT.finditer(b"\n" + text)):
            if number == MOST_IMPORTS:
                break
            module, names, modules = match.groups()
            for name in _NAME.findall(modules or b""):
                yield from self._files(self.beside, name)
            if module is None:
                continue
            dots = len(module) - len(module.lstrip(b"."))
            folder = package if dots else self.beside
            for _ in range(dots - 1):  # never above the script
                folder = folder if folder == self.beside else os.path.dirname(folder)
            yield from self._files(folder, module[dots:])
            folder = os.path.join(folder, *_parts(module[dots:]))
            if self._kind(folder) == "package":
                for name in _NAME.findall(names):  # each may be a module
                    yield from self._files(folder, name)

    def _files(self, folder: str, name: bytes) -> Iterator[str]:
        """The file of a module, and those of the packages that it is in."""
        for part in _parts(name):
            folder = os.path.join(folder, part)
            kind = self._kind(folder)
            if kind == "module":
                yield f"{folder}.py"
            elif kind == "package":
                yield os.path.join(folder, "__init__.py")
            if kind != "package":
                return

    def _kind(self, path: str) -> str:
        """ "package" for a folder, "module" for a file with `.py`, "" for neither."""
        if (known := self._known.get(path)) is None:
            whole = os.path.join(self._cwd, path)
            known = "package" if os.path.isdir(whole) else "module" if os.path.isfile(f"{whole}.py") else ""
            self._known[path] = known
        return known


def _parts(name: bytes) -> list[str]:
    return [part for part in name.decode("utf-8", "replace").split(".") if part]


def _content(path: str, most: int) -> tuple[str, int, bytes]:
    """A text that differs once the file does, the bytes read, and the first of them. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("not a file")
        if about.st_size > most:
            return f"size {about.st_size} time {about.st_mtime_ns}", 0, b""
        digest, read, start = hashlib.sha256(), 0, b""
        while read < most and (piece := os.read(descriptor, _PIECE_BYTES)):
            digest.update(piece)
            start = start or piece
            read += len(piece)
        return f"sha256 {digest.hexdigest()}", read, start
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
