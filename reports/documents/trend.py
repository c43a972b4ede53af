"""C9's section on the months: a picture and its table."""

from __future__ import annotations

from collections.abc import Sequence

from compliance.verdict import State
from reports import words
from reports.assess import Share
from reports.documents.parts import DASH, Bar, Cell, Column, Picture, Row, Section, Table

MONTHS = 12
BAR, HEIGHT = 44, 84  # a bar's pitch and greatest height, in the picture's units


def section(trend: Sequence[Share]) -> Section:
    rows = tuple(
        Row(
            (
                Cell(words.month(s.period)),
                Cell(_share(s)),
                *(Cell(words.number(n) if s.due else DASH) for n in _counts(s)),
            )
        )
        for s in trend
    )
    columns = (
        Column("Bulan", 24),
        Column("Sesuai dari yang berlaku", 18, number=True),
        Column("Sesuai", 12, number=True),
        Column("Tidak Sesuai", 12, number=True),
        Column("Dikecualikan", 12, number=True),
        Column("Belum dinilai", 12, number=True),
        Column("Tidak Berlaku", 10, number=True),
    )
    return Section(
        "kecenderungan",
        "Kecenderungan",
        picture=_picture(trend),
        tables=(Table("Bagian yang Sesuai, bulan demi bulan", columns, rows),),
    )


def _share(s: Share) -> str:
    if not s.due:
        return "tanpa bukti"
    return words.percent(s.passed, s.applying) if s.applying else DASH


def _counts(s: Share) -> tuple[int, ...]:
    unknown = sum(s.states.get(x, 0) for x in (State.ERROR, State.UNREACHABLE, State.NOT_RUN))
    failed, waived, no_matter = (
        s.states.get(x, 0) for x in (State.FAIL, State.WAIVED, State.NOT_APPLICABLE)
    )
    return s.passed, failed, waived, unknown, no_matter


def _picture(trend: Sequence[Share]) -> Picture:
    bars = []
    for index, s in enumerate(trend):
        height = round(HEIGHT * s.passed / s.applying, 2) if s.applying else 0.0
        month = words.short_month(s.period)
        last = index == len(trend) - 1
        bars.append(Bar(index * BAR, round(HEIGHT - height, 2), height, _share(s), month, last))
    said = ", ".join(f"{words.month(s.period)} {b.label}" for s, b in zip(trend, bars, strict=True))
    title = "Bagian pemeriksaan yang Sesuai setiap bulan"
    return Picture(title, f"{title}: {said}.", BAR * max(len(bars), 6), tuple(bars))
