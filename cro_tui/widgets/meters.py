"""The row of meters: CPU and memory, and each GPU with its memory where there is one.

Made once for the machine's devices; a picture only changes what the meters say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.app import ComposeResult
from textual.containers import Container

from cro_tui.widgets.device_rows import DeviceRows
from cro_tui.widgets.load import (
    Gauge,
    cpu_gauge,
    gpu_gauge,
    mem_gauge,
    pressure_lines,
    vram_gauge,
)
from cro_tui.widgets.meter import Lines, Meter
from cro_tui.widgets.strips import plain
from jobs.core.jobs import Job
from jobs.core.machine import Capacity, Device, Sample
from jobs.core.rules import SchedulerSettings
from jobs.records.load_history import CPU, MEM, Point, binned


class Meters(Container):
    """`show` takes the newest sample. The second half follows the machine: panels, a table, or pressure."""

    def __init__(
        self, rules: SchedulerSettings, *, ascii_only: bool = False, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._rules = rules
        self._ascii = ascii_only
        self._devices: tuple[Device, ...] | None = None
        self._sampled_at = 0.0

    def compose(self) -> ComposeResult:
        with Container(id="own-meters"):
            yield Meter(Gauge("CPU", "", None, "", ""), ascii_only=self._ascii, id="cpu")
            yield Meter(Gauge("MEM", "", None, "", ""), ascii_only=self._ascii, id="mem")
        yield Container(id="device-meters")

    def show(self, sample: Sample | None, capacity: Capacity | None, active: Sequence[Job]) -> None:
        """`active` are the jobs that hold something."""
        tick = sample is not None and sample.at >= self._sampled_at + 0.4
        if tick and sample is not None:
            self._sampled_at = sample.at
        self.query_one("#cpu", Meter).show(cpu_gauge(sample, capacity, active), tick=tick)
        self.query_one("#mem", Meter).show(mem_gauge(sample, capacity, active, self._rules), tick=tick)
        if capacity is None:
            return
        if capacity.all_devices != self._devices:
            self._devices = capacity.all_devices
            self._make_room(self._devices)
        self._show_devices(sample, active, tick)

    def look_back(self, span: str, points: Sequence[Point], from_at: float, until_at: float) -> None:
        """Draw the load of that time; an empty `span` goes back to the last seconds."""
        devices = self._devices or ()
        series = {"cpu": CPU, "mem": MEM}
        if len(devices) == 1:
            series |= {"gpu": f"gpu:{devices[0].uuid}", "vram": f"vram:{devices[0].uuid}"}
        for meter in self.query(Meter):
            name = series.get(meter.id or "")
            if name is not None:
                past = partial(binned, tuple(points), name, from_at, until_at)
                meter.look_back(f"last {span}" if span else "", past if span else None)
        for rows in self.query(DeviceRows):
            uuids = [device.uuid for device in devices] if span else []
            known = tuple(points)
            rows.look_back(
                f"last {span}" if span else "",
                {uuid: partial(binned, known, f"gpu:{uuid}", from_at, until_at) for uuid in uuids},
            )

    def _make_room(self, devices: tuple[Device, ...]) -> None:
        room = self.query_one("#device-meters")
        room.remove_children()
        self.set_class(not devices, "-no-gpu")
        self.set_class(len(devices) > 1, "-gpus")
        if not devices:
            room.mount(Lines(id="pressure"))
        elif len(devices) == 1:
            room.mount(
                Meter(Gauge("GPU", "", None, "", ""), ascii_only=self._ascii, id="gpu"),
                Meter(Gauge("VRAM", "", None, "", ""), ascii_only=self._ascii, id="vram"),
            )
        else:
            room.mount(DeviceRows(ascii_only=self._ascii, id="gpus"))
            self.styles.height = None

    def _show_devices(self, sample: Sample | None, active: Sequence[Job], tick: bool) -> None:
        devices = self._devices or ()
        now = sample.at if sample else 0.0
        live = {device.uuid: device for device in sample.devices} if sample else {}
        for panel in self.query(Lines):
            note = plain((sample.gpu_note if sample else None) or "none was found", 200)
            note = note.partition(": ")[0].partition("; ")[
                0
            ]  # why, and what to do, say `status` and `doctor`
            panel.show("Pressure", "", (*pressure_lines(sample), f"no GPU: {note}"))
        for rows in self.query(DeviceRows):
            rows.show([(device, live.get(device.uuid)) for device in devices], active, now)
        for meter in self.query("#gpu, #vram").results(Meter):
            device, found = devices[0], live.get(devices[0].uuid)
            gpu = meter.id == "gpu"
            gauge = gpu_gauge(device, found, active, now) if gpu else vram_gauge(device, found, active)
            meter.show(gauge, tick=tick)
