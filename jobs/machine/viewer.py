"""The machine as a front end sees it: what the daemon published, or else an own measurement.

Never measures while somebody else's sample is fresh. Safe for threads.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.machine import Capacity, Sample
from jobs.core.requests import DaemonStatus
from jobs.machine import latest_sample
from jobs.machine.latest_sample import LatestSample

if TYPE_CHECKING:
    from jobs.core.ports import Sensor
    from jobs.machine.process_groups import Process
    from jobs.machine.processes import ProcessTable

FRESH_S = 3.0
AGAIN_S = 0.4  # an own measurement serves all who ask so soon after it


class MachineView:
    """Reads vitals first and opens the sensor only when it must."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._sensor: Sensor | None = None
        self._capacity: Capacity | None = None
        self._table: ProcessTable | None = None
        self._last: Sample | None = None

    def sample_of(self, daemon: DaemonStatus) -> LatestSample | None:
        """What the running scheduler published, however old; None without one."""
        if not daemon.running:
            return None
        found = latest_sample.read(self._path)
        return found if found is not None and found.pid == daemon.pid else None

    def published(self, now: float, daemon: DaemonStatus) -> Sample | None:
        """The scheduler's sample while it is fresh."""
        found = self.sample_of(daemon)
        if found is None or found.sample is None or not now - FRESH_S <= found.sample.at <= now + FRESH_S:
            return None
        return found.sample

    def sample(self, now: float, daemon: DaemonStatus) -> Sample:
        """The scheduler's sample while it is fresh, else one of our own; takes up to 0.2 s."""
        found = self.published(now, daemon)
        if found is not None:
            return found
        with self._lock:
            if self._last is None or not 0 <= now - self._last.at < AGAIN_S:
                self._last = self._opened().read(now, {}, {}, 0.0)
            return self._last

    def processes(self, now: float, daemon: DaemonStatus, shown: Collection[int]) -> list[Process]:
        """Every process, with the GPU memory that it holds where there is a GPU."""
        from jobs.machine.process_groups import gpu_uses
        from jobs.machine.processes import ProcessTable

        devices = self.sample(now, daemon).devices
        with self._lock:
            self._table = self._table or ProcessTable()
            return self._table.read(shown, gpu_uses(devices))

    def capacity(self, daemon: DaemonStatus) -> Capacity:
        """The machine's size."""
        if self._capacity is None:
            found = self.sample_of(daemon)
            if found is not None:
                return found.capacity
            with self._lock:
                self._capacity = self._opened().capacity()
        return self._capacity

    def close(self) -> None:
        with self._lock:
            close = getattr(self._sensor, "close", None)
            if close is not None:
                close()
            self._sensor = None
            if self._table is not None:
                self._table.close()

    def _opened(self) -> Sensor:
        if self._sensor is None:
            from jobs.machine.sensor import MachineSensor

            self._sensor = MachineSensor()
        return self._sensor
