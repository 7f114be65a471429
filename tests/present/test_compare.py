"""Jobs side by side: what differs is shown, what is the same is not, and every metric is."""

from __future__ import annotations

from dataclasses import replace

from cro_tui.present.compare import head, outcome_sentence, rows
from jobs.core.jobs import Job, JobId, JobSpec, Queued, Succeeded, Usage
from jobs.core.requests import FirstRun
from jobs.core.tracking import Provenance

DONE = Succeeded(0.0, 61.0, Usage(cpu_s=12.0))


def job(number: int, depth: int, **metrics: float) -> Job:
    params = (("depth", depth), ("data", "wine"))
    spec = JobSpec("s", ("s", str(depth)), "/", "e", params=params, recipe="s")
    return Job(JobId(number), spec, DONE, 0.0, usage=DONE.usage, metrics=tuple(metrics.items()))


def test_what_differs_and_all_metrics_with_the_best_marked() -> None:
    jobs = [job(1, 4, accuracy=0.9, loss=0.5), job(2, 8, accuracy=0.95), job(3, 8, accuracy=0.95, loss=0.4)]
    found = {row[0]: row[1:] for row in rows(jobs, {"accuracy": "max", "loss": "min"})}
    assert head(jobs) == ("WHAT", "#1", "#2", "#3")
    assert found["depth"] == ("4", "8", "8")
    assert "data" not in found and "command" not in found and "recipe" not in found
    assert found["accuracy"] == ("0.9", "0.95 *", "0.95 *")
    assert found["loss"] == ("0.5", "-", "0.4 *")
    assert found["ran"] == ("00:01:01",) * 3
    unknown = {row[0]: row[1:] for row in rows(jobs)}
    assert unknown["accuracy"] == ("0.9", "0.95", "0.95")


def test_hostile_words_stay_plain_and_commands_differ_where_there_are_no_params() -> None:
    one, other = (replace(job(n, n), spec=JobSpec("s", ("sh", f"\x1b[31m{n}"), "/", "")) for n in (1, 2))
    found = {row[0]: row[1:] for row in rows([one, other])}
    assert "command" in found and all(cell.isprintable() for cell in found["command"])


def test_a_retry_says_whether_it_came_out_the_same() -> None:
    before = job(1, 4, accuracy=0.9)
    first = FirstRun(before)
    assert outcome_sentence(job(2, 4, accuracy=0.9), first) == "the same metrics as #1"
    said = outcome_sentence(job(2, 4, accuracy=0.8), first)
    assert said == "other metrics than #1: accuracy 0.9 -> 0.8; it was asked for the same"
    said = outcome_sentence(job(2, 8, accuracy=0.8, f1=1), first)
    assert said.startswith(
        "other metrics than #1: accuracy 0.9 -> 0.8, f1 - -> 1; what differed: parameters"
    )
    assert outcome_sentence(replace(job(2, 4), state=Queued(0.0)), FirstRun(job(1, 4))) == ""
    assert outcome_sentence(job(2, 4), None) == ""


def test_of_what_both_runs_began_with_the_difference_is_named() -> None:
    before = Provenance(
        {"train.py": "a", "gone.csv": "b"}, {"numpy": "2.1", "old": "1", "same": "3"}, "here"
    )
    now = Provenance({"train.py": "c"}, {"numpy": "2.2", "new\x1b[31m": "4", "same": "3"}, "there")
    said = outcome_sentence(job(2, 4, accuracy=0.8), FirstRun(job(1, 4, accuracy=0.9), before, now))
    assert said.endswith(
        "what differed: what stands in train.py, numpy 2.1 -> 2.2, old 1 -> none, "
        "new[31m none -> 4, the machine"
    )
    same = outcome_sentence(job(2, 4, accuracy=0.8), FirstRun(job(1, 4, accuracy=0.9), before, before))
    assert same.endswith("it was asked for the same")
