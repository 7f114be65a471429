"""Saving what is done so far, stopping when asked to, and resuming.

A checkpoint is one file, `state`, with a checksum and what it was made from. It is replaced in one step, so
a kill at any moment leaves the previous one whole.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from .data import BUNDLED
from .job import report

SAVED = 75  # exit code: the work is saved, start me again
SAVE_EVERY_S = float(os.environ.get("CRO_SAVE_EVERY_S") or 30)


class Interrupted(BaseException):
    """SIGTERM arrived while a piece of work was running that can be repeated."""


class Checkpoints:
    """What is done so far, in `CRO_CHECKPOINT_DIR`; without that variable nothing is kept.

    `recipe` is the recipe's own `__file__`. Create it early: from then on SIGTERM makes `due()` true, and
    the next `save` ends the recipe with exit code 75. Before `load`, with nothing to save, it ends at once.
    """

    def __init__(self, recipe: str) -> None:
        self._folder = os.environ.get("CRO_CHECKPOINT_DIR")
        self._recipe = recipe
        self._made_from: dict[str, object] = {}
        self._working = self._asked = self._interruptible = False
        self._saved_at = self._save_s = 0.0
        if self._folder:
            signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        if not self._working:
            os._exit(SAVED)
        again, self._asked = self._asked, True
        if self._interruptible and not again:
            raise Interrupted

    def load(self, options: argparse.Namespace, library: ModuleType) -> Any:
        """The state that `CRO_RESUME` holds, or None to start from the beginning.

        It must have been saved by the same code, with the same options, data and version of the library;
        if not, one line on stderr says what differs.
        """
        self._made_from = {
            **code_digests(self._recipe),
            library.__name__: library.__version__,
            **vars(options),
        }
        if options.data not in BUNDLED:
            self._made_from["data"] = sha256(options.data)
        state = None
        if folder := os.environ.get("CRO_RESUME"):
            try:
                state = self._read(Path(folder) / "state")
            except Exception as problem:
                print(
                    f"note: the checkpoint in {folder} is not used: {problem}", file=sys.stderr, flush=True
                )
        self._saved_at, self._working = time.monotonic(), True
        return state

    def _read(self, path: Path) -> Any:
        with path.open("rb") as file:
            digest = file.read(32)
            if hashlib.file_digest(file, "sha256").digest() != digest:
                raise ValueError("it is damaged")
            file.seek(32)
            made_from = pickle.load(file)
            keys = {**made_from, **self._made_from}
            other = sorted(key for key in keys if made_from.get(key) != self._made_from.get(key))
            if other:
                raise ValueError(f"it was made with another {', '.join(other)}")
            return pickle.load(file)

    def resumed(self, after: str) -> None:
        """Say where the work resumes; by the time until then the queue measures what a restart costs."""
        print(f"resuming after {after}")
        report(note=f"resuming after {after}")

    def due(self) -> bool:
        """Whether to call `save` now: asked to stop, or enough time has passed."""
        since_s = time.monotonic() - self._saved_at if self._working else 0.0
        return bool(self._folder) and (self._asked or since_s > max(SAVE_EVERY_S, 20 * self._save_s))

    def save(self, state: object) -> None:
        """Replace the checkpoint. Ends the recipe if it was asked to stop."""
        assert self._folder is not None
        began, folder = time.monotonic(), Path(self._folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (folder / "state.part").open("wb+") as file:
                file.write(bytes(32))
                pickle.dump(self._made_from, file)
                pickle.dump(state, file, protocol=5)
                file.seek(32)
                digest = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                file.write(digest)
                file.flush()
                os.fsync(file.fileno())
            (folder / "state.part").replace(folder / "state")
            entries = os.open(folder, os.O_RDONLY)
            os.fsync(entries)
            os.close(entries)
        except OSError as problem:  # a full disk, for example: the previous one stays
            print(f"note: the checkpoint could not be saved, {problem}", file=sys.stderr, flush=True)
        self._saved_at = time.monotonic()
        self._save_s = self._saved_at - began
        if self._asked:
            print(f"stopped as asked: saved in {self._save_s:.2f} s", flush=True)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # while it exits, Python drops its handlers
            sys.exit(SAVED)

    @contextmanager
    def interruptible(self, state: object) -> Iterator[None]:
        """Inside, SIGTERM interrupts the work at once; `state` is saved, and the work is repeated later."""
        try:
            try:
                self._interruptible = bool(self._folder)
                yield
            finally:
                self._interruptible = False
        except Interrupted:
            self.save(state)

    def done(self) -> None:
        """Remove the checkpoint: all outputs are there."""
        if self._folder:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for name in ("state", "state.part"):
                (Path(self._folder) / name).unlink(missing_ok=True)


def code_digests(recipe: str) -> dict[str, str]:
    """Digests of the recipe's file, and of the kit's files where this code is not part of the recipe."""
    digests = {"recipe": sha256(recipe)}
    if not Path(recipe).samefile(__file__):
        files = sorted(Path(__file__).parent.glob("*.py"))
        digests["kit"] = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return digests


def sha256(path: str | Path) -> str:
    """The file's digest, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
