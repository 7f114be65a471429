"""The local executor where timing, limits of the machine or somebody's files are against it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core.ports import ExitCause, Phase
from jobs.executors.local import LocalExecutor
from jobs.runtime import procfs
from tests.executors.conftest import Bench

REPOSITORY = Path(__file__).resolve().parents[2]
TICKS = "while :; do echo tick; sleep 0.02; done"


async def test_orders_given_right_after_the_start_are_not_lost(bench: Bench) -> None:
    names = [await bench.start(bench.launch(n, "sleep", "600")) for n in range(1, 13)]
    for name in names[:6]:
        await bench.executor.cancel(name, 5)
    for name in names[6:]:
        await bench.executor.pause(name)
    assert {(await bench.end(name)).cause for name in names[:6]} == {ExitCause.CANCELLED}
    for name in names[6:]:
        await bench.until(name, Phase.PAUSED)
        await bench.executor.cancel(name, 5)
        assert (await bench.end(name)).signal == signal.SIGTERM


async def test_a_burst_larger_than_the_socket(bench: Bench) -> None:
    launches = [bench.launch(n, "sh", "-c", f"exit {n % 100}") for n in range(1, 301)]
    await asyncio.gather(*map(bench.executor.submit, launches))
    codes = [(await bench.end(launch.name, timeout_s=60)).exit_code for launch in launches]
    assert codes == [n % 100 for n in range(1, 301)]


async def test_doubled_submits_leave_one_watch_and_one_word_of_the_end(bench: Bench) -> None:
    await bench.run(bench.launch(99, "true"))
    before = len(os.listdir("/proc/self/fd"))
    heard: list[str] = []
    bench.executor.listen(heard.append)
    launch = bench.launch(1, "sleep", "600")
    pids = await asyncio.gather(*(bench.executor.submit(launch) for _ in range(5)))
    assert len(set(pids)) == 1
    await bench.executor.cancel(launch.name, 5)
    await bench.until_true(lambda: bool(heard))
    assert (await bench.end(launch.name)).cause is ExitCause.CANCELLED
    await bench.until_true(lambda: len(procfs.descendants(bench.launcher)) == 1)  # the one kept ready
    assert heard == [launch.name]
    assert len(os.listdir("/proc/self/fd")) == before


async def test_it_works_where_there_are_no_process_descriptors(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(pid: int, flags: int = 0) -> int:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(os, "pidfd_open", refused)
    first = await bench.start(bench.launch(1, "sleep", "600"))
    second = await bench.start(bench.launch(2, "sh", "-c", "setsid sleep 600 & sleep 600"))
    await bench.until(first, Phase.RUNNING)
    running = await bench.until(second, Phase.RUNNING)
    await bench.executor.cancel(first, 5)
    assert (await bench.end(first)).cause is ExitCause.CANCELLED
    await bench.until_true(lambda: len(bench.left_running(second)) >= 2)
    assert running.pid is not None
    os.kill(bench.launcher, signal.SIGKILL)
    os.kill(running.pid, signal.SIGKILL)
    await bench.until(second, Phase.ORPHANED)
    await bench.executor.sweep(second)
    assert bench.left_running(second) == []


async def test_time_spent_paused_does_not_count_towards_the_limit(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", TICKS, time_limit_s=1.0))
    await bench.logged(name, "tick")
    await bench.executor.pause(name)
    await bench.until(name, Phase.PAUSED)
    await asyncio.sleep(1.5)
    assert (await bench.status(name)).phase is Phase.PAUSED
    await bench.executor.resume(name)
    ended = await bench.end(name)
    assert ended.cause is ExitCause.TIMED_OUT
    assert ended.started_at is not None
    assert ended.finished_at - ended.started_at > 2.3


async def test_a_second_cancel_can_shorten_the_grace_time(bench: Bench) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    name = await bench.start(bench.launch(1, "sh", "-c", script, grace_s=600))
    await bench.logged(name, "ready")
    await bench.executor.cancel(name, 600)
    await bench.executor.cancel(name, 0.1)
    ended = await bench.end(name)
    assert (ended.cause, ended.signal) == (ExitCause.CANCELLED, signal.SIGKILL)


@pytest.mark.parametrize(
    "make", ["mkfifo $CRO_OUTPUT_DIR/metrics.json", "ln -s /dev/zero $CRO_OUTPUT_DIR/metrics.json"]
)
async def test_a_metrics_file_that_is_no_file_holds_nobody_up(bench: Bench, make: str) -> None:
    ended = await bench.run(bench.launch(1, "sh", "-c", make))
    assert (ended.exit_code, ended.metrics) == (0, ())


async def test_names_of_metrics_are_made_storable(bench: Bench) -> None:
    code = (
        "import os; open(os.environ['CRO_OUTPUT_DIR'] + '/metrics.json', 'w').write('{\"a\\\\ud800\": 1}')"
    )
    ended = await bench.run(bench.launch(1, sys.executable, "-c", code))
    assert ended.metrics == (("a?", 1.0),)


async def test_a_job_outlives_a_usage_file_that_cannot_be_written(bench: Bench) -> None:
    launch = bench.launch(1, "sh", "-c", "sleep 0.3; exit 3")
    (bench.executor.folder(launch.name) / "usage.jsonl").mkdir(parents=True)
    ended = await bench.run(launch)
    assert (ended.cause, ended.exit_code) == (ExitCause.EXITED, 3)


@pytest.mark.parametrize("content", ["{", '{"A": 1}', '{"A=B": "x"}', '{"A": "nul\\u0000"}', "[]"])
async def test_a_damaged_environment_is_a_job_that_cannot_start(bench: Bench, content: str) -> None:
    bench.environment.write_text(content)
    ended = await bench.run(bench.launch(1, "true"))
    assert (ended.cause, ended.exit_code) == (ExitCause.COULD_NOT_START, 126)
    assert ended.detail


@pytest.mark.parametrize(
    "name", ["", "cro-x-1", "cro-x-1-1/..", "cro-x--1-1", "cro-x-1-1\n", "other-x-1-1"]
)
async def test_names_never_lead_out_of_the_folder(bench: Bench, name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        await bench.executor.poll([name])


async def test_the_sweep_finds_what_hid_its_environment_and_spares_the_living(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", "env -i sleep 600 & echo $!; wait"))
    running = await bench.until(name, Phase.RUNNING)
    await bench.logged(name, "\n")
    hidden = int(bench.log(name))
    await bench.until_true(lambda: procfs.environment(hidden) == [b""])
    await bench.executor.sweep(name)
    assert (await bench.status(name)).phase is Phase.RUNNING
    assert running.pid is not None
    os.kill(bench.launcher, signal.SIGKILL)
    os.kill(running.pid, signal.SIGKILL)
    await bench.until(name, Phase.ORPHANED)
    assert procfs.start_ticks(hidden) is not None
    await bench.executor.sweep(name)
    await bench.until_true(lambda: procfs.start_ticks(hidden) is None)


async def test_the_end_of_an_attempt_counts_once_as_our_own_cpu(bench: Bench) -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    name = await bench.start(bench.launch(1, sys.executable, "-c", burn))
    await bench.until_true((bench.executor.folder(name) / "exit.json").exists)
    before = bench.executor.own_cpu_s()
    used_s = (await bench.end(name)).usage.cpu_s
    assert used_s is not None and used_s >= 0.4
    after = bench.executor.own_cpu_s()
    assert used_s <= after - before < 2 * used_s
    await bench.end(name)
    assert bench.executor.own_cpu_s() - after < used_s


async def test_the_launcher_holds_nothing_of_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "in the daemon's environment")
    with (bench.folder / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        name = await bench.start(bench.launch(1, "sleep", "600"))
        running = await bench.until(name, Phase.RUNNING)
        assert running.pid is not None
        for pid in (bench.launcher, running.pid):
            assert not any(value.startswith(b"A_SECRET") for value in procfs.environment(pid))
            opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            assert held.name not in opened
            assert os.getsid(pid) == pid
    await bench.executor.cancel(name, 1)
    await bench.end(name)


OWNER = """
import asyncio, json, sys
from pathlib import Path
from jobs.executors.local import LocalExecutor
from jobs.core.ports import Launch

