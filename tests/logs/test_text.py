"""What a terminal would show of a line, and nothing that could act on one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.text import MAX_LINE_CHARS, collapse, progress_of


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        (b"one\rtwo", "two"),
        (b"longer text\rshort", "shortr text"),
        (b"longer text\r\x1b[Kshort", "short"),
        (b"loss 0.5\x08\x08\x080.4", "loss 0.4"),
        (b"\x1b[1m\x1b[32m12/50\x1b[0m \x1b[37m---\x1b[0m", "12/50 ---"),
        (b"\x1b]0;owned\x07title", "title"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"a\tb", "a       b"),
        (b"\xff\xfebinary", "\ufffd\ufffdbinary"),
        ("left\u202eright".encode(), "leftright"),
        (b"bell\x07null\x00", "bellnull"),
        (b"ends in return\r", "ends in return"),
        (b"\x1b", ""),
        (b"\x1b[", ""),
    ],
)
def test_collapse(raw: bytes, shown: str) -> None:
    assert collapse(raw) == shown


def test_a_keras_progress_bar_becomes_its_last_state() -> None:
    states = [f"\r\x1b[1m{n}/3\x1b[0m \x1b[32m{'=' * n}\x1b[0m 0s loss: 0.{9 - n}" for n in (1, 2, 3)]
    assert collapse("".join(states)) == "3/3 === 0s loss: 0.6"


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_nothing_that_acts_on_a_terminal_passes(raw: bytes | str) -> None:
    shown = collapse(raw)
    assert all(unicodedata.category(char)[0] != "C" for char in shown)


@given(st.text(st.sampled_from("ab\r\b\t\x1b[0123;KGDC9"), max_size=200))
def test_moving_about_never_makes_a_line_without_bounds(raw: str) -> None:
    assert len(collapse(raw)) <= MAX_LINE_CHARS


def test_a_very_long_line_ends_with_a_mark() -> None:
    assert collapse(b"x" * 10_000).endswith(" ...")
    assert len(collapse(b"x" * 10_000)) == MAX_LINE_CHARS


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("trees 40/200  accuracy 0.94", 0.2),
        ("Epoch 3/20", 0.15),
        ("Epoch 3/20  50/100 loss 0.1", 0.125),
        ("downloading  37%", 0.37),
        ("412/642 ----", 412 / 642),
        ("2026/11/23 done", None),
        ("ratio 7/0", None),
        ("9/3", None),
        ("path /1/2/x", None),
        ("accuracy 0.94", None),
        ("", None),
    ],
)
def test_progress_is_read_only_where_it_is_said(line: str, progress: float | None) -> None:
    assert progress_of(line) == (progress if progress is None else pytest.approx(progress))
