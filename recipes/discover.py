"""Folders of recipe files -> one catalogue, read from headers alone.

It never imports or runs a recipe, and nothing that lies in a folder (binary junk, endless links, pipes,
files that cannot be read) makes it fail or hang. The first folder with a name wins.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recipes import manifest, notebook
from recipes.checking import did_you_mean
from recipes.manifest import Problem, Recipe

HEADER_BYTES = 64 * 1024
_KINDS = (".py", ".ipynb")
_FILES_PER_FOLDER = 1_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that means to be a recipe and cannot be used; `problems` say why, with lines."""

    name: str
    path: Path
    problems: tuple[Problem, ...]


Entry = Recipe | Broken


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know about a file or folder that is not in the catalogue."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that was found, sorted by name; each name is there once."""

    entries: tuple[Entry, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Recipe))

    def find(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)

    def usable(self, name: str) -> Recipe | str:
        """The recipe of that name, or one sentence why there is none to run."""
        entry = self.find(name)
        if entry is None:
            return f"There is no recipe {name!r}.{self.hint(name)}"
        if isinstance(entry, Recipe):
            return entry
        first = entry.problems[0]
        return f"The recipe {name!r} cannot be used: {entry.path}, line {first.line}: {first.message}"

    def hint(self, name: str) -> str:
        """' Did you mean "sklearn_forest"?' or nothing."""
        return did_you_mean(name, [entry.name for entry in self.entries])


class Finder:
    """Makes catalogues and remembers what unchanged files said: by path, modification time and size."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], Entry | None]] = {}

    def catalogue(self, folders: Sequence[Path]) -> Catalogue:
        """Everything in these folders (not below them); a folder that is not there is no problem."""
        entries: dict[str, Entry] = {}
        notes: list[Note] = []
        seen: dict[Path, tuple[tuple[int, int], Entry | None]] = {}
        for folder in dict.fromkeys(folders):
            for path in _files(folder, notes):
                entry = self._entry(path, seen)
                if entry is None:
                    continue
                first = entries.setdefault(entry.name, entry)
                if first is not entry and not _same_file(first.path, path):
                    notes.append(Note(path, f"{entry.name} is hidden by the one in {first.path.parent}."))
        self._seen = seen
        return Catalogue(tuple(entries[name] for name in sorted(entries)), tuple(notes))

    def _entry(self, path: Path, seen: dict[Path, tuple[tuple[int, int], Entry | None]]) -> Entry | None:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            key = (status.st_mtime_ns, status.st_size)
            known = self._seen.get(path)
            seen[path] = known if known is not None and known[0] == key else (key, _read(path))
        except (OSError, ValueError) as error:
            if path.is_symlink():
                return None
            return Broken(_name(path), path, (Problem(1, f"The file cannot be read: {_reason(error)}."),))
        return seen[path][1]


def catalogue(folders: Sequence[Path]) -> Catalogue:
    """One catalogue, without a memory of earlier ones."""
    return Finder().catalogue(folders)


def library_folder() -> Path:
    """The folder of the recipes that are shipped."""
    return Path(__file__).resolve().parent / "library"


def _files(folder: Path, notes: list[Note]) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            names = sorted(
                each.name for each in found if each.name.endswith(_KINDS) and each.name[0] not in "._"
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        notes.append(Note(folder, f"The folder cannot be read: {_reason(error)}."))
        return []
    if len(names) > _FILES_PER_FOLDER:
        notes.append(
            Note(folder, f"Only the first {_FILES_PER_FOLDER} of its {len(names)} files were looked at.")
        )
    return [folder / name for name in names[:_FILES_PER_FOLDER]]


def _read(path: Path) -> Entry | None:
    # Never waits, should the file have become a pipe since it was looked at.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        head = file.read(HEADER_BYTES if path.suffix == ".py" else notebook.LARGEST_BYTES + 1)
    found = _parsed(head, path)
    if found is None:
        return None
    if isinstance(found, tuple):
        return Broken(_name(path), path, found)
    if not _NAME.fullmatch(found.name):
        message = "Rename the file: a recipe's name has letters, digits, _, - and . only, at most 64."
        return Broken(found.name, path, (Problem(1, message),))
    return found


def _parsed(head: bytes, path: Path) -> Recipe | tuple[Problem, ...] | None:
    text = head.decode("utf-8", errors="replace")
    if path.suffix == ".ipynb":
        if len(head) > notebook.LARGEST_BYTES:
            return (Problem(1, "It is larger than 16 MiB: clear its outputs in Jupyter and save it."),)
        return notebook.parse(text, path, _name(path))
    if notebook.is_percent(text):
        return notebook.parse(text, path, _name(path))
    return manifest.parse(text, path, _name(path))


def _name(path: Path) -> str:
    return os.fsencode(path.stem).decode("utf-8", errors="replace")


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _reason(error: Exception) -> str:
    return (error.strerror or "it failed") if isinstance(error, OSError) else "its name is not usable"
