"""How documents write dates, numbers and names."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from reports import words
from reports.period import Period

WITA = ZoneInfo("Asia/Makassar")


def test_times_are_the_courts_own() -> None:
    """Evidence is in UTC; a reader in Penajam must see Penajam's day and hour."""
    late = dt.datetime(2026, 11, 21, 16, 30, tzinfo=dt.UTC)
    assert words.moment(late, WITA) == "22 November 2026 pukul 00.30 WITA"
    assert words.moment(late, ZoneInfo("Asia/Jakarta")).endswith("21 November 2026 pukul 23.30 WIB")
    assert words.short_moment(late, WITA) == "22-11-2026 00.30"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 1, "100%"), (9999, 10000, "99,9%"), (0, 5, "0%"), (171, 198, "86,3%"), (1, 2, "50%")],
)
def test_only_all_of_it_is_a_hundred_per_cent(part: int, whole: int, text: str) -> None:
    assert words.percent(part, whole) == text


def test_names_and_numbers() -> None:
    assert words.nip("196810101994031021") == "19681010 199403 1 021"
    assert words.number(1234567) == "1.234.567"
    assert words.listed(["app"]) == "app"
    assert words.listed(["app", "backup", "pc-1"]) == "app, backup dan pc-1"
    assert words.month(Period(2026, 8)) == "Agustus 2026"
    assert words.weekday(dt.date(2026, 11, 22)) == "Minggu"
