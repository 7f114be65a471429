"""GPUs for machines that have none: a compiled stand-in for the driver library, changed by a file.

The real binding and our real sensor run on it, in processes started with `environ`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml_stub.c")


@dataclass(frozen=True, slots=True)
class Instance:
    """A MIG instance in a slot of its card; memory in MiB."""

    slot: int
    mem_mib: int
    used_mib: int = 0
    processes: Sequence[tuple[int, int]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device; memory in MiB, -1 for what it does not support."""

    mem_mib: int = 24_000
    used_mib: int = 0
    utilisation: int = 0
    temperature_c: int = 40
    power_mw: int = 30_000
    limit_mw: int = 300_000
    lost: bool = False
    reasons: int = 0  # bits of nvmlClocksEventReason
    ecc_errors: int = -1
    xids: Sequence[int] = field(default_factory=tuple)  # critical errors that it has reported
    processes: Sequence[tuple[int, int]] = field(default_factory=tuple)  # (pid, MiB or -1)
    instances: Sequence[Instance] | None = None  # MIG is on


class StandIn:
    """The compiled library in a folder, and the file that says what it answers."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "gpus"
        library = folder / "libnvidia-ml.so.1"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        self.environ = {"LD_LIBRARY_PATH": str(folder), "CRO_NVML_STUB": str(self._state)}

    def set(self, *gpus: Gpu, init: int = 0, call: int = 0, delay_ms: int = 0) -> None:
        """From the next call on, the machine has these devices, or fails in this way."""
        lines = [f"init {init}", f"call {call}", f"delay_ms {delay_ms}"]
        for index, gpu in enumerate(gpus):
            lines.append(
                f"gpu {gpu.mem_mib} {gpu.used_mib} {gpu.utilisation} {gpu.temperature_c} "
                f"{gpu.power_mw} {gpu.limit_mw}"
            )
            lines += [f"reasons {index} {gpu.reasons}"]
            lines += [f"ecc {index} {gpu.ecc_errors}"] * (gpu.ecc_errors >= 0)
            lines += [f"xid {index} {number}" for number in gpu.xids]
            lines += [f"lost {index}"] * gpu.lost
            lines += [f"process {index} {pid} {mib}" for pid, mib in gpu.processes]
            lines += [f"split {index}"] * (gpu.instances is not None)
            for each in gpu.instances or ():
                lines += [f"mig {index} {each.slot} {each.mem_mib} {each.used_mib}"]
                lines += [f"process {index} {pid} {mib} {each.slot}" for pid, mib in each.processes]
        temporary = self._state.with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n")
        temporary.rename(self._state)


def uuid_of(index: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{index:012d}"


def instance_uuid_of(index: int, slot: int) -> str:
    return f"MIG-00000000-0000-0000-{slot:04d}-{index:012d}"
