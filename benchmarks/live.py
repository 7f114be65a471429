"""A stretch of a trace lived through, and simulated: `uv run python -m benchmarks.live --traces FOLDER`.

Real processes under a real scheduler with stand-in GPUs: sleepers that hold half of the memory which they
asked for and save when they are asked to, and shipped recipes between them. Then the same jobs, as long as
they really took, are replayed by the simulator under the same rules, beside the memory that others were
seen to use. Time is compressed: run times and arrivals are divided until the stretch lasts `--minutes`.
Measures and prints; the two guards (nothing beyond the machine, no bystander struck) end it with a word.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import high, machine, running_client, scratch
from jobs.client import Client
from jobs.core.jobs import GIB, Ended, Job, JobId, Running, StateName, Succeeded
from jobs.core.machine import Capacity
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.core.rules import SchedulerSettings
from jobs.simulation.replay import GPU_BYTES, Knowledge, Setting, machine_of, replay
from jobs.simulation.trace import TraceJob, on_box, read_csv, read_swf
from tests.nvml.stand_in import Gpu, StandIn

CPUS, GPUS = 2, 8  # of the machine in the traces: 64 and 8
HEADROOM_BYTES = 3 * GIB
SHORTEST_S, TAU_S = 1.0, 1.0
RECIPE_EVERY = 12  # one job of so many is a shipped recipe
_DRIFT_BYTES = 2 * GIB  # by so much what others use of the memory comes and goes
LIVELY = frozenset({StateName.STARTING, StateName.RUNNING})

SLEEPER = """\
import os, signal, time
state = os.path.join(os.environ["CRO_CHECKPOINT_DIR"], "done_s")
done_s = float(open(state).read()) if os.environ.get("CRO_RESUME") else 0.0
began = time.monotonic() - done_s
def save(*_):
    os.makedirs(os.path.dirname(state), exist_ok=True)
    with open(state + ".new", "w") as file:
        file.write(repr(time.monotonic() - began))
    os.rename(state + ".new", state)
    os._exit(75)
signal.signal(signal.SIGTERM, save)
held = bytearray(int(os.environ["LIVE_BYTES"]))
for first in range(0, len(held), 1 << 24):  # bit by bit, so that a signal is heard
    part = memoryview(held)[first : first + (1 << 24) : 4096]
    part[:] = b"x" * len(part)
