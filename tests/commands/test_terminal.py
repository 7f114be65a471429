"""Signals, pipes and terminals: what a command does when it does not run to its quiet end."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from tests.commands.conftest import CommandLine, Until


def read_all(descriptor: int) -> str:
    """What was written to a terminal until its last writer left."""
    found = b""
    while True:
        try:
            block = os.read(descriptor, 65536)
        except OSError:
            block = b""
        if not block:
            return found.decode("utf-8", "replace").replace("\r\n", "\n")
        found += block


def on_a_terminal(cro: CommandLine, *words: str, **environ: str) -> str:
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "cro_tui", *words],
            env={**cro.environ, "TERM": "xterm", **environ},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text = read_all(ours)
        child.wait()
        return text
    finally:
        os.close(ours)


def test_control_c_while_following_says_that_the_job_goes_on(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", "sh", "-c", "echo begun; sleep 60")
    child = cro.process("logs", "-f", str(job_id))
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert f"#{job_id} goes on" in err
    assert "Traceback" not in err
    assert cro.state(job_id) == "running"


def test_control_c_while_waiting_says_that_the_job_goes_on(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", "sleep", "60")
    child = cro.process("wait", str(job_id))
    watchers = cro.home / "run" / "watch"
    until(lambda: list(watchers.iterdir()), "the command to wait")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, "")
    assert f"#{job_id} goes on" in err
    assert f"cro-tui wait {job_id}" in err


def test_a_reader_that_leaves_is_no_error(cro: CommandLine) -> None:
    job_id = cro.submit("--", "seq", "1", "200000")
    cro("wait", str(job_id))
    child = cro.process("logs", str(job_id))
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr:
        assert child.stderr.read() == ""
    assert child.wait() in (141, -signal.SIGPIPE)


def test_on_a_terminal_output_of_a_job_cannot_act(cro: CommandLine) -> None:
    script = r"printf 'a\033[2Jb\033]0;title\007c\n50%%\r100%%\n\033[31mred'"
    job_id = cro.submit("--", "sh", "-c", script)
    cro("wait", str(job_id))
    shown = on_a_terminal(cro, "logs", str(job_id))
    assert shown == "abc\n100%\nred\n"
    assert "\x1b[2J" in on_a_terminal(cro, "logs", str(job_id), "--raw")


def test_a_table_fits_the_terminal(cro: CommandLine) -> None:
    cro.submit("--hold", "--name", "n" * 100, "--", "true")
    shown = on_a_terminal(cro, "ls", COLUMNS="80")
    assert "\x1b" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "held" in shown


def test_the_foreground_scheduler_runs_until_control_c_and_jobs_outlive_it(
    cro: CommandLine, until: Until, tmp_path: Path
) -> None:
    child = cro.process("daemon")
    try:
        until(lambda: cro("daemon", "--status", "--json").json["pid"] == child.pid, "the scheduler")
        gate = tmp_path / "gate"
        job_id = cro.submit("--", "sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done; exit 3")
        until(lambda: cro.state(job_id) == "running", "the job to run")
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
    assert child.returncode == 0
    assert cro("daemon", "--status", "--json").json["running"] is False
    gate.touch()
    assert cro("wait", str(job_id)).code == 3
