"""AMD GPUs by the files of the kernel's driver, amdgpu: no library and no ROCm are needed to read them.

Jobs get those that the kernel offers to ROCm (kfd) and that we may open. A processor's own graphics are no
GPU for jobs unless they have memory worth the name, and are not listed otherwise. A card that the kernel
has put to sleep is not woken: it does nothing, and that is known. One that may be is asked seldom while it
does nothing, since each question keeps it awake for some seconds.
Which file says what: docs.kernel.org/gpu/amdgpu; why so: docs/adr/0016.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.core.machine import Device
from jobs.machine.drm_clients import DrmClients
from jobs.machine.gpu_driver import DeviceNote, GpuDriver, GpuReading, KnownDevices, NotPresent, lost_gpus

PROCESSES_EVERY_S = 2.0
SLOW_EVERY_S = 5.0
REST_S = 15.0  # the kernel lets a card sleep after five without a question
LEAST_OWN_BYTES = 8 * 2**30  # of a processor's graphics: less is what a screen needs
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NAMES = (Path("/usr/share/libdrm/amdgpu.ids"), Path("/opt/amdgpu/share/libdrm/amdgpu.ids"))

MISSING = NotPresent("no AMD GPU")
HANGS = "the amdgpu driver does not answer; its GPUs are not used until it does"
NO_COMPUTE = "cannot compute: the kernel offers it no ROCm (no node of it in /sys/class/kfd)"
CLOSED = "is closed to you; join its groups (sudo usermod -aG render,video $USER) and log in again"
NO_FILES = (
    "cannot be opened: /dev/kfd or its /dev/dri/renderD* is missing; a container needs --device for both"
)
DIVIDED = "is divided into partitions, which are not given to jobs"
MUTE = "does not say how much memory it has; dmesg tells of its driver"
SILENT = "does not answer; dmesg tells of its driver"
GRAPHICS = "AMD graphics not available: {} MiB of memory of its own are too little for jobs"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the kernel's files are; elsewhere in tests alone."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")


PATHS = Paths()


class Amd:
    """The Maker."""

    name = "amd"
    hangs = HANGS
    missing = MISSING

    def __init__(self, paths: Paths | None = None) -> None:
        self._paths = paths or PATHS

    def present(self) -> bool:
        return next(_cards(self._paths.sys), None) is not None

    def open(self, clock: Callable[[], float]) -> GpuDriver:
        return _Driver(self._paths, clock)

    def explain(self, error: Exception) -> str:
        return f"the AMD GPUs cannot be read: {error}"


@dataclass(frozen=True, slots=True)
class _Node:
    """One GPU as kfd offers it to ROCm; `place` is where ROCm counts it."""

    gpu_id: int
    place: int
    address: str
    unique_id: int
    render_minor: int


@dataclass(frozen=True, slots=True)
class _Slow:
    """What is asked for less often."""

    temperature_c: float | None = None
    power_limit_w: float | None = None
    ecc_errors: int | None = None


@dataclass(slots=True)
class _Card:
    """One card by its folder; `why_shown`: why jobs cannot have it."""

    folder: Path
    device: Device
    hwmon: Path | None = None
    why_shown: str | None = None
    gpu_ids: tuple[int, ...] = ()
    slow: _Slow = _Slow()
    slow_at: float = float("-inf")
    last: GpuReading | None = None
    rest_until: float = float("-inf")


class _Driver:
    """The cards that were found, by address; which there are is looked at now and then."""

    def __init__(self, paths: Paths, clock: Callable[[], float]) -> None:
        self._paths, self._clock = paths, clock
        self._clients = DrmClients(paths.proc, paths.sys)
        self._cards: dict[str, _Card] = {}
        self._graphics: dict[str, int] = {}
        self._held: dict[str, dict[int, int]] = {}
        self._found_at = self._processes_at = float("-inf")
        self._find()

    @property
    def known(self) -> KnownDevices:
        cards = self._cards.values()
        return KnownDevices(
            tuple(card.device for card in cards if card.why_shown is None),
            tuple(card.device for card in cards if card.why_shown is not None),
        )

    def read(self) -> tuple[tuple[GpuReading, ...], str | None]:
        now = self._clock()
        if now - self._found_at >= SLOW_EVERY_S:
            self._found_at = now
            self._find()
        here = {at: card for at, card in self._cards.items() if (card.folder / "vendor").exists()}
        if now - self._processes_at >= PROCESSES_EVERY_S:
            self._processes_at = now
            self._held = self._clients.held(now, {at: card.gpu_ids for at, card in here.items()})
        readings = tuple(self._read(at, card, now) for at, card in here.items())
        gone = [card.device.index for at, card in self._cards.items() if at not in here]
        notes = [lost_gpus(gone)] if gone else []
        for card, reading in zip(here.values(), readings, strict=True):
            silent = reading.mem_used_bytes is None and reading.utilisation is None
            why = card.why_shown or (SILENT if silent else None)
            notes += [DeviceNote("GPU ", card.device.index, f" {why}")] if why else []
        if notes or readings:
            parts = [part for note in notes for part in ("; ", *note.parts)]
            return readings, DeviceNote(*parts[1:]) if parts else None
        small = max(self._graphics.values(), default=None)
        return (), MISSING if small is None else NotPresent(GRAPHICS.format(small >> 20))

    def _find(self) -> None:
        """Look which cards there are, and who may have them. One that is gone stays, with its number."""
        nodes = list(_nodes(self._paths.sys))
        names = Counter(node.unique_id for node in nodes)
        places = {node.address: node.place for node in reversed(nodes)}
        found = sorted(_cards(self._paths.sys), key=lambda each: (places.get(each[0], len(nodes)), each[0]))
        for address, folder in found:
            total, card = _whole(folder / "mem_info_vram_total"), self._cards.get(address)
            if card is None:
                if total is not None and (address in self._graphics or _is_graphics(folder, total)):
                    self._graphics[address] = total
                    continue
                unnamed = Device(f"AMD-{address}", len(self._cards), _name(folder), 0, vendor="amd")
                card = self._cards[address] = _Card(folder, unnamed)
            own = [node for node in nodes if node.address == address]
            ident = own[0].unique_id if own else 0
            named = bool(ident) and names[ident] == 1
            card.device = replace(
                card.device,
                mem_bytes=total or card.device.mem_bytes,
                uuid=f"GPU-{ident:016x}" if named else f"AMD-{address}",
                alias=str(own[0].place) if own and not named else None,
            )
            card.folder, card.gpu_ids = folder, tuple(node.gpu_id for node in own)
            card.why_shown = self._why_shown(card.device, own)
            card.hwmon = next(folder.glob("hwmon/hwmon*"), None)

    def _why_shown(self, device: Device, nodes: Sequence[_Node]) -> str | None:
        if not device.mem_bytes:
            return MUTE
        if len(nodes) != 1:
            return DIVIDED if nodes else NO_COMPUTE
        files = [self._paths.dev / "kfd", self._paths.dev / f"dri/renderD{nodes[0].render_minor}"]
        if not all(file.exists() for file in files):
            return NO_FILES
        return None if all(os.access(file, os.R_OK | os.W_OK) for file in files) else CLOSED

    def _read(self, address: str, card: _Card, now: float) -> GpuReading:
        folder, hwmon = card.folder, card.hwmon
        used = _whole(folder / "mem_info_vram_used")
        held = tuple(sorted(self._held.get(address, {}).items()))
        if _asleep(folder):
            card.last = GpuReading(card.device, used, 0.0, processes=held)
            return card.last
        if (
            card.last is not None
            and now < card.rest_until
            and not held
            and used == card.last.mem_used_bytes
        ):
            return replace(card.last, device=card.device)
        if now - card.slow_at >= SLOW_EVERY_S:
            card.slow_at = now
            card.slow = _Slow(_heat(hwmon), _micro(hwmon, "power1_cap"), _uncorrected(folder))
        busy = _whole(folder / "gpu_busy_percent")
        if busy == 0 and not held and _text(folder / "power/control") == "auto":
            card.rest_until = now + REST_S
        card.last = GpuReading(
            device=card.device,
            mem_used_bytes=used,
            utilisation=None if busy is None or busy > 100 else busy / 100,
            temperature_c=card.slow.temperature_c,
            power_w=_micro(hwmon, "power1_average", "power1_input"),
            power_limit_w=card.slow.power_limit_w,
            ecc_errors=card.slow.ecc_errors,
            processes=held,
        )
        return card.last


def _cards(root: Path) -> Iterator[tuple[str, Path]]:
    """The PCI address and the folder of each card that amdgpu drives."""
    folder = root / "class/drm"
    try:
        names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"card\d+", name))
    except OSError:
        return
    for name in names:
        device = (folder / name / "device").resolve()
        if _ADDRESS.fullmatch(device.name) and (device / "driver").resolve().name == "amdgpu":
            yield device.name, device


def _nodes(root: Path) -> Iterator[_Node]:
    """The GPUs that ROCm will see, in its order. Processors are nodes as well, without a number."""
    folder = root / "class/kfd/kfd/topology/nodes"
    try:
        names = sorted((name for name in os.listdir(folder) if name.isdecimal()), key=int)
    except OSError:
        return
    place = 0
    for name in names:
        gpu_id = _whole(folder / name / "gpu_id")
        words = (line.split() for line in _text(folder / name / "properties").splitlines())
        numbers = {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}
        if not gpu_id or not numbers.get("simd_count"):
            continue
        where = numbers.get("location_id", 0)
        address = f"{numbers.get('domain', 0):04x}:{where >> 8 & 255:02x}:{where >> 3 & 31:02x}.{where & 7}"
        minor = numbers.get("drm_render_minor", 128)
        yield _Node(gpu_id, place, address, numbers.get("unique_id", 0), minor)
        place += 1


def _asleep(folder: Path) -> bool:
    return _text(folder / "power/runtime_status") == "suspended"


def _is_graphics(folder: Path, total_bytes: int) -> bool:
    """Whether it is part of a processor and lives on the machine's memory: its table of metrics says so."""
    if total_bytes >= LEAST_OWN_BYTES:
        return False
    if _asleep(folder):  # and would be woken; a processor's own never sleeps
        return False
    try:
        with open(folder / "gpu_metrics", "rb") as file:
            head = file.read(4)
    except OSError:
        head = b""
    return head[2] >= 2 if len(head) == 4 else total_bytes < 2**30


