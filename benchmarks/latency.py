"""How soon a job runs after it was queued, and how soon its end is seen, on an idle queue.

`uv run python -m benchmarks.latency` (needs `cc`), `--quick` for a rough form. The job is a small C
program that reads the system-wide monotonic clock at its first and at its last line; the client reads the
same clock. Nothing polls. `--where` runs the scheduler with clocks around its parts and says where the time
goes; they slow it a little.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.measure import SPREAD, machine, running_client, scratch, spread
from benchmarks.watched import Span, watched_client
from jobs.client import Client
from jobs.core.requests import NeedsRequest, SubmitRequest

STAMP = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int count, char **words) {
    struct timespec first, last;
    clock_gettime(CLOCK_MONOTONIC, &first);
    FILE *file = fopen(words[1], "w");
    usleep(atoi(words[2]));
    clock_gettime(CLOCK_MONOTONIC, &last);
    fprintf(file, "%ld.%09ld %ld.%09ld\n",
            (long)first.tv_sec, first.tv_nsec, (long)last.tv_sec, last.tv_nsec);
    fclose(file);
    _exit(0);
}
"""
RUNS_US = 100_000
WARM_UP = 5
NEEDS = NeedsRequest(cpus=1, mem_bytes=64 * 2**20)


def stamp_program(folder: Path) -> str:
    """Compile the job; its arguments are the file for its two moments, and microseconds between them."""
    source, program = folder / "stamp.c", folder / "stamp"
    source.write_text(STAMP)
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return str(program)


class Sample:
    """One job's moments on the monotonic clock, in seconds."""

    def __init__(self, client: Client, program: str, moments: Path) -> None:
        words = (program, str(moments), str(RUNS_US))
        self.asked = time.monotonic()
        (job_id,) = client.jobs.submit([SubmitRequest(argv=words, name="stamp", needs=NEEDS)])
        self.acknowledged = time.monotonic()
        client.jobs.wait([job_id])
        self.seen = time.monotonic()
        self.ran, self.ended = map(float, moments.read_text().split())
        self.folder = client.runs.output_dir(job_id).parent
        self.ahead_s = time.time() - time.monotonic()  # the wall clock, for what the job folder says


def samples(client: Client, program: str, folder: Path, count: int) -> list[Sample]:
    """One job after the other, with uneven pauses so that they fall anywhere between two timers."""
    pause = random.Random(0)
    found = []
    for _ in range(count + WARM_UP):
        found.append(Sample(client, program, folder / "moments"))
        time.sleep(pause.uniform(0.05, 0.25))
    return found[WARM_UP:]


def latencies(found: list[Sample]) -> str:
    return "\n".join(
        [
            SPREAD,
            spread("one submit, on disk when it returns", [s.acknowledged - s.asked for s in found], "2"),
            spread(
                "acknowledged submit to the process's first line",
                [s.ran - s.acknowledged for s in found],
                "5",
            ),
            spread("the process's last line to the waiting client", [s.seen - s.ended for s in found], "5"),
        ]
    )


def where(found: list[Sample], spans: list[Span]) -> str:
    """Medians of what lies between submit and first line, and between last line and client."""
    parts: dict[str, list[float]] = {}

    def add(name: str, seconds: float) -> None:
        parts.setdefault(name, []).append(seconds)

    for sample in found:
        asked_at = json.loads((sample.folder / "spec.json").read_text())["asked_at"] - sample.ahead_s
        began_at = json.loads((sample.folder / "pid.json").read_text())["started_at"] - sample.ahead_s
        ended_at = json.loads((sample.folder / "exit.json").read_text())["finished_at"] - sample.ahead_s
        before = [span for span in spans if sample.asked <= span.began < sample.ran]
        after = [span for span in spans if sample.ended <= span.began < sample.seen]
        add("start: acknowledged to the executor asked", asked_at - sample.acknowledged)
        add("start: the executor asked to the supervisor having read its orders", began_at - asked_at)
        add("start: the supervisor to the job's first line", sample.ran - began_at)
        first = min((span.began for span in before if span.name == "Daemon._work"), default=asked_at)
        add("start: submit's own call to the first cycle's begin", first - sample.asked)
        for span in before:
            add(f"  within start: {span.name}", span.ended - span.began)
        add("end: last line to the supervisor having reaped it", ended_at - sample.ended)
        add("end: reaped to the client", sample.seen - ended_at)
        for span in after:
            add(f"  within end: {span.name}", span.ended - span.began)
    lines = ["| where it goes | median ms | times for each job |", "| --- | ---: | ---: |"]
    for name, each in sorted(
        parts.items(), key=lambda item: (" end:" in f" {item[0]}", item[0].startswith(" "))
    ):
        lines.append(f"| {name} | {statistics.median(each) * 1000:.2f} | {len(each) / len(found):.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--quick", action="store_true", help="30 samples")
    parser.add_argument("--where", action="store_true", help="say where the time goes")
    options = parser.parse_args()
    count = options.samples or (30 if options.quick else 300)
    print(f"{machine()}\n")
    with scratch() as folder:
        program, spans_file = stamp_program(folder), folder / "spans"
        opened: AbstractContextManager[Client] = running_client(folder)
        if options.where:
            opened = watched_client(folder, spans_file)
        with opened as client:
            found = samples(client, program, folder, count)
        print(latencies(found))
        if options.where:
            print("\n" + where(found, Span.read(spans_file)))


if __name__ == "__main__":
    main()
