"""C2, Rekap Pola Akses: who came and who was refused, how that compares with the months before,
whom the hosts shut out, and what a person judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reports import words
from reports.assess import Assessment, Result
from reports.documents import daftar_periksa, frame, runs, tables, watched
from reports.documents.parts import DASH, Cell, Column, Row, Section, Sheet, Table
from reports.history import Month
from reports.period import Period

CODE = "C2"
FILE = "C2-rekap-pola-akses"
TEMPLATE = "sheet.html.j2"
BANS = "bans_noted"  # the control whose measurement has the month's bans of each host
MONTHS = 5  # before this one
LISTED = 5  # addresses of a host
Counts = Mapping[str, int]  # by kind of event


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    watchers = watched.watchers(a)
    guards = [r for r in a.results if r.control.id == BANS]
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Rekap Pola Akses",
            "Pemantauan Akses dan Transaksi yang Berpotensi Mengganggu Jaringan",
            [("Mengetahui,", "kabag"), (frame.place(a), "operator")],
        ),
        summary=_summary(a, watchers, guards),
        sections=(
            _trend(a, watchers),
            watched.events(watchers),
            _blocked(a, guards),
            watched.warnings(a, watchers),
            daftar_periksa.section(a, "Kontrol pemantauan dan deteksi", a.catalogue.by_step[CODE]),
        ),
    )


def _summary(a: Assessment, watchers: Sequence[Result], guards: Sequence[Result]) -> str:
    told = watched.summary(a, watchers)
    if a.empty:
        return told
    counted = [r for r in guards if _counted(r)]
    bans = sum(r.asked.measured["bans_count"] for r in counted if r.asked)
    silent = len(guards) - len(counted)
    unknown = f"; {silent} perangkat belum dihitung" if silent else ""
    number = f"{words.number(bans)} pemblokiran" if bans else "tidak ada pemblokiran"
    return f"{told} Pada {len(counted)} perangkat tercatat {number}{unknown}."


def _trend(a: Assessment, watchers: Sequence[Result]) -> Section:
    """This month beside those before; a month that nobody counted has no zeros."""
    before = list(_before(a))
    now: Counter[str] = Counter()
    for row in watched.figures(watchers, "events"):
        now[row["kind"]] += row["count"]
    months: list[tuple[Period, Counts | None]] = [*before, (a.period, now if watchers else None)]
    known = [counts for _, counts in before if counts is not None]
    kinds = sorted({kind for _, counts in months for kind in counts or ()}, key=watched.in_order)
    rows = tuple(
        Row(
            (
                Cell(watched.EVENTS.get(kind, kind)),
                *(Cell(DASH if c is None else words.number(c.get(kind, 0))) for _, c in months),
                _change(now[kind], [counts.get(kind, 0) for counts in known], bool(watchers)),
            )
        )
        for kind in kinds
    )
    columns = (
        Column("Kejadian", 34),
        *(Column(words.short_month(p), 48 // len(months), number=True) for p, _ in months),
        Column("Terhadap rata-rata", 18, number=True),
    )
    return Section(
        "kecenderungan",
        "Kecenderungan",
        (
            "Rata-rata dihitung dari bulan-bulan sebelumnya yang memiliki bukti; bulan tanpa bukti "
            f"ditandai {DASH}. Setiap bulan dihitung sampai pemeriksaan terakhirnya.",
        ),
        (Table("Kejadian bulan demi bulan", columns, rows),) if rows else (),
        empty="Tidak ada kejadian yang diketahui, bulan ini maupun sebelumnya.",
    )


def _before(a: Assessment) -> Iterator[tuple[Period, Counts | None]]:
    """The months before, oldest first, from the first that was counted on."""
    months = [a.period.back(n) for n in range(MONTHS, 0, -1)]
    counted = [(p, _counts(a.before.get(p, Month(p)))) for p in months]
    while counted and counted[0][1] is None:
        del counted[0]
    yield from counted


def _counts(month: Month) -> Counts | None:
    """By kind, as the month's last verdicts measured it; None where nobody did."""
    measured = [
        asked.measured["events"]
        for (control, _), asked in month.latest.items()
        if control == watched.FIGURES and "events" in asked.measured
    ]
    counts: Counter[str] = Counter()
    for row in (row for rows in measured for row in rows):
        counts[row["kind"]] += row["count"]
    return counts if measured else None


def _change(now: int, before: Sequence[int], known: bool) -> Cell:
    """How this month differs from the mean of those before, in whole per cents."""
    total = sum(before)
    if not known or not before:
        return Cell(DASH)
    if not total:
        return Cell("baru" if now else "tetap")
    change = (now * len(before) * 100 - total * 100) // total
    if not change:
        return Cell("tetap")
    return Cell(f"{'naik' if change > 0 else 'turun'} {words.number(abs(change))}%")


def _blocked(a: Assessment, guards: Sequence[Result]) -> Section:
    """Whom each host shut out, as its own journal tells; a host that didn't answer is named."""
    labels = runs.labels(a)
    rows = tuple(
        Row(
            (
                Cell(r.host),
                _number(r),
                Cell(_addresses(r)),
                Cell(tables.evidence(r, labels)),
            )
        )
        for r in guards
    )
    columns = (
        Column("Perangkat", 20),
        Column("Pemblokiran", 18, number=True),
        Column("Alamat terbanyak", 50),
        Column("Bukti", 12),
    )
    return Section(
        "pemblokiran",
        "Yang diblokir",
        ("Setiap pemblokiran berakhir dengan sendirinya; alamat pengelola tidak pernah diblokir.",),
        (Table("Pemblokiran bulan ini", columns, rows),) if rows else (),
        empty="Tidak ada perangkat yang ditetapkan untuk memblokir.",
    )


def _counted(result: Result) -> bool:
    return bool(result.asked and "bans_count" in result.asked.measured)


def _number(result: Result) -> Cell:
    if result.asked and _counted(result):
        return Cell(words.number(result.asked.measured["bans_count"]))
    answered = result.asked and result.asked.answered
    return Cell("Tidak dihitung" if answered else result.state.printed, tone="unknown")


def _addresses(result: Result) -> str:
    if not result.asked or not _counted(result):
        return DASH
    bans = result.asked.measured["bans"]
    named = [f"{ban['address']} ({words.number(ban['count'])})" for ban in bans[:LISTED]]
    return ", ".join(named) or DASH
