"""When the database is backed up: after changes, every few minutes at most, in a thread of its own.

Never in the way of the loop, and a backup that fails is a line in the log.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from time import monotonic

from jobs.store.backup import back_up

log = logging.getLogger(__name__)
EVERY_S = 180.0
FIRST_AFTER_S = 5.0


class Backups:
    def __init__(self, database: Path) -> None:
        self._database = database
        self._thread: threading.Thread | None = None
        self._due = False
        self._at = monotonic() - EVERY_S + FIRST_AFTER_S

    def tick(self, *, changed: bool) -> None:
        """To be called after each turn of the loop; returns at once."""
        self._due |= changed
        if self._due and monotonic() - self._at >= EVERY_S:
            if self._thread is not None and self._thread.is_alive():
                return
            self._due, self._at = False, monotonic()
            self._thread = threading.Thread(target=self._make, name="backup", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Have a backup of the last changes before leaving."""
        if self._thread is not None:
            self._thread.join()
        if self._due:
            self._make()

    def _make(self) -> None:
        try:
            back_up(self._database)
        except (sqlite3.Error, OSError) as error:
            log.warning("the database could not be backed up: %s", error)
