"""The supervisor alone, by path and with nothing but the standard library, and its readings of /proc."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.runtime import job_folder, procfs

BOXED = Path(job_folder.__file__).parent
COUNT = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "1"
    job_folder.make_folder(str(folder))
    (tmp_path / "environment.json").write_text(json.dumps(dict(os.environ)))
    yield folder
    left = marked(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def specify(folder: Path, *argv: str, **more: object) -> None:
    spec: dict[str, object] = {
        "name": f"cro-test{os.getpid()}-{next(COUNT)}-1",
        "argv": argv,
        "cwd": str(folder.parent),
        "environment_path": str(folder.parent / "environment.json"),
        "extra_env": {"CRO_OUTPUT_DIR": str(folder / "output")},
        "mem_limit_bytes": None,
        "time_limit_s": None,
        "grace_s": 5.0,
        "asked_at": time.time(),
        "why_cold": "",
        "low_priority": True,
        "log_max_bytes": 0,
    }
    job_folder.write_json(str(folder / job_folder.SPEC), {**spec, **more})


def supervise(folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import supervisor; "
        "folders = iter([sys.argv[2]]); supervisor.main(lambda _: next(folders, None))"
    )
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code, str(BOXED), str(folder)])


def marked(folder: Path) -> list[int]:
    mark = f"CRO_OUTPUT_DIR={folder / 'output'}".encode()
    return [pid for pid in procfs.all_pids() if mark in procfs.environment(pid)]


def ended(folder: Path) -> dict[str, Any]:
    record = job_folder.read_json(str(folder / job_folder.EXIT))
    assert record is not None
    return record


def test_it_needs_nothing_of_this_package(folder: Path) -> None:
    specify(folder, "sh", "-c", "echo hello; exit 3")
    assert supervise(folder).wait(20) == 0
    record = ended(folder)
    assert (record["cause"], record["exit_code"], record["signal"]) == ("exited", 3, None)
    assert (folder / job_folder.LOG).read_text() == "hello\n"
    assert not (folder / job_folder.SUPERVISOR_LOG).exists()


def test_a_second_supervisor_leaves_the_attempt_alone(folder: Path) -> None:
    specify(folder, "sh", "-c", "echo once; sleep 600")
    first = supervise(folder)
    wait_for((folder / job_folder.PID).exists)
    before = (folder / job_folder.PID).read_bytes()
    assert supervise(folder).wait(20) == 0
    assert (folder / job_folder.PID).read_bytes() == before
    assert not (folder / job_folder.EXIT).exists()
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert ended(folder)["cause"] == "cancelled"
    assert (folder / job_folder.LOG).read_text() == "once\n"


def test_a_job_whose_folder_cannot_be_written_is_not_left_running(folder: Path) -> None:
    (folder / job_folder.PID).mkdir()
    specify(folder, "sleep", "600")
    assert supervise(folder).wait(20) == 0
    record = ended(folder)
    assert (record["cause"], record["exit_code"]) == ("could_not_start", 126)
    assert "cannot be written" in record["detail"]


def test_a_fault_of_the_supervisor_ends_the_tree_and_says_so(folder: Path) -> None:
    specify(folder, "sh", "-c", "setsid sleep 600 & sleep 600", grace_s="not a number")
    process = supervise(folder)
    wait_for(lambda: len(marked(folder)) >= 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1
    assert ended(folder)["cause"] == "supervisor_died"
    assert "Traceback" in (folder / job_folder.SUPERVISOR_LOG).read_text()


def test_the_terminals_signals_do_not_reach_it(folder: Path) -> None:
    specify(folder, "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    process = supervise(folder)
    wait_for((folder / job_folder.PID).exists)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert ended(folder)["cause"] == "cancelled"


def test_without_a_control_group_fast_growth_is_caught_near_the_limit(folder: Path) -> None:
    mib = 2**20
    grow = f"import time; kept = []\nwhile True: kept.append(b'x' * {8 * mib}); time.sleep(0.02)"
    nowhere = "no/such/group"
    specify(folder, sys.executable, "-c", grow, mem_limit_bytes=200 * mib, name=nowhere)
    assert supervise(folder).wait(30) == 0
    record = ended(folder)
    assert (record["cause"], record["mem_by"]) == ("out_of_memory", "polling")
    assert 200 * mib < record["usage"]["peak_mem_bytes"] < 1200 * mib


def test_descendants_are_the_same_without_the_kernels_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "sleep 600 & (sleep 600; :) & wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:
        wait_for(lambda: len(procfs.descendants(process.pid)) == 3)
        listed = set(procfs.descendants(process.pid))
        monkeypatch.setattr(procfs, "LISTS_CHILDREN", False)
        assert set(procfs.descendants(process.pid)) == listed
        os.killpg(process.pid, signal.SIGKILL)


def test_a_process_whose_name_looks_like_fields_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "x) R 1 (y"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        assert procfs.parent(process.pid) == os.getpid()
        assert procfs.start_ticks(process.pid) is not None
        process.kill()
        process.wait()
        assert procfs.start_ticks(process.pid) is None
        assert procfs.cpu_s(process.pid) is None
        assert procfs.rss_bytes(process.pid) == 0


def test_a_long_job_keeps_its_file_of_usage_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BOXED))
    from jobs.runtime import meter

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(meter, "MAX_LINES", 20)
    readings = meter.UsageMeter(None)
    now = time.monotonic()
    for n in range(200):
        readings.look(now + n, write=True)
        assert len((tmp_path / job_folder.USAGE).read_bytes().splitlines()) <= 20
    newest = job_folder.last_usage(str(tmp_path))
    assert newest is not None
    assert newest["at"] >= time.time() - 60


def wait_for(true: Any, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
