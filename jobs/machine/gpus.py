"""All GPUs of the machine, whoever made them: a thread for each maker's driver, one answer for the sensor.

A driver can hang for ever, so nobody but its thread calls it: readers wait a bounded time and then get the
last answer while it is fresh, or none. It works only while it is asked. Another vendor is one more module
with a `GpuVendor`, and its name in `Gpus`. Jobs are given GPUs of one vendor only, the first that has any:
no program uses two vendors' at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from jobs.core.machine import Device
from jobs.machine.gpu_driver import DeviceNote, GpuDriver, GpuReading, GpuVendor, KnownDevices, NotPresent

FRESH_S = 3.0
READ_WAIT_S = 0.15  # for all makers together
FIRST_WAIT_S = 3.0
RETRY_EVERY_S = 30.0


class Gpus:
    """The GPUs of all makers. Any thread may read; `close` lets the threads go."""

    def __init__(
        self,
        makers: Sequence[GpuVendor] | None = None,
        why_none: Callable[[], str | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`makers` in the order of preference. `why_none` tells of GPUs that none of them reads."""
        if makers is None:
            from jobs.machine.adapters import unread
            from jobs.machine.amd import Amd
            from jobs.machine.nvml import Nvidia

            makers, why_none = (Nvidia(), Amd()), why_none or unread
        self._watched = [_Watched(maker, clock) for maker in makers]
        self._why_none = why_none or (lambda: None)
        self._none: str | None = None

    def known(self) -> KnownDevices:
        """All devices, as last seen, numbered through; waits a few seconds the first time."""
        self._ask(first_only=True)
        usable: tuple[Device, ...] = ()
        shown: tuple[Device, ...] = ()
        for each, above in self._in_order():
            found = each.known()
            here, there = (
                tuple(_from(device, above) for device in part) for part in (found.usable, found.shown)
            )
            if usable:
                shown += (*here, *there)
            else:
                usable, shown = here, (*shown, *there)
        return KnownDevices(usable, shown)

    def read(self) -> tuple[tuple[GpuReading, ...], str | None]:
        """The readings, and one line that says why there are none or one is missing; None if none is."""
        self._ask()
        readings: tuple[GpuReading, ...] = ()
        notes, absent = [], None
        for each, above in self._in_order():
            found, note = each.answer()
            readings += tuple(replace(one, device=_from(one.device, above)) for one in found)
            if isinstance(note, NotPresent):
                absent = note if absent is None or each.begun else absent
            elif note is not None:
                notes.append(note.numbered(above) if isinstance(note, DeviceNote) else note)
        if notes or readings or absent is None:
            return readings, "; ".join(notes) or None
        if self._none is None:
            self._none = self._why_none() or ""
        return (), self._none or absent

    def close(self) -> None:
        """Let the threads leave; they are not waited for, because a hanging driver would hold them."""
        for each in self._watched:
            each.close()

    def _in_order(self) -> Iterator[tuple[_Watched, int]]:
        """Each, with how many numbers those before it take: its own devices are numbered from there."""
        above = 0
        for each in self._watched:
            yield each, above
            found = each.known()
            above += max((device.index for device in (*found.usable, *found.shown)), default=-1) + 1

    def _ask(self, *, first_only: bool = False) -> None:
        """Wish for an answer of each, and wait for all of them together."""
        asked = [each for each in self._watched if not (first_only and each.begun) and each.wanted()]
        wait_s = READ_WAIT_S if all(each.begun for each in asked) else FIRST_WAIT_S
        before = [each.ask() for each in asked]
        until = time.monotonic() + wait_s
        for each, earlier in zip(asked, before, strict=True):
            each.wait(earlier, until - time.monotonic())


def _from(device: Device, above: int) -> Device:
    return replace(device, index=device.index + above) if above else device


class _Watched:
    """One maker's driver on a thread of its own, which begins when there is something to open."""

    def __init__(self, maker: GpuVendor, clock: Callable[[], float]) -> None:
        self.maker = maker
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted = False
        self._closed = False
        self._looked_at = float("-inf")
        self._answered_at: float | None = None
        self._readings: tuple[GpuReading, ...] = ()
        self._known = KnownDevices()
        self._note: str | None = maker.missing
        self._thread: threading.Thread | None = None

    @property
    def begun(self) -> bool:
        return self._thread is not None

    def known(self) -> KnownDevices:
        return self._known

    def wanted(self) -> bool:
        """Whether there is anybody to ask; looked for now and then."""
        if self._thread is not None:
            return True
        now = self._clock()
        if now - self._looked_at < RETRY_EVERY_S:
            return False
        self._looked_at = now
        return self.maker.present()

    def ask(self) -> float | None:
        """Wish for an answer; returns when the last one came."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.maker.name, daemon=True)
                self._thread.start()
            self._wanted = True
            self._changed.notify_all()
            return self._answered_at

    def wait(self, before: float | None, wait_s: float) -> None:
        """Until there is a newer answer, and no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._answered_at != before or self._closed, max(0.0, wait_s))

    def answer(self) -> tuple[tuple[GpuReading, ...], str | None]:
        """The last answer while it is fresh."""
        if self._thread is None:
            return (), self.maker.missing
        with self._changed:
            if self._answered_at is None or self._clock() - self._answered_at > FRESH_S:
                return (), self.maker.hangs
            return self._readings, self._note

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # --- on the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        driver: GpuDriver | None = None
        retry_at = 0.0
        while self._await_wish():
            readings: tuple[GpuReading, ...] = ()
            note: str | None = None
            try:
                if driver is None and self._clock() >= retry_at:
                    driver = self.maker.open(self._clock)
                if driver is not None:
                    readings, note = driver.read()
                else:
                    note = self._note
            except Exception as error:  # whatever the binding or the driver raises means: no GPUs now
                note = self.maker.explain(error)
                driver, retry_at = None, self._clock() + RETRY_EVERY_S
            self._publish(None if driver is None else driver.known, readings, note)

    def _await_wish(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closed)
            self._wanted = False
            return not self._closed

    def _publish(
        self, known: KnownDevices | None, readings: tuple[GpuReading, ...], note: str | None
    ) -> None:
        with self._changed:
            self._readings, self._note = readings, note
            self._answered_at = self._clock()
            self._known = known if known is not None and (known.usable or known.shown) else self._known
            self._changed.notify_all()
