"""The main job: open cro-tui, queue the random forest by keyboard, watch it run, leave."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Machine

SIZES = [(120, 40), (80, 24)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_queue_a_forest_by_keyboard_and_watch_it_run(machine: Machine, size: tuple[int, int]) -> None:
    terminal = machine.terminal(size=size)
    first = terminal.wait("Press n to queue")
    assert re.search(r"CPU", first)
    assert re.search(r"MEM", first)
    terminal.wait_change(first, "[\u2800-\u28ff]+")

    terminal.press("n")
    terminal.wait("(?i)recipe")
    terminal.type("sklearn_forest")
    terminal.wait("sklearn_forest")
    terminal.press("Enter")
    terminal.wait("(?i)would start")
    terminal.press("C-s")

    terminal.wait(r"#1\b")
    terminal.wait(r"RUN +sklearn_forest|DONE +sklearn_forest", 60)
    terminal.wait(r"trees? +\d+", 60)
    terminal.wait(r"DONE +sklearn_forest", 60)
    terminal.wait(r"acc\w* +0\.9\d")

    job = machine.jobs()[1]
    assert job["state"] == "succeeded"
    assert job["exit_code"] == 0
    assert job["metrics"]["accuracy"] > 0.9
    terminal.press("q")
    terminal.wait_end()


def test_a_mistake_in_the_form_is_shown_beside_its_field_and_queues_nothing(machine: Machine) -> None:
    terminal = machine.terminal(size=(120, 40))
    terminal.wait("Press n to queue")
    terminal.press("n")
    terminal.type("sklearn_forest")
    terminal.press("Enter")
    terminal.wait("Queue a job: sklearn_forest")
    terminal.wait("Would start")
    terminal.press("Tab", "Tab", "Tab", "C-u")
    terminal.wait("n_estimators is required")
    terminal.type("many")
    terminal.wait("whole number")
    terminal.press("C-s")
    terminal.wait("fix n_estimators")
    assert machine.jobs() == {}


def test_leaving_says_that_jobs_go_on_and_they_do(machine: Machine) -> None:
    go = machine.home / "go"
    job_id = machine.submit(
        "--mem", "64M", "--", "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done; exit 7"
    )
    terminal = machine.terminal(size=(80, 24))
    terminal.wait(r"RUN +sh")
    terminal.press("q")
    terminal.wait("(?i)1 job keeps running")
    terminal.press("q")
    terminal.wait_end()
    assert machine.jobs()[job_id]["state"] == "running"
    go.touch()
    assert machine.run("wait", str(job_id), check=False).returncode == 7


def test_closing_the_terminal_loses_nothing(machine: Machine) -> None:
    ids = [machine.submit("--mem", "64M", "--", "sh", "-c", f"sleep 0.5; exit {n}") for n in range(6)]
    terminal = machine.terminal(size=(120, 40))
    terminal.wait(r"(RUN|WAIT|DONE|FAIL) +sh")
    terminal.close()
    codes = [machine.run("wait", str(job_id), check=False).returncode for job_id in ids]
    assert codes == list(range(6))
