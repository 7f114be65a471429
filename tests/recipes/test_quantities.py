"""Amounts as people type them become bytes and seconds, or one clear sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.quantities import BadQuantity, parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("600M", 600 * 1024**2),
        ("1.5G", 1536 * 1024**2),
        (" 2 gib ", 2 * 1024**3),
        ("512kb", 512 * 1024),
        ("1T", 1024**4),
        ("100", 100),
        ("100B", 100),
        (4096, 4096),
        (0.5, 0),
    ],
)
def test_bytes(text: str | float, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3m", 180),
        ("1h30m", 5_400),
        ("1h 30m 5s", 5_405),
        ("90", 90),
        ("90s", 90),
        ("1.5h", 5_400),
        ("2d", 172_800),
        (0.25, 0.25),
        (10, 10),
    ],
)
def test_seconds(text: str | float, expected: float) -> None:
    assert parse_seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "M", "6X", "-1G", "1G2", "ten", "1e3", "9" * 30, "٣G", "inf", 1 << 70]
)
def test_what_is_no_amount_of_memory_says_how_to_write_one(text: str | int) -> None:
    with pytest.raises(BadQuantity, match="600M"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "h", "5x", "-3m", "30m1h", "1:30", "9" * 19 + "d", "999999d"])
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    with pytest.raises(BadQuantity, match="1h30m"):
        parse_seconds(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True])
def test_numbers_that_are_no_amounts(value: float) -> None:
    with pytest.raises(BadQuantity):
        parse_bytes(value)
    with pytest.raises(BadQuantity):
        parse_seconds(value)


@given(st.text() | st.from_regex(r"[0-9.]{0,30}[KMGTdhms]{0,3}[0-9]{0,30}", fullmatch=True))
def test_any_text_is_an_amount_or_one_line(text: str) -> None:
    for parse in (parse_bytes, parse_seconds):
        try:
            assert 0 <= parse(text) < 2**63
        except BadQuantity as error:
            assert "\n" not in str(error) and len(str(error)) < 600


@given(st.integers(0, 10_000), st.sampled_from("KMG"))
def test_suffixes_scale(amount: int, suffix: str) -> None:
    assert parse_bytes(f"{amount}{suffix}") == amount * 1024 ** ("KMG".index(suffix) + 1)
