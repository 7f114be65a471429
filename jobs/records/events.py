"""Follows the `events.jsonl` of one attempt as it grows, and keeps what its lines say all together.

Reads only what is new, at most so many bytes a look; never waits, never writes, and never raises for what
stands in the file. A line that cannot be used stays where it is; it is counted, and the first ones are
remembered with their number and the reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.core.tracking import FlaggedLine, Reported, ReportedModel
from jobs.runtime import job_folder

EVENTS = job_folder.EVENTS
BUDGET_BYTES = 4 << 20
MOST_FLAGGED = 20
MOST_NOTES = 20
MOST_ARTIFACTS = 100
MOST_PARAMS = 200
_MOST_CHARS = 500


class EventsFile:
    """One attempt's file, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self.offset = 0
        self._lines = 0
        self._rest = b""
        self._skips = False  # inside a line that is too long already
        self._said: dict[str, Any] = {}
        self._metrics: dict[str, float] = {}
        self._params: dict[str, str] = {}
        self._notes: list[str] = []
        self._artifacts: list[str] = []
        self._flagged: list[FlaggedLine] = []
        self._events = self._flagged_count = 0
        self.reported = Reported()

    def look(self, budget_bytes: int = BUDGET_BYTES, *, ended: bool = False) -> Reported:
        """Read what is new. Once the run has `ended`, a last line without its newline counts as well."""
        try:
            with open(self._path, "rb", opener=job_folder.open_file) as file:
                if file.seek(0, os.SEEK_END) < self.offset:
                    self._begin()  # somebody wrote it anew
                file.seek(self.offset)
                read = file.read(budget_bytes)
        except OSError:
            return self.reported
        if not read and not (ended and (self._rest or self._skips)):
            return self.reported
        self.offset += len(read)
        *lines, rest = (self._rest + read).split(b"\n")
        for line in lines:
            self._take(line)
        self._rest = rest
        if ended and len(read) < budget_bytes and (rest or self._skips):
            self._take(rest)
            self._rest = b""
        elif len(rest) > job_folder.MAX_EVENT_BYTES:
            self._rest, self._skips = b"", True
        self.reported = self._all()
        return self.reported

    def _take(self, line: bytes) -> None:
        self._lines += 1
        skips, self._skips = self._skips, False
        if not skips and not line.strip():
            return
        event = job_folder.parse_event(b" " * (job_folder.MAX_EVENT_BYTES + 1) if skips else line)
        if isinstance(event, str):
            self._flag(event)
            return
        self._events += 1
        metrics, wrong = job_folder.event_metrics(event)
        for name, value in metrics.items():
            if name in self._metrics or len(self._metrics) < job_folder.MAX_METRICS:
                self._metrics[name] = value
        if wrong := self._words(event) or wrong:
            self._flag(wrong)

    def _words(self, event: Mapping[str, Any]) -> str:
        """Take in the keys that have a meaning of their own; what is wrong with the first wrong one."""
        wrong = ""
        for name in job_folder.EVENT_KEYS & event.keys():
            value = event[name]
            if name in ("phase", "note", "artifact", "model", "flavor"):
                if not isinstance(value, str) or not value:
                    wrong = f"{name} is no text"
                    continue
                value = value[:_MOST_CHARS]
            if name in ("phase", "flavor", "model", "sample", "spread"):
                self._said[name] = value
            elif name == "note":
                self._notes = [*self._notes[1 - MOST_NOTES :], value]
            elif name == "artifact" and value not in self._artifacts:
                self._artifacts = [*self._artifacts, value][:MOST_ARTIFACTS]
            elif name == "params":
                wrong = self._given(value) or wrong
            elif name == "step" and job_folder.is_finite(value):
                self._said["step"] = int(value)
            elif name == "progress" and job_folder.is_finite(value) and 0 <= value <= 1:
                self._said["progress"] = float(value)
            elif name in ("step", "progress"):
                wrong = f"{name} is no number" + (" from 0 to 1" if name == "progress" else "")
        return wrong

    def _given(self, params: object) -> str:
        if not isinstance(params, dict):
            return "params is no JSON object"
        for name, value in params.items():
            if name in self._params or len(self._params) < MOST_PARAMS:
                self._params[name[: job_folder.MAX_NAME_CHARS]] = str(value)[:_MOST_CHARS]
        return ""

    def _flag(self, reason: str) -> None:
        self._flagged_count += 1
        if len(self._flagged) < MOST_FLAGGED:
            self._flagged.append(FlaggedLine(self._lines, reason))

    def _all(self) -> Reported:
        said = self._said
        model = None
        if "model" in said:
            model = ReportedModel(
                said["model"], said.get("flavor", ""), said.get("sample"), said.get("spread")
            )
        return Reported(
            events=self._events,
            metrics=dict(self._metrics),
            params=dict(self._params),
            step=said.get("step"),
            progress=said.get("progress"),
            phase=said.get("phase", ""),
            notes=tuple(self._notes),
            artifacts=tuple(self._artifacts),
            model=model,
            flagged=tuple(self._flagged),
            flagged_count=self._flagged_count,
        )


def read(path: Path, *, ended: bool = True) -> Reported:
    """What a whole file says, however large; nothing when it is not there."""
    file = EventsFile(path)
    before = -1
    while file.offset != before:
        before = file.offset
        file.look(ended=ended)
    return file.reported
