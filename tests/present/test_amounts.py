"""Amounts and hostile text: nothing that a name holds can act on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cro_tui import present
from jobs.core.amounts import parse_duration, parse_mem
from jobs.core.jobs import GIB, MIB, Unit
from jobs.core.ports import BadInput

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\r\n\t\b\x00\x7f\u202e\u2066\u2028\u0301\u200b\ufeff字🙂"),
    ),
    max_size=80,
)


@given(NASTY, st.integers(0, 60))
def test_a_cleaned_text_is_one_printable_line_that_fits(text: str, width: int) -> None:
    cleaned = present.clean(text, width)
    assert present.cells(cleaned) <= width
    for char in cleaned:
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert char == " " or not char.isspace()


@given(NASTY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = present.clean(text)
    assert present.clean(once) == once


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain name", "plain name"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("a\nb\tc", "a b c"),
        ("a\x1b[31mb", "a[31mb"),
        ("abc\u202efdp.exe", "abcfdp.exe"),
        ("e" + "\u0301" * 50 + "x", "e\u0301\u0301x"),
        ("a" * 300, "a" * 197 + "..."),
    ],
)
def test_what_cleaning_keeps(text: str, cleaned: str) -> None:
    assert present.clean(text) == cleaned


@given(NASTY, st.integers(0, 40), st.booleans())
def test_padding_is_exact(text: str, width: int, right: bool) -> None:
    assert present.cells(present.pad(present.clean(text), width, right=right)) == width


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "-"),
        (0, "0B"),
        (1023, "1023B"),
        (2048, "2K"),
        (812 * MIB, "812M"),
        (6.2 * GIB, "6.2G"),
        (64 * GIB, "64.0G"),
        (99.97 * GIB, "100G"),
        (128 * GIB, "128G"),
        (1536 * GIB, "1.5T"),
    ],
)
def test_bytes(amount: float | None, text: str) -> None:
    assert present.bytes_text(amount) == text


@given(st.integers(MIB, 900 * 1024 * GIB))
def test_bytes_read_back_are_near_and_never_wider_than_five_cells(amount: int) -> None:
    text = present.bytes_text(amount)
    assert len(text) <= 5
    assert parse_mem(text) == pytest.approx(amount, rel=0.34 if amount < 4 * MIB else 0.13)


@given(st.integers(0, 99 * 3600))
def test_durations_have_eight_cells_and_read_back(seconds: int) -> None:
    text = present.duration_text(seconds)
    assert len(text) == 8
    hours, minutes, rest = map(int, text.split(":"))
    assert parse_duration(f"{hours}h{minutes}m{rest}s") == seconds


@given(st.floats(0, 40 * 86_400))
def test_rough_lengths_read_back_near(seconds: float) -> None:
    text = present.span_text(seconds)
    assert len(text) <= 5
    assert parse_duration(text) == pytest.approx(seconds, rel=0.26, abs=31)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8, "8s"), (59.6, "1m"), (16 * 60, "16m"), (7500, "2h05m"), (26 * 3600, "26h"), (3 * 86_400, "3d")],
)
def test_rough_lengths(seconds: float, text: str) -> None:
    assert present.span_text(seconds) == text
    assert present.estimate_text(1000 + seconds, 1000) == f"~{text}"


def test_a_missing_value_is_a_dash_and_never_zero() -> None:
    shown = [
        present.bytes_text(None),
        present.number_text(None),
        present.percent_text(None),
        present.duration_text(None),
        present.span_text(None),
        present.estimate_text(None, 0),
        present.ago(None, 0),
        present.clock_text(None, 0),
        present.amount_text(None, Unit.BYTES),
    ]
    assert shown == ["-"] * len(shown)


def test_moments() -> None:
    assert present.estimate_text(999, 1000) == "soon"
    assert present.ago(1000, 1000.2) == "just now"
    assert present.ago(1000, 1000 + 960) == "16m ago"
    assert len(present.clock_text(1_764_000_000, 1_764_000_100)) == 5
    assert len(present.clock_text(1_764_000_000, 1_764_900_000)) == 12


@pytest.mark.parametrize("text", ["", "much", "-1G", "1Q", "1e400", "nan"])
def test_what_is_no_amount_is_refused_in_one_sentence(text: str) -> None:
    for read in (parse_mem, parse_duration):
        with pytest.raises(BadInput) as caught:
            read(text)
        assert "write" in str(caught.value)
        assert "\n" not in str(caught.value)
