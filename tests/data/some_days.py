"""What happens in a home that `make_home.py` makes: jobs of every kind, up to a power cut.

It knows the commit only by its commands, so that it serves every commit; what a commit cannot do yet is
left out, and OUT.json lists what it can. Standard library only. Runs in namespaces of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTINGS = {  # those that the commit knows: the load of this machine keeps nothing waiting
    "jobs.stand_back": "false",
    "admission.foreign_cpu_tolerance": "1.0",
    "admission.memory_full_close": "100",
    "admission.memory_some_close": "100",
    "admission.cpu_some_close": "100",
    "admission.start_retry_s": "0.5",
    "admission.learned_order": "true",
    "admission.evict": "true",
    "admission.trial_s": "0.3",
    "admission.evict_every_s": "0.1",
    "admission.restart_cost_s": "0.01",
    "daemon.lost_after_s": "0.5",
}
SMALL = ("--cpus", "0.05", "--mem", "32M")
CLIMB = """\
# /// script
# requires-python = ">=3.11"
# [tool.cro]
# title = "Climbs"
# metrics = { height = "max" }
# [tool.cro.params]
# x = { default = 0.5, min = 0, max = 1 }
# sleep = { default = 0, min = 0, max = 10000 }
# ///
import argparse, json, os, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=0.5)
parser.add_argument("--sleep", type=int, default=0)
asked = parser.parse_args()
if "CRO_EVENTS" in os.environ:
    with open(os.environ["CRO_EVENTS"], "a") as events:
        for step in (1, 2, 3):
            print(json.dumps({"step": step, "height": asked.x * step / 3}), file=events)
time.sleep(asked.sleep)
if asked.x == 0.25:
    raise SystemExit("there is no way up here")
with open(os.path.join(os.environ["CRO_OUTPUT_DIR"], "metrics.json"), "w") as file:
    json.dump({"height": asked.x}, file)
"""
FIT = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Fits a line"
# framework = "sklearn"
# kind = "train"
# metrics = { accuracy = "max" }
# [tool.cro.params]
# c = { default = 1.0, min = 0.001, max = 1000 }
# ///
import argparse, json, os
import joblib
from sklearn.linear_model import LogisticRegression
parser = argparse.ArgumentParser()
parser.add_argument("--c", type=float, default=1.0)
rows, answers = [[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.9, 0.1]], [0, 1, 0, 1]
model = LogisticRegression(C=parser.parse_args().c).fit(rows, answers)
output = os.environ["CRO_OUTPUT_DIR"]
joblib.dump(model, os.path.join(output, "model.joblib"))
metrics = {"accuracy": float(model.score(rows, answers))}
with open(os.path.join(output, "metrics.json"), "w") as file:
    json.dump(metrics, file)
if "CRO_EVENTS" in os.environ:
    sample = [{"width": wide, "height": high} for wide, high in rows]
    with open(os.environ["CRO_EVENTS"], "a") as events:
        print(json.dumps({"model": "model.joblib", "flavor": "sklearn", "sample": sample}), file=events)
"""
SUCCEEDS = """
echo begun
[ -z "$CRO_EVENTS" ] || printf '%s\\n' '{"phase": "fit", "step": 1, "loss": 0.5}' \
    '{"step": 2, "loss": 0.25, "progress": 1}' >> "$CRO_EVENTS"
echo '{"accuracy": 0.875, "loss": 0.25}' > "$CRO_OUTPUT_DIR/metrics.json"
"""
LONG = """
trap 'mkdir -p "$CRO_CHECKPOINT_DIR"; echo 7 > "$CRO_CHECKPOINT_DIR/step"; exit 75' TERM
if [ -n "$CRO_RESUME" ]; then echo "goes on after $(cat "$CRO_RESUME/step")"; exit 0; fi
echo begun
while :; do sleep 0.05; done
"""
DEAF = "trap '' TERM; echo begun; while :; do sleep 0.05; done"
GREEDY = "x = b'x' * (300 << 20); import time; time.sleep(1000)"
WAITING = ("queued", "held")
ENDED = ("succeeded", "failed", "cancelled", "timed_out", "out_of_memory", "lost")
KEPT = (  # of what the commit says of a job
    *("id", "name", "state", "exit_code", "signal", "metrics", "priority", "attempts", "evictions"),
    *("submitted_at", "started_at", "finished_at", "recipe", "params", "command", "cwd", "after"),
    *("retry_of", "sweep", "on_reboot", "checkpoint", "grace_s", "needs"),
)
Words = tuple[str, ...]


