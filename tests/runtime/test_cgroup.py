"""Control groups: real ones of this machine where they can be made, and version 2 over plain files.

The folder has the names, contents and permissions that the kernel's documentation gives; what only a kernel
can do, ending processes, is tried where there is one that lets us.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime import cgroup, job_folder
from tests.runtime.test_supervisor import ended, folder, specify, supervise, wait_for

__all__ = ["folder"]
MIB = 2**20
GROW = "kept = []\nwhile True: kept.append(b'x' * (8 << 20))"


def can_be_made() -> bool:
    group = cgroup.make(f"cro-probe{os.getpid()}-1-1")
    return group is not None and group.remove()


real = pytest.mark.skipif(not can_be_made(), reason="no control group with a memory limit can be made here")


@pytest.fixture
def group() -> Iterator[cgroup.Cgroup]:
    group = cgroup.make(f"cro-test{os.getpid()}-0-1")
    assert group is not None
    yield group
    wait_for(lambda: group.kill() == 0)
    assert group.remove()


def members(path: str) -> list[int]:
    return [int(line) for line in Path(path, "cgroup.procs").read_text().split()]


# --- the kernel's own ------------------------------------------------------------------------------------


@real
def test_a_process_made_inside_is_there_and_its_maker_is_not(group: cgroup.Cgroup) -> None:
    with group:
        pid = os.posix_spawnp("sleep", ["sleep", "600"], os.environ)
    assert members(group.folder) == [pid]
    assert group.kill() == 1
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert members(group.folder) == []


@real
def test_the_kernel_ends_who_goes_past_the_limit_and_says_so(group: cgroup.Cgroup) -> None:
    assert group.limit(64 * MIB)
    assert not group.over_limit()
    with group:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", GROW], os.environ)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert group.over_limit()
    peak = group.peak_bytes()
    assert peak is not None
    assert 48 * MIB < peak <= 64 * MIB


@real
def test_a_limit_below_what_it_has_is_refused_or_ends_it(group: cgroup.Cgroup) -> None:
    code = "kept = b'x' * (64 << 20); print('full', flush=True); input()"
    with group:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"full\n"
        held, _ = group.memory()
        assert held > 64 * MIB
        if group.limit(8 * MIB):
            wait_for(group.over_limit)
        process.kill()


@real
def test_groups_made_inside_go_with_it(group: cgroup.Cgroup) -> None:
    below = Path(group.folder, "below")
    below.mkdir()
    with subprocess.Popen(["sleep", "600"]) as process:
        (below / "cgroup.procs").write_text(str(process.pid))
        assert cgroup.kill(group.folder) == 1
        assert process.wait(20) == -signal.SIGKILL


@real
def test_an_empty_one_that_was_left_is_replaced_and_one_in_use_is_not(group: cgroup.Cgroup) -> None:
    name = Path(group.folder).name
    assert group.limit(64 * MIB)
    again = cgroup.make(name)
    assert again is not None
    limit = Path(again.folder, "memory.max" if again.version == 2 else "memory.limit_in_bytes")
    assert limit.read_text() != f"{64 * MIB}\n"
    with subprocess.Popen(["sleep", "600"]) as process:
        Path(again.folder, "cgroup.procs").write_text(str(process.pid))
        assert cgroup.make(name) is None
        assert members(again.folder) == [process.pid]
        process.kill()


def test_where_none_can_be_made_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary folder takes the name, but has no memory limit."""
    monkeypatch.setattr(cgroup, "places", lambda: iter([(2, str(tmp_path), str(tmp_path))]))
    assert cgroup.make("cro-test-1-1") is None
    assert list(tmp_path.iterdir()) == []


# --- version 2, over plain files ------------------------------------------------------------


