"""The files of a machine with AMD GPUs, laid out as the kernel does it, in a folder that a test changes."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from jobs.machine.amd import Paths

MIB = 2**20
DISCRETE, APU = 1, 2  # the format of the table of metrics


class Card:
    """One card's folder below /sys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = folder.name

    def say(self, **files: object) -> None:
        """Write files of the card; `__` in a name stands for a slash."""
        for name, content in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(content) if isinstance(content, bytes) else path.write_text(f"{content}\n")

    def hush(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink()


class Kernel:
    """/sys, /proc and /dev in a folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "sys", folder / "proc", folder / "dev")
        self._nodes = self.paths.sys / "class/kfd/kfd/topology/nodes"
        self._clients = 0
        (self.paths.proc / "self/ns").mkdir(parents=True)
        (self.paths.proc / "self/ns/pid").symlink_to("pid:[4026531836]")
        (self.paths.sys / "class/drm").mkdir(parents=True)
        self._node(0, gpu_id=0, simd_count=0)
        self._file("kfd")

    def card(
        self,
        bus: int,
        *,
        vram_mib: int = 24_560,
        used_mib: int = 26,
        unique_id: int | None = None,
        node: int | None = 1,
        number: int = 0,
        metrics: int = DISCRETE,
    ) -> Card:
        """An AMD card on that bus, offered to ROCm as that node."""
        card = self.other(bus, number, vendor="0x1002", driver="amdgpu")
        card.say(
            device="0x744c",
            revision="0xc8",
            product_name="Radeon Test",
            gpu_busy_percent=7,
            mem_info_vram_total=vram_mib * MIB,
            mem_info_vram_used=used_mib * MIB,
            power__runtime_status="active",
            gpu_metrics=struct.pack("<HBB", 100, metrics, 3),
            hwmon__hwmon5__power1_average=31_000_000,
            hwmon__hwmon5__power1_cap=339_000_000,
            hwmon__hwmon5__temp1_label="junction",
            hwmon__hwmon5__temp1_input=61_000,
            hwmon__hwmon5__temp2_label="edge",
            hwmon__hwmon5__temp2_input=54_000,
        )
        if node is not None:
            ident = 0xABC0 + bus if unique_id is None else unique_id
            minor = 128 + number
            self._node(
                node,
                1000 + bus,
                simd_count=96,
                location_id=bus << 8,
                domain=0,
                unique_id=ident,
                drm_render_minor=minor,
            )
            self._file(f"dri/renderD{minor}")
        return card

    def other(self, bus: int, number: int, *, vendor: str, driver: str | None) -> Card:
        """Any display adapter."""
        folder = self.paths.sys / f"devices/pci0000:00/0000:{bus:02x}:00.0"
        folder.mkdir(parents=True)
        card = Card(folder)
        card.say(vendor=vendor, **{"class": "0x030000"})
        if driver is not None:
            drivers = self.paths.sys / "bus/pci/drivers" / driver
            drivers.mkdir(parents=True, exist_ok=True)
            (folder / "driver").symlink_to(drivers)
        devices = self.paths.sys / "bus/pci/devices"
        devices.mkdir(parents=True, exist_ok=True)
        (devices / folder.name).symlink_to(folder)
        drm = self.paths.sys / f"class/drm/card{number}"
        drm.mkdir()
        (drm / "device").symlink_to(folder)
        (self.paths.sys / f"class/drm/card{number}-DP-1").mkdir()  # a socket for a screen
        return card

    def unplug(self, card: Card) -> Path:
        """It falls off the bus; returns where its folder is kept for `plug`."""
        aside = card.folder.with_name(f"gone-{card.address}")
        card.folder.rename(aside)
        return aside

    def computes(self, pid: int, bus: int, mib: int) -> None:
        """That process uses ROCm."""
        folder = self.paths.sys / f"class/kfd/kfd/proc/{pid}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"vram_{1000 + bus}").write_text(f"{mib * MIB}\n")

    def draws(self, pid: int, bus: int, mib: int, *, client: int, key: str = "drm-memory-vram") -> None:
        """That process has the card open, as that client."""
        fd, fdinfo = self.paths.proc / f"{pid}/fd", self.paths.proc / f"{pid}/fdinfo"
        for folder in (fd, fdinfo):
            folder.mkdir(parents=True, exist_ok=True)
        number = len(list(fd.iterdir()))
        (fd / str(number)).symlink_to("/dev/dri/renderD128")
        (fdinfo / str(number)).write_text(
            f"pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t{client}\n"
            f"drm-pdev:\t0000:{bus:02x}:00.0\n{key}:\t{mib * 1024} KiB\ndrm-engine-gfx:\t1 ns\n"
        )

    def ends(self, pid: int) -> None:
        for folder in (self.paths.proc / str(pid), self.paths.sys / f"class/kfd/kfd/proc/{pid}"):
            shutil.rmtree(folder, ignore_errors=True)

    def withdraw(self, node: int) -> None:
        """ROCm is offered it no more."""
        shutil.rmtree(self._nodes / str(node))

    def _node(self, number: int, gpu_id: int, **properties: int) -> None:
        folder = self._nodes / str(number)
        folder.mkdir(parents=True)
        (folder / "gpu_id").write_text(f"{gpu_id}\n")
        (folder / "properties").write_text(
            "".join(f"{name} {value}\n" for name, value in properties.items())
        )

    def _file(self, name: str) -> None:
        path = self.paths.dev / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
