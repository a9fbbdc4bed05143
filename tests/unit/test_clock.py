"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage_secrets.clock import format_duration, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_what_is_formatted_parses_back_to_whole_seconds(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == timedelta(seconds=int(length.total_seconds()))


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90d", 90 * 86_400), ("1h30m", 5_400), ("1d2h3m4s", 93_784), ("90m", 5_400)]
)
def test_a_length_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1.5h", "30m1h", "1h ", "1 h", "1w", "٣h", "1H"])
def test_what_is_no_length_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not a length of time") as caught:
        parse_duration(text)
    assert "1h30m" in caught.value.hint


def test_a_length_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="too long"):
        parse_duration("99999999999d")


@pytest.mark.parametrize(
    ("length", "parts", "text"),
    [
        (timedelta(0), 4, "0s"),
        (timedelta(seconds=0.9), 4, "0s"),
        (timedelta(days=3, hours=4, minutes=30), 2, "3d4h"),
        (timedelta(days=3, minutes=30), 1, "3d"),
        (timedelta(seconds=-90), 4, "-1m30s"),
    ],
)
def test_a_length_is_written_with_its_largest_units(length: timedelta, parts: int, text: str) -> None:
    assert format_duration(length, parts=parts) == text


def test_the_present_knows_its_zone() -> None:
    assert utc_now().tzinfo is UTC