MOUNTS = """\
24 30 0:22 / /proc rw,nosuid shared:12 - proc proc rw
35 24 0:30 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""
MOUNTS_1 = "36 24 0:31 / {mount}/memory rw shared:5 - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("root", "own", "expected"),
    [
        (
            "/",
            "/user.slice/app.slice/it.scope",
            ["user.slice/app.slice/it.scope", "user.slice/app.slice", "user.slice", ""],
        ),
        ("/", "/", [""]),
        ("/docker/abc", "/docker/abc/job", ["job", ""]),
        ("/docker/abc", "/elsewhere", []),
        ("/", "/../../outside", []),
    ],
)
def test_the_places_of_version_2_are_ours_and_those_above(
    tmp_path: Path, root: str, own: str, expected: list[str]
) -> None:
    mounts, ours = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(MOUNTS.format(root=root, mount="/cg"))
    ours.write_text(f"0::{own}\n")
    found = [place for version, place, _ in cgroup.places(str(mounts), str(ours)) if version == 2]
    assert found == [os.path.normpath(f"/cg/{path}") for path in expected]


def test_version_1_is_taken_where_it_has_the_memory(tmp_path: Path) -> None:
    mounts, ours = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text((MOUNTS + MOUNTS_1).format(root="/", mount="/cg"))
    ours.write_text("5:cpu,cpuacct:/\n4:memory:/deep/er\n0::/other\n")
    here = "/cg/memory/deep/er"
    assert list(cgroup.places(str(mounts), str(ours))) == [(1, here, here)]


@pytest.fixture
def version_2(tmp_path: Path) -> cgroup.Cgroup:
    """A delegated folder with a group in it, as it looks right after it was made."""
    own, made = tmp_path / "app.slice" / "terminal.scope", tmp_path / "app.slice" / "cro-test-1-1"
    for path in (own, made):
        path.mkdir(parents=True)
        (path / "cgroup.procs").write_text("")
    files = {
        "memory.max": "max\n",
        "memory.swap.max": "max\n",
        "memory.oom.group": "0\n",
        "memory.peak": "50000000\n",
        "memory.stat": "anon 30000000\nfile 12000000\nkernel 70000\nshmem 2000000\nfile_mapped 5\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "cgroup.kill": "",
    }
    for name, content in files.items():
        (made / name).write_text(content)
    return cgroup.Cgroup(str(made), str(own), 2)


def content(group: cgroup.Cgroup, name: str) -> str:
    return Path(group.folder, name).read_text().split("\n")[0]


def test_version_2_gets_a_limit_without_swap_for_all_of_it_at_once(version_2: cgroup.Cgroup) -> None:
    assert version_2.limit(123456)
    assert content(version_2, "memory.max") == "123456"
    assert content(version_2, "memory.swap.max") == "0"
    assert content(version_2, "memory.oom.group") == "1"


def test_version_2_without_swap_accounting_still_has_its_limit(version_2: cgroup.Cgroup) -> None:
    Path(version_2.folder, "memory.swap.max").unlink()
    assert version_2.limit(123456)
    assert content(version_2, "memory.max") == "123456"
    Path(version_2.folder, "memory.max").unlink()
    with pytest.raises(FileNotFoundError):
        version_2.limit(123456)


def test_version_2_tells_its_memory(version_2: cgroup.Cgroup) -> None:
    assert version_2.memory() == (32_000_000, 10_000_000)
    assert version_2.peak_bytes() == 50_000_000
    Path(version_2.folder, "memory.peak").unlink()  # before Linux 5.19
    assert version_2.peak_bytes() is None


@pytest.mark.parametrize(
    ("oom", "oom_kill", "over"), [(0, 0, False), (1, 1, True), (0, 1, False), (1, 0, False)]
)
def test_version_2_tells_its_own_limit_from_the_machines(
    version_2: cgroup.Cgroup, oom: int, oom_kill: int, over: bool
) -> None:
    events = f"low 0\nhigh 0\nmax 7\noom {oom}\noom_kill {oom_kill}\n"
    Path(version_2.folder, "memory.events").write_text(events)
    assert version_2.over_limit() is over


def test_version_2_is_entered_and_left_and_killed_as_a_whole(version_2: cgroup.Cgroup) -> None:
    with version_2:
        assert content(version_2, "cgroup.procs") == "0"
    own = Path(version_2.folder).parent / "terminal.scope"
    assert (own / "cgroup.procs").read_text() == "0"
    Path(version_2.folder, "cgroup.procs").write_text(f"{2**22 + 1}\n{2**22 + 2}\n")
    assert version_2.kill() == 2
    assert content(version_2, "cgroup.kill") == "1"


def test_before_there_was_a_kill_file_each_is_killed(version_2: cgroup.Cgroup) -> None:
    Path(version_2.folder, "cgroup.kill").unlink()
    with subprocess.Popen(["sleep", "600"]) as process:
        Path(version_2.folder, "cgroup.procs").write_text(f"{process.pid}\n")
        assert version_2.kill() == 1
        assert process.wait(20) == -signal.SIGKILL


def test_a_group_is_found_by_its_attempt(version_2: cgroup.Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    above = str(Path(version_2.folder).parent)
    monkeypatch.setattr(cgroup, "places", lambda: iter([(2, above, above)]))
    assert cgroup.left("cro-test-1-1", None) == [version_2.folder]
    assert cgroup.left("cro-test-1-2", version_2.folder) == []
    monkeypatch.setattr(cgroup, "places", lambda: iter([]))
    assert cgroup.left("cro-test-1-1", version_2.folder) == [version_2.folder]
    assert cgroup.left("cro-test-1-1", 5) == []


# --- whole attempts --------------------------------------------------------------------------------------


@real
def test_a_job_past_its_limit_ends_as_out_of_memory_by_the_kernel(folder: Path) -> None:
    specify(folder, sys.executable, "-c", GROW, mem_limit_bytes=200 * MIB)
    assert supervise(folder).wait(60) == 0
    record = ended(folder)
    assert (record["cause"], record["signal"], record["mem_by"]) == ("out_of_memory", 9, "cgroup")
    assert 150 * MIB < record["usage"]["peak_mem_bytes"] <= record["mem_limit_bytes"] == 200 * MIB
    assert group_of(folder) == []


@real
@pytest.mark.parametrize("mem_limit_bytes", [1, 64 << 10, 1 * MIB, 4 * MIB])
def test_a_limit_too_small_to_begin_with_ends_the_job_and_not_its_supervisor(
    folder: Path, mem_limit_bytes: int
) -> None:
    specify(folder, sys.executable, "-c", GROW, mem_limit_bytes=mem_limit_bytes)
    assert supervise(folder).wait(60) == 0
    assert ended(folder)["cause"] == "out_of_memory"
    assert group_of(folder) == []


@real
def test_a_worker_that_the_kernel_ends_ends_the_job(folder: Path) -> None:
    script = '"$0" -c "$1"; echo went on; sleep 600'
    specify(folder, "sh", "-c", script, sys.executable, GROW, mem_limit_bytes=100 * MIB)
    assert supervise(folder).wait(60) == 0
    assert ended(folder)["cause"] == "out_of_memory"
    assert group_of(folder) == []


@real
def test_the_peak_of_a_job_between_two_looks_is_known(folder: Path) -> None:
    specify(folder, sys.executable, "-c", "len(b'x' * (150 << 20))", mem_limit_bytes=400 * MIB)
    assert supervise(folder).wait(60) == 0
    record = ended(folder)
    assert (record["cause"], record["exit_code"]) == ("exited", 0)
    assert 150 * MIB < record["usage"]["peak_mem_bytes"] < 200 * MIB


@real
def test_files_that_were_read_are_no_memory_that_a_job_needs(folder: Path) -> None:
    big = folder.parent / "big"
    write = f"f = open({str(big)!r}, 'wb')\nfor _ in range(40): f.write(b'x' * (8 << 20))"
    specify(folder, sys.executable, "-c", write, mem_limit_bytes=100 * MIB)
    assert supervise(folder).wait(60) == 0
    record = ended(folder)
    assert (record["cause"], record["exit_code"]) == ("exited", 0)
    assert big.stat().st_size == 320 * MIB
    assert record["usage"]["peak_mem_bytes"] < 60 * MIB


FROM_A_WARM_PROCESS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import supervisor
imported = b"x" * (100 << 20)

def start(spec, log):
    pid = os.fork()
    if pid == 0:
        own = b"y" * (50 << 20)
        os._exit(len(own) % 2 + len(imported) % 2)
    return pid

folders = iter([sys.argv[2]])
supervisor.main(lambda _: next(folders, None), None, start)
"""


