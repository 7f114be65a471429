"""Readers of a log whose middle was dropped: one line stands for it, wherever it is, and while it grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cro_tui.commands.logs import _Printer
from jobs.records.logs import EVERY_LINES, LogFile, hole_in, line_for
from jobs.runtime import log_cap

BLOCK = 4096
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def drop(path: Path, first: int, after: int) -> None:
    with path.open("r+b") as file:
        if not log_cap._free(file.fileno(), first, after - first):
            pytest.skip("this file system has no holes")
        assert hole_in(file.fileno()) == (first, after)


def add(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def numbered(start: int, size: int, width: int) -> bytes:
    """Lines that cannot be taken for one another."""
    return b"".join(b"%0*d\n" % (width, n) for n in range(start, start + size // width + 2))[:size]


def plain(content: bytes) -> list[str]:
    lines = content.decode().split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def seen(content: bytes, first: int, after: int) -> bytes:
    return content[:first] + line_for(after - first, after=content[first - 1 : first]) + content[after:]


@in_one_folder
@given(
    head=st.integers(0, 3),
    dropped=st.integers(1, 40),
    rest=st.integers(1, 5 * BLOCK),
    width=st.sampled_from([7, 8, 31, 61, 500]),
    budget=st.sampled_from([1000, BLOCK, 1 << 20]),
)
def test_the_lines_are_those_of_the_beginning_one_and_those_of_the_end(  # noqa: PLR0917
    tmp_path: Path, head: int, dropped: int, rest: int, width: int, budget: int
) -> None:
    first, after = head * BLOCK, (head + dropped) * BLOCK
    content = numbered(0, after + rest, width)
    path = tmp_path / "output.log"
    path.write_bytes(content)
    drop(path, first, after)
    expected = plain(seen(content, first, after))
    with LogFile(path) as log:
        log.refresh(budget)
        while not log.complete:
            log.refresh(budget)
        assert log.line_count == len(expected)
        assert log.read_lines(0, log.line_count) == expected
        for start in range(0, len(expected), EVERY_LINES // 2):
            assert log.read_lines(start, start + 3) == expected[start : start + 3]
        for count in (1, 3, len(expected)):
            assert log.tail(count) == expected[-count:]


@in_one_folder
@given(moves=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3 * BLOCK)), min_size=1, max_size=8))
def test_a_hole_that_grows_while_it_is_read(tmp_path: Path, moves: list[tuple[int, int]]) -> None:
    path = tmp_path / "output.log"
    content = numbered(0, 30 * BLOCK, 16)
    path.write_bytes(content)
    first = after = 2 * BLOCK
    with LogFile(path) as log:
        log.refresh()
        for blocks, grown in moves:
            content += numbered(len(content), grown, 16)
            add(path, content[path.stat().st_size :])
            if after + blocks * BLOCK < len(content) - BLOCK and blocks:
                after += blocks * BLOCK
                era = log.era
                drop(path, first, after)
                assert not any("\0" in line for line in log.read_lines(0, log.line_count))
                assert log.era != era
            log.refresh()
            expected = plain(seen(content, first, after) if after > first else content)
            assert log.read_lines(0, log.line_count) == expected
            assert log.tail(5) == expected[-5:]


def test_a_gigabyte_that_was_dropped_costs_nothing_to_index(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    with path.open("wb") as file:
        file.write(b"first\n" + b"x" * (BLOCK - 7) + b"\n")
        file.seek(1 << 30)
        file.write(b"last but one\nlast\n")
    with LogFile(path) as log:
        log.refresh(budget_bytes=1 << 16)
        assert log.complete
        shown = log.read_lines(0, 9)
        assert (shown[0], shown[2:]) == (
            "first",
            ["... 1.0 GB of output dropped here ...", "last but one", "last"],
        )
        assert log.tail(2) == ["last but one", "last"]


# --- the command that follows ----------------------------------------------------------------------------


def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    return capfdbinary.readouterr().out


def test_the_command_prints_the_line_in_the_place_of_what_was_dropped(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "output.log"
    content = numbered(0, 50 * BLOCK, 10)
    path.write_bytes(content)
    drop(path, 2 * BLOCK, 40 * BLOCK)
    printer = _Printer(path, raw=True)
    printer.print_new()
    printer.close()
    assert printed(capfdbinary) == seen(content, 2 * BLOCK, 40 * BLOCK)


def test_a_follower_that_kept_up_misses_nothing_and_a_slow_one_is_told(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "output.log"
    content = numbered(0, 20 * BLOCK, 10)
    path.write_bytes(content)
    printer = _Printer(path, raw=True)
    printer.print_new()
    drop(path, 2 * BLOCK, 10 * BLOCK)
    more = numbered(5000, 30 * BLOCK, 10)
    add(path, more)
    printer.print_new()
    assert printed(capfdbinary) == content + more
    end = len(content) + len(more)
    late = numbered(9000, 20 * BLOCK, 10)
    add(path, late)
    after = end // BLOCK * BLOCK + 5 * BLOCK
    drop(path, 2 * BLOCK, after)
    printer.print_new()
    printer.close()
    missed = after - end
    assert printed(capfdbinary) == line_for(missed, after=more[-1:]) + late[missed:]


@pytest.mark.parametrize("count", [0, 1, 5, 10_000])
def test_the_last_lines_of_it(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], count: int
) -> None:
    path = tmp_path / "output.log"
    content = numbered(0, 50 * BLOCK, 10) + b"\n"
    path.write_bytes(content)
    drop(path, 2 * BLOCK, 40 * BLOCK)
    printer = _Printer(path, raw=True)
    printer.skip_to_last(count)
    printer.print_new()
    printer.close()
    after = content[40 * BLOCK :]
    expected = after.splitlines(keepends=True)[-count:] if count else []
    if count > len(expected):
        expected = [line_for(38 * BLOCK), after]
    assert printed(capfdbinary) == b"".join(expected)
