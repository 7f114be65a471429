"""What was asked and answered, a JSON line for each row, where it was wished for (`--log-predictions`).

A thread of its own writes; whoever answers only puts into a bounded queue, and what finds it full is
counted and dropped. Files can be read by their owner alone, and the oldest goes when there are too many.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path

from jobs.programs.serving.engines import Predictions
from jobs.programs.serving.rows import Rows

FILE = "predictions.jsonl"
FILE_BYTES = 16 << 20
OLDER_FILES = 4  # predictions.jsonl.1 is the newest of them
_WAITING = 2_000
_WAITING_ROWS = 50_000
_LAST_S = 3.0
_Line = tuple[float, str, Rows, Predictions]


class PredictionLog:
    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES) -> None:
        self._path, self._file_bytes = folder / FILE, file_bytes
        self._queue: queue.Queue[_Line | None] = queue.Queue(_WAITING)
        self._rows = 0  # waiting, about
        self._said = ""
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="prediction log", daemon=True)
        self._thread.start()

    def put(self, model: str, rows: Rows, answer: Predictions) -> None:
        """Have it written soon; never waits."""
        if self._rows + rows.count > _WAITING_ROWS:
            self.dropped += rows.count
            return
        try:
            self._queue.put_nowait((time.time(), model, rows, answer))
            self._rows += rows.count
        except queue.Full:
            self.dropped += rows.count

    def close(self) -> None:
        """Write what waits, for at most a few seconds."""
        try:
            self._queue.put(None, timeout=_LAST_S)
        except queue.Full:
            return
        self._thread.join(_LAST_S)

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            self._rows -= line[2].count
            try:
                self._append("".join(text + "\n" for text in lines(*line)).encode())
                self._said = ""
            except OSError as error:  # a full disk, say: it goes on answering
                self.dropped += line[2].count
                if self._said != str(error):
                    self._said = str(error)
                    print(f"{FILE} cannot be written: {error.strerror}", file=sys.stderr, flush=True)

    def _append(self, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size + len(content)
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        if size >= self._file_bytes:
            for number in range(OLDER_FILES, 0, -1):
                before = self._path if number == 1 else self._older(number - 1)
                if before.exists():
                    before.replace(self._older(number))

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{FILE}.{number}")


def lines(at: float, model: str, rows: Rows, answer: Predictions) -> list[str]:
    """One line for each row: when, by which version, what was given, what was answered."""
    found = []
    for number in range(rows.count):
        told: dict[str, object] = {"at": round(at, 3), "model": model}
        told["row"] = {name: values[number] for name, values in rows.columns.items()}
        told["prediction"] = answer.predictions[number]
        if answer.probabilities is not None:
            told["probabilities"] = answer.probabilities[number]
        found.append(json.dumps(told))
    return found