@real
def test_what_a_warm_process_shares_is_not_limited_but_belongs_to_the_peak(folder: Path) -> None:
    specify(folder, "anything", mem_limit_bytes=80 * MIB)
    where = str(Path(job_folder.__file__).parent)
    command = [sys.executable, "-I", "-S", "-c", FROM_A_WARM_PROCESS, where, str(folder)]
    assert subprocess.run(command, check=True, timeout=60).returncode == 0
    record = ended(folder)
    assert (record["cause"], record["exit_code"], record["mem_by"]) == ("exited", 0, "cgroup")
    assert 150 * MIB < record["usage"]["peak_mem_bytes"] < 200 * MIB
    assert group_of(folder) == []


@real
def test_a_job_without_a_limit_has_no_group(folder: Path) -> None:
    specify(folder, "true")
    assert supervise(folder).wait(20) == 0
    assert ended(folder)["mem_by"] == "polling"
    record = job_folder.read_json(str(folder / job_folder.PID))
    assert record is not None
    assert record["cgroup"] is None


@real
def test_what_cannot_start_leaves_no_group(folder: Path) -> None:
    specify(folder, "no such command", mem_limit_bytes=100 * MIB)
    assert supervise(folder).wait(20) == 0
    assert ended(folder)["cause"] == "could_not_start"
    assert group_of(folder) == []


def group_of(folder: Path) -> list[str]:
    spec = job_folder.read_json(str(folder / job_folder.SPEC))
    assert spec is not None
    return cgroup.left(spec["name"], None)
