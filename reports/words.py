"""How documents write dates, numbers and names: Indonesian, as Indonesian offices do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from reports.period import Period

MONTHS = [
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
]
DAYS = ["Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"]
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]
ZONES = {7: "WIB", 8: "WITA", 9: "WIT"}


def month(period: Period) -> str:
    """November 2026."""
    return f"{MONTHS[period.month - 1]} {period.year}"


def short_month(period: Period) -> str:
    """Nov 26."""
    return f"{MONTHS[period.month - 1][:3]} {period.year % 100:02}"


def date(day: dt.date) -> str:
    """22 November 2026."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def weekday(day: dt.date) -> str:
    """Senin … Minggu."""
    return DAYS[day.weekday()]


def moment(at: dt.datetime, tz: ZoneInfo) -> str:
    """22 November 2026 pukul 18.30 WITA."""
    here = at.astimezone(tz)
    return f"{date(here.date())} pukul {here:%H.%M} {zone(here)}"


def short_moment(at: dt.datetime, tz: ZoneInfo) -> str:
    """22-11-2026 18.30."""
    return f"{at.astimezone(tz):%d-%m-%Y %H.%M}"


def day_and_hour(at: dt.datetime, tz: ZoneInfo) -> str:
    """22-11 16.30: where the year goes without saying."""
    return f"{at.astimezone(tz):%d-%m %H.%M}"


def zone(here: dt.datetime) -> str:
    """WIB, WITA or WIT; anywhere else the zone's own short name."""
    offset = here.utcoffset()
    hours = offset.total_seconds() / 3600 if offset is not None else 0
    return ZONES.get(int(hours), here.tzname() or "")


def nip(digits: str) -> str:
    """19681010 199403 1 021."""
    return f"{digits[:8]} {digits[8:14]} {digits[14]} {digits[15:]}"


def number(value: int) -> str:
    """12.345."""
    return f"{value:,}".replace(",", ".")


def decimal(value: float) -> str:
    """1.234,5; without a part that is nothing."""
    whole, tenths = divmod(round(value * 10), 10)
    return f"{number(whole)},{tenths}" if tenths else number(whole)


def size(count: int) -> str:
    """532 B, 1,4 MiB: of so many bytes."""
    value, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, bigger
    return f"{decimal(value)} {unit}"


def percent(part: int, whole: int) -> str:
    """97,3%. Cut off, never rounded up: only all of it is 100%."""
    tenths = part * 1000 // whole
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths // 10},{tenths % 10}%"


def listed(names: Sequence[str]) -> str:
    """app, backup dan pc-1."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} dan {names[-1]}"
