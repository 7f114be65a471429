"""Which GPUs are plugged in, by the PCI bus alone: for what is said where none of them can be read.

It loads nothing, opens no device and wakes none.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

SYS = Path("/sys")
NOT_AVAILABLE = "not available"
NO_APPLE = f"GPU of this Mac {NOT_AVAILABLE}: nothing here reads it"
_MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DRIVERS = {"NVIDIA": "nvidia", "AMD": "amdgpu"}  # of the kernel, without which nothing can be read
_REMEDIES = {
    "NVIDIA": "install NVIDIA's driver, which your distribution has, and restart",
    "AMD": "load the kernel's driver: sudo modprobe amdgpu",
}
_CLASSES = ("0x03", "0x12")  # display controllers, processing accelerators


@dataclass(frozen=True, slots=True)
class Adapter:
    """One GPU on the bus. `driver` is what the kernel runs it with, None for nothing."""

    address: str
    maker: str
    driver: str | None

    @property
    def why_unread(self) -> str | None:
        """Why it cannot be read; None where the driver that is needed has it."""
        if self.maker not in _DRIVERS:
            return f"{self.maker} GPU {NOT_AVAILABLE}: only those of NVIDIA and AMD are read"
        if self.driver == _DRIVERS[self.maker]:
            return None
        has = f"the driver {self.driver}" if self.driver else "no driver"
        return f"{self.maker} GPU {NOT_AVAILABLE}: at {self.address} it has {has}"

    @property
    def remedy(self) -> str:
        return _REMEDIES.get(self.maker, "")


def adapters(root: Path | None = None) -> tuple[Adapter, ...]:
    """The GPUs of makers that anybody computes with, by address."""
    found = []
    bus = (SYS if root is None else root) / "bus/pci/devices"
    for device in sorted(bus.iterdir()) if bus.is_dir() else ():
        maker = _MAKERS.get(_text(device / "vendor"))
        if maker is not None and _text(device / "class").startswith(_CLASSES):
            driver = device / "driver"
            found.append(Adapter(device.name, maker, driver.resolve().name if driver.exists() else None))
    return tuple(found)


def unread(root: Path | None = None) -> str | None:
    """Where nothing could be read: the GPU that is here all the same, and what to do; None for none."""
    if sys.platform == "darwin":
        return NO_APPLE
    for each in sorted(adapters(root), key=lambda each: each.maker not in _DRIVERS):
        if each.why_unread is not None:
            return f"{each.why_unread}; {each.remedy}" if each.remedy else each.why_unread
        if each.maker == "NVIDIA":
            return (
                f"NVIDIA GPU {NOT_AVAILABLE}: its driver is there, libnvidia-ml.so.1 is not; "
                "install it, or start the container with --gpus all"
            )
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