class Commit:
    """The commit's commands, and what it can do."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.has = {
            word: word in self("submit", "--help") for word in ("--on-reboot", "--checkpoint", "--optimize")
        }
        commands = self("--help")
        self.has |= {word: f"\n  {word} " in commands for word in ("sweep", "model")} | {"evict": False}

    def __call__(self, *words: str) -> str:
        command = [sys.executable, "-P", "-m", "cro_tui", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"cro-tui {words} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def asked(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def jobs(self) -> dict[int, dict[str, Any]]:
        return {job["id"]: job for job in self.asked("ls", "--all")}

    def submit(self, name: str, *words: str, options: Words = (), needs: Words = SMALL) -> int:
        """Queue a command, or with no words what the options name, and answer with its id."""
        named = ("--name", name) if name else ()
        command = ("--", *words) if words else ()
        return int(self("submit", "-q", *named, *needs, *options, *command).split()[0])

    def until(self, job_id: int, *states: str) -> None:
        if not soon(lambda: self.jobs()[job_id]["state"] in states):
            table, log = self("ls", "--all"), (self.home / "daemon.log").read_text()
            raise SystemExit(f"Job {job_id} did not come to be {states}:\n{table}\n{log}")

    def until_ended(self, *ids: int) -> None:
        for job_id in ids:
            self.until(job_id, *ENDED)

    def settle(self) -> None:
        """Write down the settings that this commit knows."""
        known: dict[str, list[str]] = {}
        for key, value in SETTINGS.items():
            section, _, name = key.partition(".")
            line = f"{name} = {value}"
            (self.home / "settings.toml").write_text(f"[{section}]\n{line}\n")
            try:
                self("ls")
            except SystemExit:
                continue
            known.setdefault(section, []).append(line)
        text = "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in known.items())
        (self.home / "settings.toml").write_text(text + "\n")


def begin(cro: Commit, name: str, script: str, *options: str, needs: Words = SMALL) -> int:
    """A job that has said its first word."""
    job_id = cro.submit(name, "sh", "-c", script, options=options, needs=needs)
    cro.until(job_id, "running")
    wait_for(lambda: "begun" in cro("logs", str(job_id)), f"the first line of job {job_id}")
    return job_id


def soon(holds: Callable[[], bool], within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return held


def wait_for(holds: Callable[[], bool], what: str) -> None:
    if not soon(holds):
        raise SystemExit(f"waited for {what}")


def ended_jobs(cro: Commit) -> None:
    cro.submit("succeeded", "sh", "-c", SUCCEEDS)
    failed = cro.submit("failed", "sh", "-c", "echo it fails >&2; exit 3")
    cro.until_ended(failed)
    cro("retry", str(failed))
    cro.submit("nät [b]ürgt[/b] \u202e", "sh", "-c", "printf '\\033[31mred'; kill -9 $$")
    broken = cro.home.parent / "broken"
    broken.write_text("#!/mnt/ada/nothing\n")
    broken.chmod(0o700)
    cro.submit("could not start", str(broken))
    cancelled = begin(cro, "cancelled", "echo begun; sleep 1000")
    never = cro.submit("cancelled while held", "true", options=("--hold",))
    cro.until(never, "held")
    cro("cancel", str(cancelled), str(never))
    cro.submit("timed out", "sleep", "1000", needs=(*SMALL, "--time", "0.2s"))
    cro.submit("out of memory", "python3", "-c", GREEDY)
    cro.submit("lost", "sh", "-c", "sleep 0.5; kill -9 $PPID; sleep 1000")
    cro.until_ended(*cro.jobs())
    cro.until_ended(cro.submit("after one that failed", "true", options=("--after", f"any:{failed}")))


def recipes(cro: Commit) -> None:
    """Runs of recipes; a sweep, an optimisation and models where the commit knows them."""
    (cro.home / "recipes").mkdir(exist_ok=True)
    (cro.home / "recipes" / "climb.py").write_text(CLIMB)
    (cro.home / "recipes" / "fit.py").write_text(FIT)
    fits = [
        cro.submit("", options=("fit", "-p", f"c={c}"), needs=("--cpus", "0.05", "--mem", "400M"))
        for c in (1, 10)
    ]
    cro.until_ended(*fits)
    if cro.has["model"]:
        for job_id, alias in zip(fits, ("champion", "challenger"), strict=True):
            cro("model", "register", str(job_id), "lines", "--note", "a small one", "--as", alias)
        cro("model", "promote", "lines:2", "--as", "champion")
        cro("model", "rollback", "lines", "--as", "champion")
        if "\n  import " in cro("model", "--help"):
            elsewhere = cro.home.parent / "elsewhere.joblib"
            shutil.copy(next(cro.home.glob(f"jobs/0/{fits[0]}/*/output/model.joblib")), elsewhere)
            cro("model", "import", str(elsewhere), "elsewhere", "--trust", "--licence", "CC0")
    if cro.has["sweep"]:
        first = cro.submit("", options=("climb", "-p", "x=0.1,0.25,0.9"))
        cro.until_ended(*range(first, first + 3))
        cro("retry", str(first + 1))
        cro.submit("", options=("climb", "-p", "x=0.2,0.4", "--hold"))
    else:
        cro.submit("", options=("climb", "-p", "x=0.1"))
        cro.submit("", options=("climb", "-p", "x=0.2", "--hold"))
    if cro.has["--optimize"]:
        found = cro.submit("", options=("climb", "-p", "x=0..1", "--optimize", "height", "--trials", "3"))
        cro.until_ended(found)
        cro("retry", str(found))
    cro.until_ended(*(job_id for job_id, job in cro.jobs().items() if job["state"] != "held"))


def live_jobs(cro: Commit) -> None:
    """What runs and waits. Most of the machine is taken, so that a job of one core waits."""
    one_core = ("--cpus", "1", "--mem", "32M")
    cores = cro.asked("status")["capacity"]["cpus"]
    most = ("--cpus", f"{cores - 0.5}", "--mem", "32M")
    evicted = None
    if cro.has["--checkpoint"]:
        evicted = begin(cro, "evicted", LONG, "--checkpoint", "--on-reboot", "requeue", needs=one_core)
    running = cro.submit("running", "sleep", "1000", needs=most)
    if evicted is not None:
        cro.has["evict"] = soon(lambda: cro.jobs()[running]["state"] == "running")
        if not cro.has["evict"]:  # it knows what a promise to save is, and asks nobody to keep it
            cro("cancel", str(evicted))
    cro.until(running, "running")
    requeue = ("--on-reboot", "requeue") if cro.has["--on-reboot"] else ()
    begin(cro, "running, to be queued again", "echo begun; sleep 1000", *requeue)
    for name, options in (("paused", ()), ("paused, to be queued again", requeue)):
        paused = begin(cro, name, "echo begun; sleep 1000", *options)
        cro("hold", str(paused))
        cro.until(paused, "paused")
    stopping = begin(cro, "stopping", DEAF, "--grace", "10m")
    cro("cancel", str(stopping))
    if cro.has["--optimize"]:
        trials = ("-p", "x=0..1", "-p", "sleep=1000", "--optimize", "height", "--trials", "2")
        cro.submit("goes on", options=("climb", *trials))
        wait_for(lambda: len(running_trials(cro)) == 2, "two trials")
    if cro.has["evict"]:
        needs, more = ("--cpus", "0.15", "--mem", "32M"), ("--cpus", "0.2", "--mem", "32M")
        asked = begin(cro, "asked to save", DEAF, "--checkpoint", "--grace", "10m", needs=needs)
        cro.submit("room is made", "sh", "-c", "echo it ran", needs=more)
        wait_for(lambda: "asked to save and stop" in cro("show", str(asked)), "the order to save")
    waiting = cro.submit("waiting", "sh", "-c", "echo it ran", needs=one_core)
    cro("priority", str(waiting), "60")
    cro.submit("urgent", "true", options=("--priority", "90"), needs=one_core)
    held = cro.submit("held", "true", options=("--hold",))
    cro.submit("after waiting", "true", options=("--after", f"{waiting}"))
    cro.submit("after running", "true", options=("--after", f"any:{running}"))
    cro.submit("after running well", "true", options=("--after", f"ok:{running}"))
    for name in ("to be cancelled", "to be held", "to be urgent"):
        cro.submit(name, "true", needs=one_core)
    cro.until(cro.submit("to be released", "true", options=("--hold",)), "held")
    cro.until(held, "held")
    wait_for(
        lambda: all(job["reasons"] or job["state"] not in WAITING for job in cro.jobs().values()), "why"
    )


def running_trials(cro: Commit) -> list[int]:
    jobs = cro.jobs().values()
    return [job["id"] for job in jobs if job["params"].get("sleep") == 1000 and job["state"] == "running"]


def unread_wishes(cro: Commit) -> list[int]:
    """What is asked of a scheduler that does not hear any more; the ids of the jobs it does not know."""
    by_name = {job["name"]: str(job["id"]) for job in cro.jobs().values()}
    unread = [cro.submit("unread", "sh", "-c", "echo it ran")]
    unread += [cro.submit("unread and held", "true", options=("--hold",))]
    unread += [cro.submit("unread, after waiting", "true", options=("--after", by_name["waiting"]))]
    if cro.has["sweep"]:
        first = cro.submit("", options=("climb", "-p", "x=0.3,0.6", "--hold"))
        unread += [first, first + 1]
    cro("cancel", by_name["to be cancelled"])
    cro("hold", by_name["to be held"])
    cro("release", by_name["to be released"])
    cro("priority", by_name["to be urgent"], "77")
    return unread


def said(cro: Commit, unread: list[int]) -> dict[str, Any]:
    """The manifest: what the commit itself reads in the home."""
    database = sqlite3.connect(f"file:{cro.home}/cro.db?mode=ro", uri=True)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    jobs = sorted(cro.jobs().values(), key=lambda job: int(job["id"]))
    kept = [{key: job[key] for key in KEPT if key in job} | {"unread": job["id"] in unread} for job in jobs]
    leads = {job["sweep"]["first"] for job in jobs if job.get("sweep")}
    sweeps = [cro.asked("sweep", str(lead)) for lead in sorted(leads)]
    for sweep in sweeps:
        sweep["jobs"] = sorted(job["id"] for job in sweep["jobs"])
    return {
        "schema": version,
        "can": sorted(word.strip("-") for word, has in cro.has.items() if has),
        "jobs": kept,
        "sweeps": sweeps,
        "models": cro.asked("models") if cro.has["model"] else [],
    }


def main() -> None:
    home, manifest = map(Path, sys.argv[1:])
    home.mkdir(mode=0o700)
    cro = Commit(home)
    cro.settle()
    cro("daemon", "--start")
    ended_jobs(cro)
    recipes(cro)
    cro("daemon", "--stop")  # which puts into the database what stands in the log beside it
    cro("daemon", "--start")
    scheduler = int(cro.asked("daemon", "--status")["pid"])
    live_jobs(cro)
    os.kill(scheduler, signal.SIGSTOP)
    unread = unread_wishes(cro)
    manifest.write_text(json.dumps(said(cro, unread), ensure_ascii=False), encoding="utf-8")
    os.kill(scheduler, signal.SIGKILL)
    # The end of this process is a power cut for all others.


if __name__ == "__main__":
    main()
