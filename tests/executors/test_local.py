"""The local executor with real processes: true fates, whole trees, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from jobs.core.ports import ExitCause, Phase
from jobs.executors.local import LocalExecutor
from jobs.runtime import cgroup, procfs
from tests.executors.conftest import PREFIX, Bench

MIB = 2**20
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


async def test_exit_codes_signals_and_output(bench: Bench) -> None:
    ended = await bench.run(
        bench.launch(1, "sh", "-c", "echo out; echo err >&2; echo $CAPTURED $GRANTED; exit 7")
    )
    assert (ended.cause, ended.exit_code, ended.signal) == (ExitCause.EXITED, 7, None)
    assert bench.log(f"{PREFIX}-1-1") == "out\nerr\nat submit at start\n"
    ended = await bench.run(bench.launch(2, "sh", "-c", "kill -SEGV $$"))
    assert (ended.cause, ended.exit_code, ended.signal) == (ExitCause.EXITED, None, signal.SIGSEGV)
    assert (await bench.run(bench.launch(3, "true"))).exit_code == 0


async def test_a_job_starts_in_its_folder_with_defaults_restored(bench: Bench) -> None:
    where = bench.folder / "a folder"
    where.mkdir()
    code = (
        "import os, signal, sys; print(os.getcwd()); print(sys.stdin.read() == ''); "
        "print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, os.getsid(0) == os.getpid()); "
        "print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    )
    await bench.run(bench.launch(1, sys.executable, "-c", code, cwd=str(where)))
    assert bench.log(f"{PREFIX}-1-1").splitlines() == [
        str(where),
        "True",
        "True True",
        "[0, 1, 2, 3]",
    ]  # 3: the listing


async def test_what_cannot_start_says_why(bench: Bench) -> None:
    ended = await bench.run(bench.launch(1, "no-such-command"))
    assert (ended.cause, ended.exit_code) == (ExitCause.COULD_NOT_START, 127)
    assert "no-such-command" in ended.detail
    assert ended.detail in bench.log(f"{PREFIX}-1-1")
    ended = await bench.run(bench.launch(2, "true", cwd=str(bench.folder / "gone")))
    assert (ended.cause, ended.exit_code) == (ExitCause.COULD_NOT_START, 126)
    script = bench.folder / "not-executable"
    script.write_text("#!/bin/sh\n")
    ended = await bench.run(bench.launch(3, str(script)))
    assert (ended.cause, ended.exit_code) == (ExitCause.COULD_NOT_START, 126)


async def test_cancel_ends_a_stubborn_tree_with_its_daemons(bench: Bench) -> None:
    script = f'setsid sh -c "{STUBBORN}" & (setsid sh -c "{STUBBORN}" &) ; {STUBBORN}'
    name = await bench.start(bench.launch(1, "sh", "-c", script, grace_s=0.3))
    await bench.logged(name, "ready", 3)
    assert len(bench.left_running(name)) >= 3
    await bench.executor.cancel(name, 0.3)
    await bench.executor.cancel(name, 0.3)
    ended = await bench.end(name)
    assert (ended.cause, ended.exit_code, ended.signal) == (ExitCause.CANCELLED, None, signal.SIGKILL)
    assert bench.left_running(name) == []


async def test_a_polite_job_gets_its_grace_time(bench: Bench) -> None:
    script = "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.05; done"
    name = await bench.start(bench.launch(1, "sh", "-c", script))
    await bench.logged(name, "ready")
    await bench.executor.cancel(name, 5)
    ended = await bench.end(name)
    assert (ended.cause, ended.exit_code) == (ExitCause.CANCELLED, 75)
    assert "saved" in bench.log(name)


async def test_what_a_job_leaves_behind_ends_with_it(bench: Bench) -> None:
    ended = await bench.run(bench.launch(1, "sh", "-c", "setsid sleep 600 & exit 3"))
    assert (ended.cause, ended.exit_code) == (ExitCause.EXITED, 3)
    assert bench.left_running(f"{PREFIX}-1-1") == []


async def test_time_limit(bench: Bench) -> None:
    ended = await bench.run(bench.launch(1, "sleep", "600", time_limit_s=0.2))
    assert (ended.cause, ended.signal) == (ExitCause.TIMED_OUT, signal.SIGTERM)
    assert ended.started_at is not None
    assert ended.finished_at - ended.started_at >= 0.2


async def test_memory_limit_counts_the_whole_tree(bench: Bench) -> None:
    hog = f"import os; pid = os.fork(); block = bytearray({60 * MIB}); import time; time.sleep(600)"
    ended = await bench.run(bench.launch(1, sys.executable, "-c", hog, mem_limit_bytes=100 * MIB))
    assert ended.cause is ExitCause.OUT_OF_MEMORY
    assert ended.mem_limit_bytes == 100 * MIB
    assert ended.usage.peak_mem_bytes is not None
    assert ended.usage.peak_mem_bytes > 90 * MIB
    assert bench.left_running(f"{PREFIX}-1-1") == []


@pytest.mark.skipif(
    not any(os.access(place, os.W_OK) for _, place, _ in cgroup.places()),
    reason="no control group can be made here",
)
async def test_the_sweep_ends_what_is_in_the_control_group_of_a_killed_supervisor(bench: Bench) -> None:
    """Even what left its session and hid its environment."""
    hidden = "env -i setsid sh -c 'sleep 600 & sleep 600' & env -i setsid sleep 600"
    name = await bench.start(bench.launch(1, "sh", "-c", hidden, mem_limit_bytes=100 * MIB))
    status = await bench.until(name, Phase.RUNNING)
    [group] = cgroup.left(name, None)
    members = Path(group, "cgroup.procs")
    await bench.until_true(lambda: len(members.read_text().split()) >= 4)
    left = [int(pid) for pid in members.read_text().split()]
    assert status.pid is not None
    assert status.pid not in left
    os.kill(bench.launcher, signal.SIGKILL)
    os.kill(status.pid, signal.SIGKILL)
    await bench.until(name, Phase.ORPHANED)
    assert any(procfs.start_ticks(pid) for pid in left)
    assert await bench.executor.sweep(name)
    assert not any(procfs.start_ticks(pid) for pid in left)
    assert cgroup.left(name, None) == []


async def test_memory_shared_by_forks_is_counted_once(bench: Bench) -> None:
    forks = (
        f"import os, time; block = b'x' * {60 * MIB}; children = [os.fork() for _ in range(2)]\n"
        "time.sleep(1); os._exit(0)"
    )
    ended = await bench.run(bench.launch(1, sys.executable, "-c", forks, mem_limit_bytes=120 * MIB))
    assert (ended.cause, ended.exit_code) == (ExitCause.EXITED, 0)


async def test_mapped_files_are_not_memory_that_a_job_holds(bench: Bench) -> None:
    data = bench.folder / "data"
    data.write_bytes(os.urandom(MIB) * 150)
    read = (
        f"import mmap, time; file = open({str(data)!r}, 'rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "assert sum(mapped[::4096]) > 0; time.sleep(1)"
    )
    ended = await bench.run(bench.launch(1, sys.executable, "-c", read, mem_limit_bytes=100 * MIB))
    assert (ended.cause, ended.exit_code) == (ExitCause.EXITED, 0)


async def test_usage_of_the_tree_is_written_while_it_runs(bench: Bench) -> None:
    burn = f"block = bytearray({50 * MIB})\nwhile True: pass"
    name = await bench.start(bench.launch(1, sys.executable, "-c", burn))
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
        used = bench.executor.usage([name]).get(name)
        if used is not None and (used.mem_bytes or 0) > 50 * MIB and (used.cpu_s or 0) > 0.2:
            break
    await bench.executor.cancel(name, 1)
    ended = await bench.end(name)
    assert (ended.usage.peak_mem_bytes or 0) > 50 * MIB
    assert (ended.usage.cpu_s or 0) > 0.2


async def test_pause_stops_the_clockwork_and_resume_lets_it_go_on(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", "while :; do echo tick; sleep 0.02; done"))
    await bench.logged(name, "tick")
    await bench.executor.pause(name)
    await bench.until(name, Phase.PAUSED)
    stopped = bench.log(name)
    await asyncio.sleep(0.3)
    assert bench.log(name) == stopped
    await bench.executor.resume(name)
    await bench.until(name, Phase.RUNNING)
    await bench.logged(name, "tick", stopped.count("tick") + 3)
    await bench.executor.pause(name)
    await bench.until(name, Phase.PAUSED)
    await bench.executor.cancel(name, 1)
    assert (await bench.end(name)).cause is ExitCause.CANCELLED


async def test_metrics_are_harvested_and_rubbish_is_not(bench: Bench) -> None:
    numbers = '{"accuracy": 0.5, "loss": NaN, "name": "x", "n": 3, "ok": true, "big": 1e999}'
    ended = await bench.run(bench.launch(1, "sh", "-c", f"echo '{numbers}' > $CRO_OUTPUT_DIR/metrics.json"))
    assert dict(ended.metrics) == {"accuracy": 0.5, "n": 3.0}
    ended = await bench.run(bench.launch(2, "sh", "-c", "echo '[[[[' > $CRO_OUTPUT_DIR/metrics.json"))
    assert (ended.exit_code, ended.metrics) == (0, ())


async def test_the_same_name_never_runs_twice(bench: Bench) -> None:
    launch = bench.launch(1, "sh", "-c", "echo once; sleep 0.2")
    await asyncio.gather(bench.executor.submit(launch), bench.executor.submit(launch))
    await bench.end(launch.name)
    await bench.executor.submit(launch)
    other = LocalExecutor(bench.folder / "jobs")
    await other.submit(launch)
    await other.close()
    assert bench.log(launch.name) == "once\n"


async def test_a_new_executor_adopts_what_runs_and_reads_what_ended(bench: Bench) -> None:
    ended = await bench.start(bench.launch(1, "sh", "-c", "exit 4"))
    await bench.end(ended)
    go = bench.folder / "go"
    runs = await bench.start(
        bench.launch(2, "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.02; done; exit 5")
    )
    await bench.until(runs, Phase.RUNNING)
    await bench.executor.close()
    bench.executor = LocalExecutor(bench.folder / "jobs")
    heard = asyncio.Event()
    bench.executor.listen(lambda name: heard.set() if name == runs else None)
    found = await bench.executor.poll([ended, runs, f"{PREFIX}-99-1"])
    past = found[ended].exit
    assert past is not None
    assert past.exit_code == 4
    assert found[runs].phase is Phase.RUNNING
    assert found[f"{PREFIX}-99-1"].phase is Phase.MISSING
    go.touch()
    await asyncio.wait_for(heard.wait(), 20)
    assert (await bench.end(runs)).exit_code == 5


async def test_a_killed_launcher_takes_no_job_with_it_and_is_replaced(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", "sleep 0.5; exit 6"))
    os.kill(bench.launcher, signal.SIGKILL)
    second = await bench.run(bench.launch(2, "sh", "-c", "exit 8"))
    assert second.exit_code == 8
    assert (await bench.end(name)).exit_code == 6


async def test_without_a_launcher_the_tree_of_a_killed_supervisor_can_be_swept(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", "setsid sleep 600 & sleep 600"))
    running = await bench.until(name, Phase.RUNNING)
    await bench.until_true(lambda: len(bench.left_running(name)) >= 2)
    assert running.pid is not None
    os.kill(bench.launcher, signal.SIGKILL)
    os.kill(running.pid, signal.SIGKILL)
    await bench.until(name, Phase.ORPHANED)
    assert len(bench.left_running(name)) >= 2
    assert await bench.executor.sweep(name)
    assert bench.left_running(name) == []


async def test_another_process_with_the_same_pid_is_not_taken_for_the_supervisor(bench: Bench) -> None:
    name = f"{PREFIX}-1-1"
    folder = bench.executor.folder(name)
    folder.mkdir(parents=True)
    me = os.getpid()
    identity = {"pid": me, "start_ticks": (procfs.start_ticks(me) or 0) - 1}
    record = {"boot_id": procfs.boot_id(), "supervisor": identity, "job": identity, "started_at": 1.0}
    (folder / "pid.json").write_text(json.dumps(record))
    assert (await bench.status(name)).phase is Phase.ORPHANED
    await bench.executor.cancel(name, 0)
    await bench.executor.sweep(name)
    record["boot_id"] = "another boot"
    record["supervisor"] = {"pid": me, "start_ticks": procfs.start_ticks(me)}
    (folder / "pid.json").write_text(json.dumps(record))
    assert (await bench.status(name)).phase is Phase.ORPHANED


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"cause": "exited"}', '{"cause": "no", "finished_at": 1}']
)
async def test_a_damaged_exit_file_is_no_exit(bench: Bench, content: str) -> None:
    folder = bench.executor.folder(f"{PREFIX}-1-1")
    folder.mkdir(parents=True)
    (folder / "exit.json").write_text(content)
    assert (await bench.status(f"{PREFIX}-1-1")).phase is Phase.MISSING


async def test_many_at_once_all_end_and_leave_no_descriptor_and_no_zombie(bench: Bench) -> None:
    await bench.run(bench.launch(9999, "true"))
    before = len(os.listdir("/proc/self/fd"))
    names = [await bench.start(bench.launch(n, "sh", "-c", f"exit {n % 200}")) for n in range(1, 121)]
    codes = [(await bench.end(name)).exit_code for name in names]
    assert codes == [n % 200 for n in range(1, 121)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert bench.executor.own_cpu_s() > 0
    await bench.until_true(lambda: len(procfs.descendants(bench.launcher)) == 1)  # the one kept ready


async def test_folders_are_for_their_owner_only(bench: Bench) -> None:
    await bench.run(bench.launch(1, "true"))
    folder = bench.executor.folder(f"{PREFIX}-1-1")
    for path in [folder, *folder.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_full_folder_path_with_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "odd ' \" $(x) ü"
    folder.mkdir()
    bench = Bench(folder)
    ended = await bench.run(bench.launch(1, "sh", "-c", "exit 9"))
    await bench.executor.close()
    assert ended.exit_code == 9
