"""A month of the SOP's calendar."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass

DUE_DAY = 30  # the SOP's "30 setiap bulan"
DECEMBER = 12


@dataclass(frozen=True, order=True)
class Period:
    """One month; printed as 2026-11."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read ``2026-11``; raises ValueError on anything else."""
        match = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", text)
        if not match:
            raise ValueError(f"expected a month such as 2026-11, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, day: dt.date) -> Period:
        return cls(day.year, day.month)

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02}"

    @property
    def first(self) -> dt.date:
        return dt.date(self.year, self.month, 1)

    @property
    def last(self) -> dt.date:
        return self.first.replace(day=calendar.monthrange(self.year, self.month)[1])

    @property
    def due(self) -> dt.date:
        """The 30th, or the last day of a month that has none."""
        return self.first.replace(day=min(DUE_DAY, self.last.day))

    def back(self, months: int) -> Period:
        """The month so many before this one."""
        index = self.year * DECEMBER + self.month - 1 - months
        return Period(index // DECEMBER, index % DECEMBER + 1)
