"""Months and their due day."""

from __future__ import annotations

import datetime as dt

import pytest

from reports.period import Period


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "11-2026", "2026-11-01", "", "1926-11"]
)
def test_only_a_month_is_a_period(text: str) -> None:
    with pytest.raises(ValueError, match="expected a month such as 2026-11"):
        Period.parse(text)


@pytest.mark.parametrize(
    ("period", "day"), [("2026-11", 30), ("2026-12", 30), ("2026-02", 28), ("2028-02", 29)]
)
def test_due_on_the_30th_or_the_last_day(period: str, day: int) -> None:
    """The SOP says "30 setiap bulan"; February has none."""
    assert Period.parse(period).due.day == day


def test_months_back_cross_the_year() -> None:
    assert [str(Period(2026, 2).back(n)) for n in (0, 1, 2, 14)] == [
        "2026-02",
        "2026-01",
        "2025-12",
        "2024-12",
    ]
    assert Period(2026, 12).back(-1) == Period.of(dt.date(2027, 1, 31))
