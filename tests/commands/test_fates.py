"""From submit to the end of a real job, and the exit code that says how it went."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.commands.conftest import SMALL, CommandLine, Until


@pytest.mark.parametrize(
    ("script", "code", "state"),
    [
        ("exit 0", 0, "succeeded"),
        ("exit 7", 7, "failed"),
        ("kill -SEGV $$", 128 + signal.SIGSEGV, "failed"),
    ],
)
def test_submit_and_wait_leaves_with_the_jobs_fate(
    cro: CommandLine, script: str, code: int, state: str
) -> None:
    answer = cro("submit", *SMALL, "--wait", "--json", "--", "sh", "-c", script)
    assert answer.code == code
    job = answer.json
    assert job["state"] == state
    assert job["command"] == ["sh", "-c", script]
    assert job["submitted_at"] <= job["started_at"] <= job["finished_at"]


def test_a_time_limit_is_124(cro: CommandLine) -> None:
    answer = cro("submit", *SMALL, "--time", "1s", "--grace", "1s", "--wait", "--", "sleep", "60")
    assert answer.code == 124
    assert "time limit of 1s" in answer.out


def test_using_more_memory_than_asked_is_137_and_says_how_to_retry(cro: CommandLine) -> None:
    hog = "import time; block = bytearray(400 * 2**20); time.sleep(60)"
    answer = cro("submit", "--cpus", "0.1", "--mem", "64M", "--wait", "--", "python3", "-c", hog)
    assert answer.code == 137
    assert "limit 64M" in answer.out
    assert "cro-tui retry 1 --mem 1G" in cro("show", "1").out


def test_a_cancelled_job_is_130(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", "sleep", "60")
    until(lambda: cro.state(job_id) == "running", "the job to run")
    answer = cro("cancel", f"#{job_id}")
    assert (answer.code, answer.out) == (0, f"Stopping #{job_id}.\n")
    answer = cro("wait", str(job_id))
    assert answer.code == 130
    assert "cancelled by you" in answer.out


def test_waiting_for_several_gives_the_first_that_did_not_succeed(cro: CommandLine) -> None:
    codes = [cro.submit("--", "sh", "-c", f"exit {code}") for code in (0, 9, 3)]
    answer = cro("wait", *map(str, codes))
    assert answer.code == 9
    assert len(answer.out.splitlines()) == 3


def test_a_time_out_of_waiting_is_4_and_the_job_goes_on(cro: CommandLine) -> None:
    job_id = cro.submit("--", "sleep", "60")
    answer = cro("wait", str(job_id), "--timeout", "0.2")
    assert answer.code == 4
    assert "still" in answer.out
    assert cro.state(job_id) in ("queued", "starting", "running")


def test_retry_runs_the_same_again_with_other_needs(cro: CommandLine, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    first = cro.submit("--", "sh", "-c", f"test -e {flag}")
    assert cro("wait", str(first)).code == 1
    flag.touch()
    answer = cro("retry", str(first), "--mem", "80M", "--wait", "--json")
    assert answer.code == 0
    (job,) = answer.json
    assert job["retry_of"] == first
    assert job["needs"]["mem_bytes"] == 80 * 2**20


def test_dependencies_hold_priority_and_release(cro: CommandLine, until: Until) -> None:
    gate = cro.submit("--hold", "--name", "gate", "--", "true")
    ok = cro.submit("--after", str(gate), "--", "true")
    either = cro.submit("--after", f"any:#{gate}", "--", "true")
    until(lambda: cro("show", str(ok), "--json").json["reasons"][0]["code"] == "dependency", "the reason")
    why = cro("why", str(ok)).out
    assert f"x after #{gate}" in why
    assert f"#{gate} (however it ends)" in cro("why", str(either)).out
    assert f"cro-tui release {gate}" in cro("why", str(gate)).out
    assert cro("priority", str(gate), "+5").code == 0
    until(lambda: cro("show", str(gate), "--json").json["priority"] == 55, "the priority")
    assert cro("release", str(gate)).code == 0
    assert cro("wait", str(gate), str(ok), str(either)).code == 0


def test_why_works_without_a_scheduler_and_a_drained_queue_says_so(cro: CommandLine, until: Until) -> None:
    assert cro("daemon", "--drain").code == 0
    job_id = cro.submit("--", "true")
    until(lambda: "paused" in cro("why", str(job_id)).out, "the reason")
    assert cro("daemon", "--stop").out == "The scheduler has left; jobs go on.\n"
    answer = cro("why", str(job_id), "--json")
    assert answer.json["reasons"][0]["code"] == "no_scheduler"
    assert cro("daemon", "--no-drain").code == 0
    assert cro("wait", str(job_id)).code == 0


def test_a_recipe_runs_and_leaves_its_metrics(cro: CommandLine) -> None:
    answer = cro(
        "submit",
        "sklearn_forest",
        "-p",
        "n-estimators=5",
        "-p",
        "data=wine",
        "--cpus",
        "1",
        "--json",
        "--wait",
    )
    assert answer.code == 0, answer.err
    job = answer.json
    assert job["recipe"] == "sklearn_forest"
    assert job["params"]["n_estimators"] == 5
    assert job["metrics"]["accuracy"] > 0.8
    assert "accuracy 0.9" in cro("ls").out or "accuracy" in cro("show", "1").out


def test_a_retry_says_whether_it_came_out_the_same_and_if_not_what_was_another(
    cro: CommandLine, tmp_path: Path
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("1\n2\n")
    script = tmp_path / "count.py"
    script.write_text(
        "import json, os, sys\n"
        "rows = len(open(sys.argv[1]).readlines())\n"
        "json.dump({'rows': rows}, open(os.environ['CRO_OUTPUT_DIR'] + '/metrics.json', 'w'))\n"
    )
    cro("submit", *SMALL, "--wait", "--", sys.executable, str(script), str(data))
    again = cro("retry", "1", "--wait")
    assert "#2 has the same metrics as #1." in again.out
    data.write_text("1\n2\n3\n")
    other = cro("retry", "2", "--wait")
    assert f"#3 has other metrics than #2: rows 2 -> 3; what differed: what stands in {data}" in other.out
    assert "other metrics than #2" in cro("show", "3").out
