"""What a terminal would show of a line, and nothing that could act on one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.records.text import MAX_LINE_CHARS, collapse, progress_of, progress_of_lines


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


def keras_line(step: int, steps: int) -> str:
    """One state of the bar, byte for byte as Keras 3 writes it to a terminal."""
    done = "━" * (20 * step // steps)
    left = "━" * (20 - len(done))
    bar = f"\x1b[1m{step:2}/{steps}\x1b[0m \x1b[32m{done}\x1b[0m\x1b[37m{left}\x1b[0m"
    return (
        f"{bar} \x1b[1m0s\x1b[0m 18us/step - accuracy: {step / steps:.4f} - loss: 0.0833" + "\b" * 71 + "\r"
    )


def test_a_keras_progress_bar_becomes_its_last_state() -> None:
    raw = "\r" + "".join(keras_line(step, 12) for step in range(1, 13))
    assert collapse(raw) == "12/12 ━━━━━━━━━━━━━━━━━━━━ 0s 18us/step - accuracy: 1.0000 - loss: 0.0833"


def test_a_tqdm_bar_becomes_its_last_state() -> None:
    raw = "\r  0%|          | 0/50 [00:00<?, ?it/s]\r 50%|█████     | 25/50 [00:01<00:01, 24.8it/s]\x1b[A"
    assert collapse(raw) == " 50%|█████     | 25/50 [00:01<00:01, 24.8it/s]"
    assert progress_of(collapse(raw)) == 0.5


@pytest.mark.parametrize(
    ("lines", "progress"),
    [
        (["Epoch 1/4"], 0.0),
        (["Epoch 1/4", "", " 6/12 ━━━ 0s - loss: 0.5"], 0.125),
        (["Epoch 1/4", "12/12 ━━━ 0s - loss: 0.5", "Epoch 3/4"], 0.5),
        (["Epoch 4/4", "12/12 ━━━ 0s - loss: 0.5", "saved"], 1.0),
        (["epoch 3/20 loss 0.3"], 0.15),
        (["Epoch 2/4", "epoch 3/20 loss 0.3"], 0.15),
        (["Epoch 9/4", "1/2"], 0.5),
        (["trees 40/200", "accuracy 0.9"], 0.2),
        (["nothing here"], None),
        ([], None),
    ],
)
def test_steps_are_a_part_of_their_round(lines: list[str], progress: float | None) -> None:
    assert progress_of_lines(lines) == (progress if progress is None else pytest.approx(progress))


@given(st.lists(st.text(st.sampled_from("Epoch 0129/%.:"), max_size=20), max_size=6))
def test_progress_is_a_share_or_nothing(lines: list[str]) -> None:
    share = progress_of_lines(lines)
    assert share is None or 0 <= share <= 1


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