time.sleep(max(0.0, float(os.environ["LIVE_S"]) - (time.monotonic() - began)))
"""

RULES = SchedulerSettings(
    mem_headroom_fraction=0.0,
    mem_headroom_bytes=HEADROOM_BYTES,
    foreign_cpu_tolerance=1.0,
    settle_s=0.0,
    memory_full_close=100.0,
    memory_some_close=100.0,
    cpu_some_close=100.0,
    max_sample_age_s=60.0,
    gpu_mem_headroom_fraction=0.0,
    trial_s=3.0,
    evict_every_s=1.0,
    restart_cost_s=0.5,
    overdue_s=300.0,
    ageing_s=600.0,
    usage_half_life_s=600.0,
    learned_needs=False,
)


@dataclass(frozen=True, slots=True)
class Lived:
    """What became of the jobs, and what was seen on the way."""

    jobs: tuple[Job, ...]
    seconds: int  # looked at
    beyond: int  # of them with more reserved than there is
    most_cpus: float
    most_mem_bytes: int
    most_used_bytes: int
    bystander_lived: bool
    foreign: tuple[tuple[float, int], ...]  # seconds since the first submit, bytes that others used


def stretch(file: Path, mem_bytes: int, minutes: float, count: int, load: float) -> tuple[TraceJob, ...]:
    """The last jobs of the trace on a small machine: sizes scaled to it, time compressed to `minutes`."""
    text, large = file.read_text(), machine_of(64, 256, GPUS)
    jobs = on_box(read_swf(text) if file.suffix == ".swf" else read_csv(text), large, load, last=count)
    factor = max(job.submit_s for job in jobs) / (60 * minutes)
    return tuple(
        TraceJob(
            job.submit_s / factor,
            max(SHORTEST_S, job.run_s / factor),
            max(0.01, round(job.cpus * CPUS / 64, 3)),
            max(16 << 20, int(job.mem_bytes * mem_bytes / (256 * GIB))),
            job.gpus,
            job.gpu_share,
            program=f"{job.user or 'u'}.py",
            saves=True,
        )
        for job in jobs
    )


def live(
    client: Client, trace: tuple[TraceJob, ...], most_bytes: int, folder: Path, recipes: bool
) -> Lived:
    """Submit each job when it is due, look every second, and wait until all have ended."""
    began, ids, seen = time.monotonic(), list[JobId](), Counter[str]()
    foreign = list[tuple[float, int]]()
    most_cpus, most_mem_bytes, most_used_bytes = 0.0, 0, 0
    bystander = subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(1 << 28); import time; time.sleep(1e6)"]
    )
    look_at = 0.0
    while True:
        now = time.monotonic() - began
        while len(ids) < len(trace) and trace[len(ids)].submit_s <= now:
            ids += client.jobs.submit([request(trace[len(ids)], len(ids), folder, recipes)])
        if now >= look_at:
            look_at += 1.0
            jobs = client.jobs.list(JobQuery(states=LIVELY, limit=1000))
            cpus = math.fsum(job.needs.cpus for job in jobs)
            reserved = sum(job.needs.mem_bytes for job in jobs)
            held = Counter(
                uuid
                for job in jobs
                if isinstance(job.state, Running) and job.needs.gpu_mem_bytes is None
                for uuid in job.state.grant.device_uuids
            )
            seen["seconds"] += 1
            over = cpus > CPUS + 1e-6 or reserved > most_bytes
            seen["beyond"] += over or max(held.values(), default=0) > 1
            most_cpus, most_mem_bytes = max(most_cpus, cpus), max(most_mem_bytes, reserved)
            used = sum(job.usage.mem_bytes or 0 for job in jobs if job.usage is not None)
            most_used_bytes = max(most_used_bytes, used)
            memory = psutil.virtual_memory()
            foreign.append((now - trace[0].submit_s, memory.total - memory.available - used))
            if len(ids) == len(trace) and not client.jobs.list(
                JobQuery(states=LIVELY | {StateName.QUEUED}, limit=1)
            ):
                break
        following = trace[len(ids)].submit_s if len(ids) < len(trace) else math.inf
        time.sleep(max(0.0, min(look_at, following) - (time.monotonic() - began)))
    lived = bystander.poll() is None
    bystander.kill()
    bystander.wait()
    jobs_now = tuple(client.jobs.get(job_id) for job_id in ids)
    looks, beyond = seen["seconds"], seen["beyond"]
    most = most_cpus, most_mem_bytes, most_used_bytes
    return Lived(jobs_now, looks, beyond, *most, lived, tuple(foreign))


def request(job: TraceJob, number: int, folder: Path, recipes: bool) -> SubmitRequest:
    if recipes and number % RECIPE_EVERY == RECIPE_EVERY - 1:
        trees = min(1500, int(100 * job.run_s))
        return SubmitRequest("sklearn_forest", {"n_estimators": trees, "seed": number})
    script = folder / job.program
    if not script.exists():
        script.write_text(SLEEPER)
    return SubmitRequest(
        argv=(sys.executable, str(script)),
        env={
            "PATH": os.environ["PATH"],
            "LIVE_S": repr(job.run_s),
            "LIVE_BYTES": str(int(0.5 * job.mem_bytes)),
        },
        needs=NeedsRequest(
            job.cpus,
            job.mem_bytes,
            job.gpus,
            int(job.gpu_share * GPU_BYTES) if job.gpus == 1 and job.gpu_share < 1 else None,
        ),
        checkpoint=True,
    )


def ended(job: Job) -> Ended:
    assert isinstance(job.state, Ended)
    return job.state


def as_it_was(jobs: tuple[Job, ...]) -> tuple[TraceJob, ...]:
    """The jobs as the simulator takes them: submitted when they were, as long as they really ran."""
    first_at, found = jobs[0].submitted_at, []
    for job in jobs:
        finished_at = ended(job).finished_at
        started_at = getattr(job.state, "started_at", None) or finished_at
        needs, spec = job.needs, job.spec
        share = 1.0 if needs.gpu_mem_bytes is None else needs.gpu_mem_bytes / GPU_BYTES
        found.append(
            TraceJob(
                job.submitted_at - first_at,
                max(0.01, job.attained_s + finished_at - started_at),
                needs.cpus,
                needs.mem_bytes,
                needs.gpus,
                share,
                needs.time_limit_s,
                spec.user,
                spec.recipe or Path(spec.argv[1]).name,
                spec.checkpoint,
            )
        )
    return tuple(found)


def slowdown(waited_s: float, run_s: float) -> float:
    return max(1.0, (waited_s + run_s) / max(run_s, TAU_S))


def report(name: str, slow: list[float], waits: list[float], evictions: int) -> None:
    print(
        f"| {name} | {statistics.fmean(slow):.3f} | {statistics.median(slow):.3f} | {high(slow, 0.95):.2f} "
        f"| {statistics.fmean(waits):.2f} | {max(waits):.1f} | {evictions} |"
    )


def compare(lived: Lived, capacity: Capacity, restart_s: float) -> float:
    """Print both sides; the ratio of the mean slowdowns, simulated to lived."""
    trace = as_it_was(lived.jobs)
    print("\n| | slowdown | median | 95 % | mean wait, s | worst, s | evictions |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    waits = [
        max(0.0, ended(job).finished_at - job.submitted_at - each.run_s)
        for job, each in zip(lived.jobs, trace, strict=True)
    ]
    real = [slowdown(wait, each.run_s) for wait, each in zip(waits, trace, strict=True)]
    report("lived", real, waits, sum(job.evictions for job in lived.jobs))
    setting = Setting(
        RULES,
        Knowledge.LEARNED,
        save_s=restart_s / 2,
        restart_s=restart_s / 2,
        look_every_s=1.0,
        foreign=lived.foreign,
    )
    outcome = replay(trace, capacity, setting)
    waits = [
        max(0.0, ran.finished_at - each.submit_s - each.run_s)
        for ran, each in zip(outcome.jobs, trace, strict=True)
    ]
    thought = [slowdown(wait, each.run_s) for wait, each in zip(waits, trace, strict=True)]
    report("simulated", thought, waits, sum(ran.evictions for ran in outcome.jobs))
    return statistics.fmean(thought) / statistics.fmean(real)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--traces", type=Path, required=True, help="a folder of .csv and .swf files")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long each stretch lasts")
    parser.add_argument("--jobs", type=int, default=400, help="how many jobs it has")
    parser.add_argument("--load", type=float, default=0.9)
    parser.add_argument("--no-recipes", action="store_true", help="sleepers alone")
    options = parser.parse_args()
    if "CRO_NVML_STUB" not in os.environ:  # the loader reads its path when a process starts
        folder = Path(tempfile.mkdtemp(prefix="cro-live-nvml-"))
        gpus = StandIn(folder)
        gpus.set(*[Gpu(GPU_BYTES >> 20)] * GPUS)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.live", *sys.argv[1:]],
            {**os.environ, **gpus.environ},
        )
    print(machine())
    for file in sorted(file for file in options.traces.iterdir() if file.suffix in {".csv", ".swf"}):
        one(file, options)


def one(file: Path, options: argparse.Namespace) -> None:
    with scratch() as folder:
        settings = "[jobs]\nlow_priority = false\n[admission]\n" + "".join(
            f"{key} = {str(value).lower() if isinstance(value, bool) else value}\n"
            for key in SchedulerSettings.__dataclass_fields__
            if (value := getattr(RULES, key)) != getattr(SchedulerSettings(), key)
        )
        with running_client(folder, settings) as client:
            whole = client.machine.capacity()
            foreign_bytes = psutil.virtual_memory().used
            mem_bytes = whole.mem_bytes - foreign_bytes - HEADROOM_BYTES - _DRIFT_BYTES
            most_bytes = whole.mem_bytes - HEADROOM_BYTES
            trace = stretch(file, mem_bytes, options.minutes, options.jobs, options.load)
            lived = live(client, trace, most_bytes, folder, not options.no_recipes)
            bad = [str(job.state) for job in lived.jobs if not isinstance(job.state, Succeeded)]
            restarts = sum(job.evictions for job in lived.jobs)
            restart_s = math.fsum(job.lost_s for job in lived.jobs) / restarts if restarts else 0.1
            unkept = sum(job.failed_saves for job in lived.jobs)
            print(f"\n{file.stem}: {len(trace)} jobs in {options.minutes:g} min, load {options.load:g}")
            ratio = compare(lived, whole, restart_s)
            print(
                f"\nSimulated to lived {ratio:.3f}. In {lived.seconds} looks, a second apart, "
                f"{lived.beyond} had more reserved than there is; "
                f"at most {lived.most_cpus:.2f} of {CPUS} cores, "
                f"{lived.most_mem_bytes / GIB:.2f} of {most_bytes / GIB:.1f} GiB reserved, "
                f"{lived.most_used_bytes / GIB:.2f} used. Not ended well: {bad or 'none'}. "
                f"An eviction cost {restart_s:.2f} s, {unkept} did not save.",
                flush=True,
            )
            if lived.beyond or not lived.bystander_lived:
                raise SystemExit("A guard is broken: see above, or the bystander did not live.")


if __name__ == "__main__":
    main()
