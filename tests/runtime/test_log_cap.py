"""A job that prints too much: its log stays small while it runs, and has a beginning, a line and an end."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from jobs.records.logs import LogFile
from jobs.runtime import job_folder, log_cap
from tests.runtime.test_supervisor import ended, folder, specify, supervise, wait_for

__all__ = ["folder"]
KIB, MIB = 2**10, 2**20
LINE = re.compile(rb"^\.\.\. ([0-9.]+) (bytes|KB|MB|GB) of output dropped here \.\.\.$", re.MULTILINE)
COUNT = "import sys\nfor n in range(int(sys.argv[1])): sys.stdout.write('line %09d\\n' % n)"
LINE_BYTES = 15


def has_holes(path: Path) -> bool:
    with path.open("wb") as file:
        file.write(b"x" * (64 * KIB))
        file.flush()
        return (
            log_cap._free(file.fileno(), 8 * KIB, 32 * KIB) and log_cap.hole_in(file.fileno()) is not None
        )


@pytest.fixture
def holes(tmp_path: Path) -> None:
    if not has_holes(tmp_path / "probe"):
        pytest.skip("this file system has no holes")


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


def parts(content: bytes) -> tuple[bytes, bytes]:
    """What is before and after the one line that says what was dropped."""
    assert len(LINE.findall(content)) == 1
    found = LINE.search(content)
    assert found is not None
    return content[: found.start()], content[found.end() + 1 :]


def numbers(part: bytes) -> list[int]:
    """Of the whole lines."""
    return [int(line[5:]) for line in part.split(b"\n") if re.fullmatch(rb"line \d{9}", line)]


@pytest.mark.parametrize("lines", [20_000, 400_000])
def test_a_long_log_ends_as_its_beginning_a_line_and_its_end(folder: Path, lines: int) -> None:
    specify(folder, sys.executable, "-c", COUNT, str(lines), log_max_bytes=128 * KIB)
    assert supervise(folder).wait(60) == 0
    assert ended(folder)["exit_code"] == 0
    content = (folder / job_folder.LOG).read_bytes()
    assert 96 * KIB < len(content) < 160 * KIB
    assert b"\0" not in content
    head, tail = parts(content)
    assert numbers(head) == list(range(len(numbers(head))))
    assert numbers(tail) == list(range(lines - len(numbers(tail)), lines))
    assert len(head) == pytest.approx(64 * KIB, abs=2)
    assert len(tail) > 32 * KIB
    assert [path.name for path in folder.iterdir() if path.name.endswith("tmp")] == []
    assert (folder / job_folder.LOG).stat().st_mode & 0o777 == 0o600


def test_what_was_dropped_is_counted_to_the_byte(folder: Path) -> None:
    specify(folder, "head", "-c", str(10 * MIB), "/dev/zero", log_max_bytes=1 * MIB)
    assert supervise(folder).wait(60) == 0
    content = (folder / job_folder.LOG).read_bytes()
    head, tail = parts(content)
    kept = head.count(b"\0") + tail.count(b"\0")
    assert log_cap.line_for(10 * MIB - kept) in content


def test_a_log_up_to_the_cap_is_left_alone(folder: Path) -> None:
    lines = 128 * KIB // LINE_BYTES
    specify(folder, sys.executable, "-c", COUNT, str(lines), log_max_bytes=128 * KIB)
    assert supervise(folder).wait(60) == 0
    assert numbers((folder / job_folder.LOG).read_bytes()) == list(range(lines))


def test_no_cap_keeps_everything(folder: Path) -> None:
    specify(folder, sys.executable, "-c", COUNT, "100000", log_max_bytes=0)
    assert supervise(folder).wait(60) == 0
    assert numbers((folder / job_folder.LOG).read_bytes()) == list(range(100_000))


@pytest.mark.usefixtures("holes")
def test_while_it_prints_the_file_stays_small_and_a_reader_sees_one_line(folder: Path) -> None:
    specify(folder, sys.executable, "-uc", COUNT, str(10**9), log_max_bytes=2 * MIB)
    process = supervise(folder)
    path = folder / job_folder.LOG
    wait_for(lambda: path.exists() and path.stat().st_size > 16 * MIB, 60)
    wait_for(lambda: used(path) < 4 * MIB, 60)
    with LogFile(path) as log:
        shown: list[str] = []
        deadline = time.monotonic() + 60
        while not (any("dropped here" in line for line in shown) and all(shown)):
            assert time.monotonic() < deadline, "a line that was cut is gone at the next look"
            log.refresh()
            shown = log.read_lines(0, log.line_count)
            assert not any("\0" in line for line in shown)
        assert len(shown) < 4 * MIB // LINE_BYTES
        last = [""]
        while not all(re.fullmatch(r"line \d{9}", line) for line in last[:-1]) or len(last) < 3:
            assert time.monotonic() < deadline, f"its end cannot be read: {last}"
            log.refresh()  # what was read of late may be cut by now
            last = log.tail(3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert ended(folder)["cause"] == "cancelled"
    head, tail = parts(path.read_bytes())
    assert numbers(head)[0] == 0
    assert numbers(tail)[-1] > 16 * MIB // LINE_BYTES


@pytest.mark.usefixtures("holes")
def test_a_killed_supervisor_leaves_a_log_that_can_be_read(folder: Path) -> None:
    specify(
        folder, "sh", "-c", '"$0" -c "$1" 1000000; sleep 600', sys.executable, COUNT, log_max_bytes=1 * MIB
    )
    process = supervise(folder)
    path = folder / job_folder.LOG
    wait_for(lambda: path.exists() and path.stat().st_size == 10**6 * LINE_BYTES, 60)
    wait_for(lambda: used(path) < 2 * MIB, 60)
    process.kill()
    process.wait()
    record = job_folder.read_json(str(folder / job_folder.PID))
    assert record is not None
    os.killpg(record["job"]["pid"], signal.SIGKILL)
    with LogFile(path) as log:
        while log.refresh() and not log.complete:
            pass
        lines = log.read_lines(0, log.line_count)
    assert (lines[0], lines[-1]) == ("line 000000000", "line 000999999")
    assert sum("dropped here" in line for line in lines) == 1
    assert len(lines) < 2 * MIB // LINE_BYTES


def test_binary_output_is_capped_as_it_is(folder: Path) -> None:
    code = "import os, sys\nfor n in range(640): os.write(1, bytes(range(256)) * 16)"
    specify(folder, sys.executable, "-c", code, log_max_bytes=256 * KIB)
    assert supervise(folder).wait(60) == 0
    head, tail = parts((folder / job_folder.LOG).read_bytes())
    every = bytes(range(256)) * 16
    assert (every * 33).startswith(head.removesuffix(b"\n"))
    assert (every * 33).endswith(tail)
    with LogFile(folder / job_folder.LOG) as log:
        log.refresh()
        assert any("dropped here" in line for line in log.read_lines(0, log.line_count))


def test_a_job_that_begins_its_log_anew_keeps_what_it_prints_then(folder: Path) -> None:
    code = f"{COUNT}\nsys.stdout.flush()\nimport os\nos.ftruncate(1, 0)\nprint('afterwards')"
    specify(folder, sys.executable, "-c", code, "200000", log_max_bytes=128 * KIB)
    assert supervise(folder).wait(60) == 0
    assert (folder / job_folder.LOG).read_bytes() == b"afterwards\n"


def test_a_job_that_replaces_its_log_keeps_its_own_file(folder: Path) -> None:
    path = folder / job_folder.LOG
    code = f"{COUNT}\nimport os\nos.unlink({str(path)!r})\nopen({str(path)!r}, 'w').write('mine')"
    specify(folder, sys.executable, "-c", code, "100000", log_max_bytes=128 * KIB)
    assert supervise(folder).wait(60) == 0
    assert path.read_bytes() == b"mine"


def test_without_holes_it_is_cut_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that refuses: what is written meanwhile stays."""
    monkeypatch.setattr(log_cap, "_free", lambda *_: False)
    monkeypatch.setattr(log_cap, "hole_in", lambda _: None)
    path = tmp_path / job_folder.LOG
    with path.open("ab", buffering=0) as log:
        cap = log_cap.LogCap(log.fileno(), 64 * KIB)
        for n in range(100):
            log.write(b"%05d" % n * 2000 + b"\n")
            cap.look(time.monotonic())
        assert path.stat().st_size == 100 * 10_001
        cap.finish(str(path))
    head, tail = parts(path.read_bytes())
    assert head.startswith(b"0000000000")
    assert tail.endswith(b"0009900099\n")
    assert len(head) + len(tail) <= 64 * KIB


@pytest.mark.parametrize(
    ("size", "says"),
    [(1, "1 bytes"), (2048, "2.0 KB"), (1_825_361_100, "1.7 GB"), (600 * MIB, "600 MB")],
)
def test_the_line(size: int, says: str) -> None:
    line = f"... {says} of output dropped here ...\n".encode()
    assert log_cap.line_for(size) == log_cap.line_for(size, after=b"") == line
    assert log_cap.line_for(size, after=b"half") == b"\n" + line


@pytest.mark.slow
@pytest.mark.usefixtures("holes")
def test_two_gigabytes_take_no_more_room_than_the_cap(folder: Path) -> None:
    specify(
        folder,
        "sh",
        "-c",
        "yes 'a line of some length, as jobs print' | head -c 2147483648",
        log_max_bytes=64 * MIB,
    )
    process = supervise(folder)
    path, most = folder / job_folder.LOG, 0
    while process.poll() is None:
        if path.exists():
            most = max(most, used(path))
    assert ended(folder)["exit_code"] == 0
    assert most < 1024 * MIB
    content = path.read_bytes()
    assert len(content) < 65 * MIB
    assert b"... 1.9 GB of output dropped here ..." in content
    print(f"most on disk: {most / MIB:.0f} MiB")
