"""Log files: any growth, any size, the same lines as a plain split."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.records.logs import BLOCK_BYTES, EVERY_LINES, MAX_RAW_LINE_BYTES, LogFile
from jobs.records.text import collapse

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def plain_lines(content: bytes) -> list[str]:
    lines = content.decode().split("\n")
    return lines[:-1] if lines[-1] == "" else lines


@in_one_folder
@given(st.lists(st.lists(st.sampled_from(["", "a", "bc", "line"]), max_size=90), min_size=1, max_size=6))
def test_any_growth_gives_the_lines_of_a_plain_split(tmp_path: Path, parts: list[list[str]]) -> None:
    path = tmp_path / "output.log"
    path.unlink(missing_ok=True)
    content = b""
    with LogFile(path) as log:
        for part in parts:
            added = "\n".join(part).encode()
            content += added
            with path.open("ab") as file:
                file.write(added)
            log.refresh()
            expected = plain_lines(content) if content else []
            assert log.line_count == len(expected)
            assert log.read_lines(0, log.line_count) == expected
            middle = len(expected) // 2
            assert log.read_lines(middle, middle + 5) == expected[middle : middle + 5]
            assert log.tail(7) == expected[-7:]


def test_lines_across_blocks_and_index_steps(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    lines = [f"{number} " + "x" * (number % 97) for number in range(EVERY_LINES * 50)]
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size > 2 * BLOCK_BYTES
    with LogFile(path) as log:
        while not log.complete or log.size_bytes == 0:
            log.refresh(budget_bytes=10_000)
        assert log.read_lines(0, len(lines)) == lines
        assert log.read_lines(1000, 1003) == lines[1000:1003]
        assert log.tail(3) == lines[-3:]


def test_the_tail_of_a_large_file_needs_no_index(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    with path.open("wb") as file:
        file.write(b"x" * (8 << 20))
        file.write(b"\nlast but one\nlast\n")
    with LogFile(path) as log:
        log.refresh(budget_bytes=1 << 20)
        assert not log.complete
        assert log.tail(2) == ["last but one", "last"]


def test_a_line_without_end_is_bounded_and_shows_its_end(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"".join(b"\r%06d/100000" % n for n in range(100_000)))
    with LogFile(path) as log:
        log.refresh()
        assert log.read_lines(0, 1) == ["099999/100000"]
        assert log.tail(1) == ["099999/100000"]


def test_truncation_replacement_and_loss_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("one\ntwo\n")
    with LogFile(path) as log:
        assert log.refresh()
        assert not log.refresh()
        path.write_text("new\n")
        assert log.refresh()
        assert log.read_lines(0, 9) == ["new"]
        (tmp_path / "other").write_text("other file\nof another inode\n")
        (tmp_path / "other").rename(path)
        assert log.refresh()
        assert log.read_lines(0, 9) == ["other file", "of another inode"]
        path.unlink()
        assert log.refresh()
        assert log.line_count == 0
        assert log.tail(5) == []


@pytest.mark.parametrize(
    ("wanted", "start", "backwards", "line"),
    [
        ("error", 0, False, 1),
        ("error", 2, False, 2050),
        ("Error", 0, False, 2050),
        ("error", 2049, True, 1),
        ("error", 3000, True, 2050),
        ("none such", 0, False, None),
        ("", 0, False, None),
    ],
)
def test_find(tmp_path: Path, wanted: str, start: int, backwards: bool, line: int | None) -> None:
    lines = [f"line {number}" for number in range(3000)]
    lines[1], lines[2050] = "an error", "An Error"
    path = tmp_path / "output.log"
    path.write_text("\n".join(lines))
    with LogFile(path) as log:
        log.refresh()
        assert log.find(wanted, start, backwards=backwards) == line


@in_one_folder
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8))
def test_any_bytes_give_the_same_lines_however_they_arrive(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"")
    content = b"".join(parts)
    expected = [collapse(line) for line in content.removesuffix(b"\n").split(b"\n")] if content else []
    with LogFile(path) as log:
        for part in parts:
            with path.open("ab") as file:
                file.write(part)
            log.refresh()
        assert log.read_lines(0, log.line_count) == expected
        assert log.tail(len(expected)) == expected
        found = log.find("a", 0)
        assert found == next((n for n, line in enumerate(expected) if "a" in line.lower()), None)


def test_a_long_line_without_rewrites_shows_that_its_start_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("é" * 3 * MAX_RAW_LINE_BYTES + "\nnext\n")
    with LogFile(path) as log:
        log.refresh()
        shown, following = log.read_lines(0, 2)
        assert shown.startswith("... é")
        assert shown.endswith(" ...")
        assert following == "next"
        assert log.tail(2) == [shown, "next"]


def test_a_pipe_in_place_of_the_log_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    os.mkfifo(path)
    with LogFile(path) as log:
        log.refresh()
        assert log.line_count == 0
        assert log.tail(3) == []
