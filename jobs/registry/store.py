"""Registered models: folders that are the truth, and nothing besides them.

`content/<digest>/` has the files of a model, `names/<name>/<version>.json` the card of each version, and
`names/<name>/aliases.json` what each alias means now and meant before. Files are copied in, so that a job's
folder may go. Nothing of a model is ever loaded here. Writers take turns by a lock; readers need none, for
every file appears as a whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.core.ports import BadInput, StateUnavailable, WrongState
from jobs.core.tracking import ALIAS, NAME, ModelCard, ModelFile, RegisteredModel, card_of, card_table
from jobs.core.versions import PACKAGE, SCHEMA, Version
from jobs.runtime import atomic_write

_REFERENCE = re.compile(rf"({NAME.pattern})(?:@({ALIAS.pattern})|:v?([0-9]{{1,9}}))?")
_ALIASES = "aliases.json"
CARD = "card.json"  # in an exported folder
_MOST_MOVES = 100


class Registry:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    # --- reading -----------------------------------------------------------------------------------

    def names(self) -> tuple[RegisteredModel, ...]:
        """Every model with its versions, by name."""
        try:
            names = sorted(os.listdir(self._folder / "names"))
        except OSError:
            return ()
        found = [self._model(name) for name in names if NAME.fullmatch(name)]
        return tuple(model for model in found if model.versions)

    def model(self, name: str) -> RegisteredModel:
        """One model. Raises BadInput when there is none of that name."""
        found = self._model(name) if NAME.fullmatch(name) else None
        if found is None or not found.versions:
            raise BadInput(f"There is no model {name[:64]!r}.", "cro-tui models lists them.")
        return found

    def card(self, reference: str) -> ModelCard:
        """The version that `name@alias`, `name:3` or `name` (the newest) means. Raises BadInput."""
        matched = _REFERENCE.fullmatch(reference)
        if matched is None:
            raise BadInput(
                f"{reference[:80]!r} names no model.", "Write it like name, name@champion or name:3."
            )
        name, alias, number = matched.groups()
        if alias is not None:
            moves = self._moves(name).get(alias)
            if not moves:
                self.model(name)
                raise BadInput(
                    f"{name} has no alias {alias!r}.", f"cro-tui model promote {name} --as {alias}"
                )
            version = moves[-1]
        else:
            version = int(number) if number else max(self._versions(name), default=0)
        card = self._card(name, version)
        if card is None:
            self.model(name)
            raise BadInput(f"{name} has no version {version}.", f"cro-tui model show {name} lists them.")
        return card

    def content(self, card: ModelCard) -> Path:
        """The folder with its files; they are for reading only."""
        return self._folder / "content" / card.digest

    # --- writing -----------------------------------------------------------------------------------

    def register(
        self,
        source: Path,
        files: Sequence[str],
        card: Mapping[str, Any],
        *,
        expected: Mapping[str, str] | None = None,
    ) -> tuple[ModelCard, bool]:
        """A new version with these files of the folder `source`, and whether it is new: the same files
        under the same name are the version that they are already. `card` has the rest of its fields,
        `expected` the digests of files that must not have changed since they were looked at.

        Raises BadInput for a name, or a file, that cannot be used, Unreachable when nothing can be written.
        """
        name = str(card["name"])
        if not NAME.fullmatch(name):
            raise BadInput(f"{name[:64]!r} cannot name a model.", "Use letters, digits, _, . and -.")
        taken = [_file(source, path) for path in files]
        for file in taken:
            if (expected or {}).get(file.path, file.sha256) != file.sha256:
                raise BadInput(f"{file.path[:200]} changed while it was looked at.", "Try it again.")
        digest = _digest(taken)
        try:
            with self._turn():
                for version in sorted(self._versions(name)):
                    known = self._card(name, version)
                    if known is not None and known.digest == digest:
                        return known, False
                self._copy(source, taken, digest)
                version = max(self._versions(name), default=0) + 1
                own = {"version": version, "digest": digest, "files": tuple(taken)}
                made = ModelCard(**{**card, **own, "written_by": Version(PACKAGE, SCHEMA)})
                _write(self._folder / "names" / name / f"{version}.json", card_table(made))
                return made, True
        except OSError as error:
            raise StateUnavailable(
                f"The model could not be registered: {error.strerror or error}.",
                "Make room, and try again.",
            ) from error

    def promote(self, reference: str, alias: str) -> ModelCard:
        """Let the alias mean that version from now on. Raises BadInput."""
        if not ALIAS.fullmatch(alias):
            raise BadInput(f"{alias[:40]!r} cannot be an alias.", "Use letters, digits, _ and -.")
        with self._turn():
            card = self.card(reference)
            moves = self._moves(card.name)
            before = moves.get(alias, [])
            if not before or before[-1] != card.version:
                moves[alias] = [*before, card.version][-_MOST_MOVES:]
                _write(self._folder / "names" / card.name / _ALIASES, moves)
            return card

    def roll_back(self, name: str, alias: str) -> ModelCard:
        """Let the alias mean what it meant before. Raises BadInput, NotNow when it meant nothing else."""
        with self._turn():
            model, moves = self.model(name), self._moves(name)
            before = moves.get(alias, [])
            if len(before) < 2:
                said = "has never meant another version" if before else "is no alias of it"
                raise WrongState(
                    f"{model.name}: {alias[:40]!r} {said}.", f"cro-tui model show {model.name}"
                )
            moves[alias] = before[:-1]
            _write(self._folder / "names" / name / _ALIASES, moves)
            return self.card(f"{name}@{alias}")

    def export(self, reference: str, folder: Path) -> Path:
        """Copy its files and its card into a new folder. Raises BadInput when that is there already."""
        card = self.card(reference)
        try:
            folder.mkdir(parents=True)
            for file in card.files:
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.content(card) / file.path, folder / file.path)
                if sha256_of(folder / file.path) != file.sha256:
                    raise StateUnavailable(
                        f"{file.path} of {reference} is damaged.", "Register the model again."
                    )
            _write(folder / CARD, card_table(card))
        except FileExistsError:
            raise BadInput(f"There is a folder {folder} already.", "Name another one with --to.") from None
        except OSError as error:
            raise BadInput(f"{folder} cannot be written: {error.strerror}.", "Name another one.") from error
        return folder

    # --- how it is done ----------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _model(self, name: str) -> RegisteredModel:
        cards = [self._card(name, version) for version in sorted(self._versions(name), reverse=True)]
        aliases = {alias: moves[-1] for alias, moves in self._moves(name).items() if moves}
        return RegisteredModel(name, tuple(card for card in cards if card is not None), aliases)

    def _versions(self, name: str) -> list[int]:
        try:
            entries = os.listdir(self._folder / "names" / name)
        except OSError:
            return []
        stems = [entry.removesuffix(".json") for entry in entries if entry.endswith(".json")]
        return [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]

    def _moves(self, name: str) -> dict[str, list[int]]:
        table = _read(self._folder / "names" / name / _ALIASES) or {}
        return {
            alias: [version for version in versions if isinstance(version, int)]
            for alias, versions in table.items()
            if ALIAS.fullmatch(alias) and isinstance(versions, list)
        }

    def _card(self, name: str, version: int) -> ModelCard | None:
        """A card; None when there is none, or it cannot be read back."""
        table = _read(self._folder / "names" / name / f"{version}.json")
        try:
            if table is None:
                return None
            return card_of(table)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def _copy(self, source: Path, files: Sequence[ModelFile], digest: str) -> None:
        """Put the files into their place, all of them or none."""
        place = self._folder / "content" / digest
        if place.is_dir():
            return
        waiting = place.with_name(digest + ".part")
        shutil.rmtree(waiting, ignore_errors=True)
        for file in files:
            there = waiting / file.path
            there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source / file.path, there)
            if sha256_of(there) != file.sha256:
                raise OSError(f"{file.path} changed while it was copied")
            there.chmod(0o400)
            with there.open("rb") as copied:
                os.fsync(copied.fileno())
        waiting.rename(place)


def _file(source: Path, path: str) -> ModelFile:
    """A file below the folder, never one that a link or .. leads to elsewhere. Raises BadInput."""
    root = source.resolve()
    found = (root / path).resolve()
    try:
        inside = found.is_relative_to(root) and stat.S_ISREG(found.lstat().st_mode)
    except OSError:
        inside = False
    if not inside:
        raise BadInput(f"There is no file {path[:200]!r} in {source}.", "Name another one with --file.")
    return ModelFile(found.relative_to(root).as_posix(), found.stat().st_size, sha256_of(found))


def _digest(files: Sequence[ModelFile]) -> str:
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace the file in one step, and have it on the disk. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write.replace_durably(path, json.dumps(value, indent=1))