async def main():
    spec = json.loads(sys.argv[2])
    spec["argv"] = tuple(spec["argv"])
    await LocalExecutor(Path(sys.argv[1])).submit(Launch(**spec))
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_of_the_owner_costs_no_job_its_true_exit_code(bench: Bench) -> None:
    go = bench.folder / "go"
    launch = bench.launch(1, "sh", "-c", f"while [ ! -e {go} ]; do sleep 0.02; done; exit 42")
    spec = {name: getattr(launch, name) for name in launch.__slots__}
    arguments = [sys.executable, "-c", OWNER, str(bench.folder / "jobs"), json.dumps(spec)]
    owner = await asyncio.create_subprocess_exec(*arguments, cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"started\n"
    owner.kill()
    await owner.wait()
    await bench.until(launch.name, Phase.RUNNING)  # missing at first: it may not be written down yet
    heard = asyncio.Event()
    bench.executor.listen(lambda _: heard.set())
    go.touch()
    await asyncio.wait_for(heard.wait(), 20)
    assert (await bench.end(launch.name)).exit_code == 42


async def test_another_executor_reads_the_same_truth(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sleep", "600"))
    other = LocalExecutor(bench.folder / "jobs")
    await bench.until(name, Phase.RUNNING)
    assert (await other.poll([name]))[name].phase is Phase.RUNNING
    await other.cancel(name, 1)
    assert (await bench.end(name)).cause is ExitCause.CANCELLED
    assert (await other.poll([name]))[name].phase is Phase.ENDED
    await other.close()