def _name(folder: Path) -> str:
    """As it is sold, where the machine knows that."""
    told = _text(folder / "product_name")
    if told:
        return told
    device, revision = (_text(folder / name).removeprefix("0x").upper() for name in ("device", "revision"))
    for path in _NAMES:
        for line in _text(path).splitlines():
            words = [word.strip() for word in line.split(",", 2)]
            if len(words) == 3 and words[0].upper() == device and words[1].upper().zfill(2) == revision:
                return words[2]
    return f"AMD GPU {device.lower() or 'of an unknown kind'}"


def _heat(hwmon: Path | None) -> float | None:
    """Degrees at the edge of the chip, or where else it is measured first."""
    if hwmon is None:
        return None
    for wanted in ("edge", "junction", ""):
        for number in ("1", "2", "3"):
            if not wanted or _text(hwmon / f"temp{number}_label") == wanted:
                degrees = _whole(hwmon / f"temp{number}_input")
                if degrees is not None:
                    return degrees / 1000
    return None


def _micro(hwmon: Path | None, *names: str) -> float | None:
    """The first of these that can be read, of millionths."""
    read = (_whole(hwmon / name) for name in names) if hwmon is not None else ()
    return next((value / 1e6 for value in read if value is not None), None)


def _uncorrected(folder: Path) -> int | None:
    found = re.search(r"ue:\s*(\d+)", _text(folder / "ras/umc_err_count"))
    return int(found[1]) if found else None


def _whole(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _text(path: Path) -> str:
    """What a file says, or nothing: unreadable, gone and refused are the same here."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 17).decode("utf-8", "replace").strip()
    except OSError:
        return ""
