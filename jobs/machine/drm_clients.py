"""Which process holds memory of a GPU, as the Linux kernel tells it without any library.

Two sources, joined by the larger: `/proc/<pid>/fdinfo` of those who have a GPU open (drm-usage-stats, of
processes that we may look into), and `kfd/proc`, where the kernel lists all who compute by ROCm.
Looking through all descriptors costs, so that is done seldom; whoever is known to have one open is read
each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 10.0
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MEMORY = ("drm-memory-vram", "drm-resident-vram", "drm-resident-vram0")  # by age of the kernel
_INITIAL = "pid:[4026531836]"  # the kernel's number of the namespace in which kfd counts processes

Held = dict[str, dict[int, int]]  # PCI address -> pid -> bytes


@dataclass(frozen=True, slots=True)
class DrmClient:
    """What one open GPU says of itself."""

    pdev: str
    ident: str
    mem_bytes: int


class DrmClients:
    """For one thread. `now` is of any clock that only goes forward."""

    def __init__(self, proc: Path, sys: Path) -> None:
        self._proc, self._kfd = str(proc), str(sys / "class/kfd/kfd/proc")
        self._open: dict[int, tuple[str, ...]] = {}  # pid -> descriptors that are GPUs
        self._looked_at = float("-inf")
        self._numbers_agree = _target(f"{self._proc}/self/ns/pid") == _INITIAL

    def held(self, now: float, gpu_ids: Mapping[str, Iterable[int]]) -> Held:
        """Who holds how much of each GPU. `gpu_ids` are kfd's numbers of the GPUs at each address."""
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._open = {pid: found for pid in sorted(_pids(self._proc)) if (found := self._gpus_of(pid))}
        held: Held = {}
        counted: set[tuple[str, str]] = set()  # a descriptor that was passed on is one client, the parent's
        for pid, descriptors in self._open.items():
            for number in descriptors:
                client = parsed(_read(f"{self._proc}/{pid}/fdinfo/{number}"))
                if client is None or (client.pdev, client.ident) in counted:
                    continue
                counted.add((client.pdev, client.ident))
                of = held.setdefault(client.pdev, {})
                of[pid] = of.get(pid, 0) + client.mem_bytes
        for pid in _pids(self._kfd) if self._numbers_agree else ():
            for address, numbers in gpu_ids.items():
                used = sum(_whole(_read(f"{self._kfd}/{pid}/vram_{number}")) for number in numbers)
                of = held.setdefault(address, {})
                of[pid] = max(used, of.get(pid, 0))
        return {address: {pid: used for pid, used in of.items() if used} for address, of in held.items()}

    def _gpus_of(self, pid: int) -> tuple[str, ...]:
        folder = f"{self._proc}/{pid}/fd"
        try:
            numbers = os.listdir(folder)
        except OSError:  # it is not ours to look into, or it has just ended
            return ()
        return tuple(number for number in numbers if _target(f"{folder}/{number}").startswith("/dev/dri/"))


def parsed(text: str) -> DrmClient | None:
    """The client that an `fdinfo` describes; None where it is none, or does not say what it holds."""
    fields = dict(
        line.split(":", 1) for line in text.splitlines() if line.startswith("drm-") and ":" in line
    )
    pdev, ident = fields.get("drm-pdev", "").strip(), fields.get("drm-client-id", "").strip()
    amount = next((fields[name].split() for name in _MEMORY if name in fields), [])
    if not pdev or not ident or not amount or not _is_whole(amount[0]):
        return None
    unit = _UNITS.get(amount[1] if len(amount) > 1 else "")
    return None if unit is None else DrmClient(pdev, ident, int(amount[0]) * unit)


def _pids(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if _is_whole(name)]
    except OSError:
        return []


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of them
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(16_384).decode("ascii", "replace")
    except OSError:
        return ""


def _whole(text: str) -> int:
    text = text.strip()
    return int(text) if _is_whole(text) else 0


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
