"""kill -9 of any of our processes at random moments: no fate unknown, nothing twice, nothing left behind.

The seed decides who is struck and after which pause; the machine's own timing is not repeatable. To try a
seed again: `CRO_CHAOS_SEED=... uv run pytest tests/faults/test_chaos.py`. The long form: add `-m slow`.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from jobs.core.jobs import Ended
from jobs.core.ports import StateUnavailable
from jobs.core.requests import JobQuery
from jobs.runtime import cgroup, procfs
from tests.daemon.conftest import Installation
from tests.e2e.terminal import Terminal
from tests.faults.auditor import Figures, Ledger, audit
from tests.faults.client import RECIPE, Notes
from tests.faults.processes import KINDS, Processes, kill

REPOSITORY = Path(__file__).resolve().parents[2]
EVERYONE = (*KINDS,)
END_WITHIN_S = 120.0
LAST_STRIKES = 20


class Chaos:
    """One installation under fire: a client that is started again, a screen, and who kills them."""

    def __init__(
        self, installation: Installation, folder: Path, seed: str, count: int, warm: float
    ) -> None:
        self.installation = installation
        self.processes = Processes(installation.home.data)
        self.struck: Counter[str] = Counter()
        self.robbed: set[int] = set()
        self._chance = random.Random(seed)
        self._count = count
        self._warm = warm
        self._ledger = folder / "ledger"
        self._ledger.touch()
        self._notes_path = folder / "notes"
        self.notes = Notes(self._notes_path)
        installation.home.recipes.mkdir(exist_ok=True)
        (installation.home.recipes / "ledger.py").write_text(RECIPE)
        self._client: subprocess.Popen[bytes] | None = None
        self._screen: Terminal | None = None

    def run(self, kinds: tuple[str, ...]) -> None:
        """Strike until every wish is made, and some more; then let the jobs end in peace."""
        deadline = time.monotonic() + END_WITHIN_S + self._count / 5
        last_strikes = LAST_STRIKES
        while last_strikes and not (self._all_queued() and self._all_ended()):
            assert time.monotonic() < deadline, self._state()
            last_strikes -= self._all_queued()
            self._keep_up("screen" in kinds)
            time.sleep(self._chance.uniform(0.02, 0.4))  # the random moment
            some = self._chance.sample(kinds, self._chance.randint(1, min(2, len(kinds))))
            spared = [kind for kind in kinds if not self.struck[kind] and self.processes.of_kind(kind)]
            if spared:  # a short storm would else miss one by chance
                some[0] = self._chance.choice(spared)
            for kind in dict.fromkeys(some):
                self._strike(kind)
        self.installation.until(self._at_rest, "every job to end", END_WITHIN_S)

    def audit(self) -> Figures:
        """The figures, once everything of ours has left."""
        client = self.installation.client
        jobs = client.jobs.list(JobQuery(limit=100_000))
        cancelled = {note["id"] for note in self.notes.read() if note["what"] == "cancel"}
        self.close()
        with contextlib.suppress(AssertionError):
            self.installation.until(lambda: not self._left(), "our processes to leave", 10)
        return audit(
            jobs,
            Ledger.read(self._ledger.read_text()),
            codes=self.notes.codes(),
            cancelled=cancelled,
            robbed=self.robbed,
            left=self._left(),
        )

    def close(self) -> None:
        """End the client, the screen and the scheduler in order."""
        if self._client is not None:
            self._client.kill()
            self._client.wait()
        if self._screen is not None:
            self._screen.close()
        self.installation.client.scheduler.stop()

    # --- how it is done ------------------------------------------------------------------------------

    def _left(self) -> list[str]:
        """Processes of ours that are still there, and control groups with any in them."""
        left = {**self.processes.left_of_jobs(), **self.processes.own()}
        return [*(f"{pid}: {what}" for pid, what in left.items()), *self._control_groups()]

    def _control_groups(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.installation.home.database)) as database:
            (instance,) = database.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
        groups = [each for _, place, _ in cgroup.places() for each in Path(place).glob(f"cro-{instance}-*")]
        return [str(each) for each in groups if (each / "cgroup.procs").read_text()]

    def _strike(self, kind: str) -> None:
        found = self.processes.of_kind(kind)
        if kind == "zygote":  # one that starts jobs, for it is not soon replaced
            found = [one for one in found if procfs.children(one.pid)]
        if found:
            one = self._chance.choice(found)
            if kill(one.pid):
                self.struck[kind] += 1
                if kind == "supervisor" and one.folder is not None:
                    self.robbed.add(one.folder[0])

    def _keep_up(self, screen: bool) -> None:
        """Start again what a person would start again."""
        if self._all_queued():
            with contextlib.suppress(StateUnavailable):
                self.installation.start()
        elif self._client is None or self._client.poll() is not None:
            number = self._chance.randrange(10**9)
            home, ledger = str(self.installation.home.data), str(self._ledger)
            words = ["-m", "tests.faults.client", home, str(self._notes_path), ledger]
            words += [str(number), str(self._count), str(self._warm)]
            self._client = subprocess.Popen([sys.executable, *words], cwd=REPOSITORY)
        if screen and (self._screen is None or not self.processes.of_kind("screen")):
            if self._screen is not None:
                self._screen.close()
            environ = {"CRO_HOME": str(self.installation.home.data), "PATH": os.environ["PATH"]}
            environ |= {"TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
            self._screen = Terminal((sys.executable, "-m", "cro_tui"), 120, 40, environ)

    def _all_queued(self) -> bool:
        return len(self.notes.codes()) >= self._count

    def _at_rest(self) -> bool:
        with contextlib.suppress(StateUnavailable):
            self.installation.start()
        return self._all_ended()

    def _all_ended(self) -> bool:
        jobs = self.installation.client.jobs.list(JobQuery(limit=100_000))
        return all(isinstance(job.state, Ended) for job in jobs)

    def _state(self) -> str:
        waiting = [job for job in self.installation.client.jobs.list() if not isinstance(job.state, Ended)]
        log = self.installation.log()[-3000:]
        return f"{len(self.notes.codes())} jobs queued, not ended: {waiting[:5]}\n{log}"


def storm(
    installation: Installation, folder: Path, kinds: tuple[str, ...], count: int, warm: float = 0.0
) -> None:
    """Queue `count` jobs while our processes are killed, and audit what has come of it."""
    seed = os.environ.get("CRO_CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"CRO_CHAOS_SEED={seed}")
    chaos = Chaos(installation, folder, seed, count, warm)
    try:
        chaos.run(kinds)
    finally:
        chaos.close()
    figures = chaos.audit()
    print(f"{len(chaos.notes.codes())} jobs acknowledged; killed: {dict(chaos.struck)}")
    assert figures.bad() == {}
    assert len(chaos.notes.codes()) >= count
    there = set(kinds) - (set() if warm else {"zygote"})
    assert set(chaos.struck) >= there, "those that were to be killed were there"


def test_kill_9_of_anybody_at_random_moments(installation: Installation, tmp_path: Path) -> None:
    storm(installation, tmp_path, EVERYONE, 200)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", [kind for kind in EVERYONE if kind != "zygote"])
def test_kill_9_of_one_kind_again_and_again(installation: Installation, tmp_path: Path, kind: str) -> None:
    storm(installation, tmp_path, (kind,), 400)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kinds", [("supervisor",), ("zygote", "supervisor")], ids="+".join)
def test_kill_9_of_warm_processes_and_of_supervisors_forked_by_them(
    installation: Installation, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    storm(installation, tmp_path, kinds, 200, warm=0.7)
    stories = [
        installation.client.jobs.history(job.id)
        for job in installation.client.jobs.list(JobQuery(limit=500))
    ]
    warm = sum("started warm" in entry.detail for story in stories for entry in story)
    print(f"{warm} of them started warm")
    assert warm


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("number", range(5))
def test_kill_9_of_anybody_for_long(installation: Installation, tmp_path: Path, number: int) -> None:
    storm(installation, tmp_path, EVERYONE, 2000, warm=0.1)
