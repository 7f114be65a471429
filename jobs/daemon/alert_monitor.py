"""Watches each sample for what is wrong with the machine, told in the log and by the user's command.

What is wrong is decided by `policy.alerts`. The command gets its words as arguments, never through a shell,
on a thread of its own and for a bounded time.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import replace

from jobs.core.jobs import GIB, Job, JobId
from jobs.core.machine import Alert, Capacity, Sample
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.upkeep.alerts import AlertTracker, readings_of, track

log = logging.getLogger(__name__)

COMMAND_S = 10.0


class AlertMonitor:
    """The watch of one scheduler."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._command = settings.alerts.command
        self._log_bytes = settings.jobs.log_max_bytes or GIB
        self._watch = AlertTracker()

    def tick(self, sample: Sample, capacity: Capacity, running: Iterable[Job]) -> Sample:
        """The sample with the alerts that stand; what is new or over is told."""
        before = self._watch.standing
        readings = readings_of(
            sample,
            capacity,
            disk=self._disk(),
            log_bytes=self._written(running),
            log_kept_bytes=self._log_bytes,
        )
        self._watch = track(self._watch, readings, sample.at)
        after = self._watch.standing
        for key in after.keys() - before.keys():
            self._tell("raised", after[key])
        for key in before.keys() - after.keys():
            self._tell("cleared", before[key])
        return replace(sample, alerts=self._watch.alerts) if after else sample

    def _disk(self) -> tuple[int, int] | None:
        try:
            usage = shutil.disk_usage(self._home.data)
        except OSError:
            return None
        return usage.free, usage.total

    def _written(self, running: Iterable[Job]) -> dict[JobId, int]:
        sizes = {}
        for job in running:
            try:
                size = os.stat(self._home.attempt(job.id, job.attempts) / "output.log").st_size
            except OSError:
                continue
            sizes[job.id] = size
        return sizes

    def _tell(self, word: str, alert: Alert) -> None:
        log.warning("alert %s: %s (%s %s)", word, alert.text, alert.kind, alert.subject)
        if self._command:
            words = (*self._command, word, alert.kind.value, alert.text)
            threading.Thread(target=_run, args=(words,), name="alert", daemon=True).start()


def _run(words: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        log.warning("the command for alerts failed: %s", error)
        return
    if done.returncode:
        log.warning("the command for alerts ended with %d", done.returncode)
