"""The machine and the queue in the Prometheus text format, version 0.0.4. Pure.

Units are the base units of that format; a missing reading has no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jobs.core.jobs import Active, StateName
from jobs.core.requests import Headroom, Snapshot

_Sample = tuple[dict[str, str], float | None]


def metrics_text(snapshot: Snapshot, headroom: Headroom | None) -> str:
    """Everything as one page, each metric with its help and type."""
    return "".join(_lines(snapshot, headroom))


def _lines(snapshot: Snapshot, headroom: Headroom | None) -> Iterator[str]:
    sample, capacity = snapshot.sample, snapshot.capacity
    counts = [({"state": name.value}, float(snapshot.counts.get(name, 0))) for name in StateName]
    yield from _metric("cro_jobs", "Jobs by state.", counts)
    yield from _metric(
        "cro_scheduler_up", "Whether a scheduler runs.", [({}, float(snapshot.daemon.running))]
    )
    if capacity is not None:
        yield from _metric("cro_cpus", "Cores that jobs may use.", [({}, capacity.cpus)])
        yield from _metric("cro_memory_bytes", "Memory of the machine.", [({}, float(capacity.mem_bytes))])
    if headroom is not None:
        yield from _metric("cro_free_cpus", "Cores that a job could get now.", [({}, headroom.cpus)])
        yield from _metric(
            "cro_free_memory_bytes", "Memory that a job could get now.", [({}, float(headroom.mem_bytes))]
        )
    if sample is not None:
        alerts = [({"kind": a.kind.value, "subject": a.subject}, 1.0) for a in sample.alerts]
        yield from _metric("cro_alert", "What is wrong with the machine.", alerts)
        yield from _metric("cro_cpu_busy_cores", "Cores in use.", [({}, sample.cpu_busy)])
        yield from _metric(
            "cro_cpu_foreign_cores", "Cores used by programs outside the queue.", [({}, sample.cpu_foreign)]
        )
        yield from _metric(
            "cro_memory_available_bytes", "Memory available.", [({}, _float(sample.mem_available_bytes))]
        )
        stalls = [
            ({"resource": "cpu"}, sample.pressure.cpu_some_avg10),
            ({"resource": "memory"}, sample.pressure.memory_some_avg10),
        ]
        yield from _metric(
            "cro_stall_ratio",
            "Share of the last 10 s in which some program waited for it.",
            [(labels, None if value is None else value / 100) for labels, value in stalls],
        )
        names = {d.uuid: d.key for d in capacity.all_devices} if capacity is not None else {}
        gpus = [({"gpu": names.get(d.uuid, "?"), "uuid": d.uuid}, d) for d in sample.devices]
        for name, text, values in (
            ("cro_gpu_utilisation_ratio", "GPU utilisation.", [d.utilisation for _, d in gpus]),
            (
                "cro_gpu_memory_used_bytes",
                "GPU memory in use.",
                [_float(d.mem_used_bytes) for _, d in gpus],
            ),
            ("cro_gpu_power_watts", "GPU power.", [d.power_w for _, d in gpus]),
            ("cro_gpu_temperature_celsius", "GPU temperature.", [d.temperature_c for _, d in gpus]),
            ("cro_gpu_throttled", "Slowed by heat.", [_float(d.throttled) for _, d in gpus]),
            ("cro_gpu_xid", "The last critical error, for ten minutes.", [_float(d.xid) for _, d in gpus]),
            ("cro_gpu_ecc_errors", "Uncorrected memory errors.", [_float(d.ecc_errors) for _, d in gpus]),
        ):
            yield from _metric(
                name, text, [(labels, value) for (labels, _), value in zip(gpus, values, strict=True)]
            )
    active = [job for job in snapshot.jobs if isinstance(job.state, Active)]
    named = [({"id": str(job.id), "name": job.spec.name}, job) for job in active]
    cpus = [(labels, job.usage.cpus) for labels, job in named]
    memory = [(labels, _float(job.usage.mem_bytes)) for labels, job in named]
    yield from _metric("cro_job_cpus", "Cores that a job uses.", cpus)
    yield from _metric("cro_job_memory_bytes", "Memory that a job uses.", memory)


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _metric(name: str, text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in known:
        inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{name}{{{inside}}} {value:.10g}\n" if inside else f"{name} {value:.10g}\n"


def _escaped(text: str) -> str:
    """As the format asks for; what a terminal would act on is left out."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
