"""A front end that queues, cancels and retries, to be killed at any moment: `-m tests.faults.client`.

What it was promised it writes down with fsync before it goes on; what it wants cancelled, before it asks.
Usage: HOME NOTES LEDGER SEED COUNT WARM. It leaves when the notes hold COUNT acknowledged jobs, a share
WARM of them of a recipe that starts warm.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.client import Client
from jobs.core.jobs import Dependency, DependencyKind, JobId, StateName
from jobs.core.ports import CroError, WrongState
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.installation.home import Home
from jobs.installation.settings import Settings

BAD_ENDS = frozenset({StateName.FAILED, StateName.LOST, StateName.TIMED_OUT})
# The job itself says in the ledger that it began, and what it ends with: one write each, O_APPEND.
JOB = (
    'say() {{ echo "$1 $CRO_JOB_ID $CRO_ATTEMPT $2" >> {ledger}; }}; '
    "{manners} say begin 0; sleep {sleep_s}; say end {code}; exit {code}"
)
MANNERS = (
    *[""] * 5,
    "setsid sleep 600 & ",
    "sleep 600 & ",
    "trap '' TERM; ",
    "(setsid sh -c 'sleep 600 & sleep 600' &) ;",
)


RECIPE = """\
# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.cro]
# title = "Writes in the ledger, and starts warm"
# framework = "sklearn"
# resources = { cpus = 0.1, mem = "400M" }
# [tool.cro.params]
# code = { default = 0, min = 0, max = 255, help = "what it ends with" }
# ///
import os
import sys
import time


def say(word, code):
    line = f"{word} {os.environ['CRO_JOB_ID']} {os.environ['CRO_ATTEMPT']} {code}\\n"
    with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:
        ledger.write(line.encode())


say("begin", 0)
time.sleep(0.1)
say("end", sys.argv[-1])
sys.exit(int(sys.argv[-1]))
"""


class Notes:
    """What clients were promised and what they asked for: a line of JSON each, kept by fsync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, **note: object) -> None:
        os.write(self._descriptor, json.dumps(note).encode() + b"\n")
        os.fsync(self._descriptor)

    def read(self) -> Iterator[dict[str, Any]]:
        for line in self._path.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):  # torn by a kill: never acknowledged
                yield json.loads(line)

    def codes(self) -> dict[int, int]:
        """The acknowledged jobs and the exit code that each was told to end with."""
        codes: dict[int, int] = {}
        for note in self.read():
            if note["what"] == "submit":
                codes.update(zip(note["ids"], note["codes"], strict=True))
            elif note["what"] == "retry":
                codes[note["id"]] = codes[note["of"]]
        return codes


class QueueClient:
    def __init__(
        self, client: Client, notes: Notes, ledger: Path, chance: random.Random, warm: float
    ) -> None:
        self._client = client
        self._notes = notes
        self._ledger = ledger
        self._chance = chance
        self._warm = warm

    def rest_s(self) -> float:
        return self._chance.uniform(0, 0.1)

    def turn(self) -> None:
        """One act. Raises CroError where the scheduler or its files do not answer."""
        self._client.scheduler.start()
        known = list(self._notes.codes())
        act = self._chance.random()
        if act < 0.7 or len(known) < 10:
            self._submit(known)
        elif act < 0.85:
            self._cancel(known)
        else:
            self._retry()

    def _submit(self, known: list[int]) -> None:
        codes = [
            self._chance.choice([0, 0, 0, self._chance.randint(1, 99)])
            for _ in range(self._chance.randint(1, 8))
        ]
        ids = self._client.jobs.submit([self._request(code, known) for code in codes])
        self._notes.add(what="submit", ids=ids, codes=codes)

    def _request(self, code: int, known: list[int]) -> SubmitRequest:
        script = JOB.format(
            ledger=self._ledger,
            manners=self._chance.choice(MANNERS),
            sleep_s=self._chance.choice(["0", "0", "0.05", "0.2", "0.5"]),
            code=code,
        )
        after: tuple[Dependency, ...] = ()
        if known and self._chance.random() < 0.3:
            kind = self._chance.choice([DependencyKind.OK, DependencyKind.ANY])
            after = (Dependency(JobId(self._chance.choice(known[-40:])), kind),)
        if self._chance.random() < self._warm:
            return SubmitRequest(recipe="ledger", params={"code": code}, after=after, grace_s=0.5)
        needs = NeedsRequest(cpus=0.1, mem_bytes=32 * 2**20)
        return SubmitRequest(argv=("sh", "-c", script), needs=needs, after=after, grace_s=0.5)

    def _cancel(self, known: list[int]) -> None:
        for job_id in self._chance.sample(known[-20:], 2):
            self._notes.add(what="cancel", id=job_id)
            with contextlib.suppress(WrongState):
                self._client.jobs.cancel([JobId(job_id)])

    def _retry(self) -> None:
        known = self._notes.codes()
        bad = [
            job.id for job in self._client.jobs.list(JobQuery(states=BAD_ENDS, limit=20)) if job.id in known
        ]
        if bad:
            old = self._chance.choice(bad)
            (new,) = self._client.jobs.retry([old])
            self._notes.add(what="retry", id=new, of=old)


def main() -> None:
    home, notes, ledger, seed, count, warm = sys.argv[1:]
    found = Home.find({"CRO_HOME": home})
    written = Notes(Path(notes))
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LEDGER": ledger}
    with Client(found, Settings.load(found.settings_file), environ=environ) as client:
        queue = QueueClient(client, written, Path(ledger), random.Random(seed), float(warm))
        while len(written.codes()) < int(count):
            with contextlib.suppress(CroError):  # the scheduler was killed just now: again
                queue.turn()
            time.sleep(queue.rest_s())


if __name__ == "__main__":
    main()
