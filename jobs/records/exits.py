"""From the job folder's records to the engine's values, with a wary eye: files can be damaged.

Pure. A record that does not make sense answers None, as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobs.core.jobs import Usage
from jobs.core.ports import Exit, ExitCause

MAX_DETAIL = 2000
MAX_METRIC_NAME = 100
MAX_NUMBER = 1e308
_OUT_OF_GPU_MEMORY = re.compile(
    r"CUDA out of memory|HIP out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|hipErrorOutOfMemory|OOM when allocating tensor.{0,300}device:GPU"
    r"|RESOURCE_EXHAUSTED: Out of memory"
)


def usage_of(record: Mapping[str, Any]) -> Usage:
    """A line of `usage.jsonl`, or the `usage` of `exit.json`."""
    return Usage(
        cpu_s=_number(record.get("cpu_s")),
        mem_bytes=_whole(record.get("mem_bytes")),
        peak_mem_bytes=_whole(record.get("peak_mem_bytes")),
        gpu_mem_bytes=None,
        processes=_whole(record.get("processes")),
        cpus=_number(record.get("cpus")),
    )


def exit_of(record: Mapping[str, Any]) -> Exit | None:
    """What `exit.json` says, or None when it does not make sense."""
    finished_at = _number(record.get("finished_at"))
    usage, metrics = record.get("usage"), record.get("metrics")
    try:
        cause = ExitCause(record.get("cause", ""))
    except ValueError:
        return None
    if finished_at is None:
        return None
    return Exit(
        cause=cause,
        exit_code=_whole(record.get("exit_code")),
        signal=_whole(record.get("signal")),
        started_at=_number(record.get("started_at")),
        finished_at=finished_at,
        usage=usage_of(usage if isinstance(usage, dict) else {}),
        detail=_words(record.get("detail", ""), MAX_DETAIL),
        mem_limit_bytes=_whole(record.get("mem_limit_bytes")),
        first_report_s=_number(record.get("first_report_s")),
        metrics=tuple(
            (_words(name, MAX_METRIC_NAME), float(value))
            for name, value in (metrics if isinstance(metrics, dict) else {}).items()
            if _number(value) is not None
        ),
    )


def how_started(record: Mapping[str, Any]) -> str:
    """From `pid.json`, for people: warm and how soon, or cold and why; empty for what has no other way."""
    if record.get("warm") is True:
        took_s = _number(record.get("took_s"))
        return "started warm" if took_s is None else f"started warm in {took_s * 1000:.0f} ms"
    why = _words(record.get("why_cold") or "", MAX_DETAIL)
    return f"started cold: {why}" if why else ""


def says_out_of_gpu_memory(last_words: str) -> bool:
    """Whether a framework said at the end of a log that a GPU had no more memory.

    The words of PyTorch, TensorFlow, JAX and the drivers of NVIDIA and AMD. What a program prints is its
    own affair: it may cost a try with more, never more than that.
    """
    return _OUT_OF_GPU_MEMORY.search(last_words) is not None


def supervisor_cpu_s(record: Mapping[str, Any]) -> float:
    """What supervising cost, from `exit.json`; 0 when it does not say."""
    return _number(record.get("supervisor_cpu_s")) or 0.0


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < MAX_NUMBER else None


def _whole(value: object) -> int | None:
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None
    )


def _words(value: object, length: int) -> str:
    """Text that every store and screen can take: no halves of characters."""
    return str(value)[:length].encode("utf-8", "replace").decode()
