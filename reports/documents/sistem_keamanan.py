"""D5, Sistem Keamanan: the antivirus of each host, what it found, what was decided about it, and
the plan for a disaster. Of the step's other part, the risks, this document says nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compliance.evidence import parse_time
from reports import words
from reports.assess import Assessment, Result
from reports.documents import daftar_periksa, frame, recovery, runs, tables
from reports.documents.parts import DASH, Cell, Column, Row, Section, Sheet, Table
from reports.history import Month
from reports.period import Period

CODE = "D5"
FILE = "D5-sistem-keamanan"
TEMPLATE = "sheet.html.j2"
FAMILY = "antivirus"
# The controls whose measurements it is made of.
ENGINE = "antivirus_running"
SIGNATURES = "antivirus_signatures_fresh"
SCAN = "antivirus_scanned"
FOUND = "antivirus_noted"
WAITING = "antivirus_quarantine_decided"
MONTHS = 5  # before this one
DECIDED = {"release": "Dikembalikan", "delete": "Dihapus"}
BY = {"access": "saat dibuka", "scan": "pemindaian"}
LEFT = {"the quarantine is full": "Karantina penuh", "the disk is full": "Diska penuh"}
Data = Mapping[str, Any]


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    ours = [control for control in a.catalogue if control.family == FAMILY]
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Sistem Keamanan",
            "Antivirus dan Rencana Pemulihan",
            [("Mengetahui,", "kabag"), (frame.place(a), "kasubbag")],
        ),
        summary=_summary(a),
        sections=(
            _engines(a),
            _months(a),
            _found(a),
            *recovery.sections(a),
            daftar_periksa.section(a, "Kontrol antivirus", ours),
        ),
    )


def _summary(a: Assessment) -> str:
    if a.empty:
        return (
            "Tidak ada pemeriksaan lengkap yang tersimpan untuk bulan ini; keadaan antivirus tidak "
            "diketahui."
        )
    told = [r.measured for r in a.of_control(FOUND).values()]
    counted = [values for values in told if "found_count" in values]
    number = sum(values["found_count"] for values in counted)
    waiting = sum(r.measured.get("waiting", 0) for r in a.of_control(WAITING).values())
    silent = len(told) - len(counted)
    return (
        f"Pada {len(counted)} perangkat tercatat "
        f"{f'{words.number(number)} temuan' if number else 'tidak ada temuan'}"
        f"{f', {words.number(waiting)} belum diputuskan' if waiting else ''}"
        f"{f'; {silent} perangkat belum dihitung' if silent else ''}."
    )


def _engines(a: Assessment) -> Section:
    """What a host didn't tell stays unknown; without ClamAV's own signatures they are partial."""
    labels, engines = runs.labels(a), a.of_control(ENGINE)
    scans, signatures = a.of_control(SCAN), a.of_control(SIGNATURES)
    rows = []
    for host, result in engines.items():
        fresh, scan = _told(signatures, host), _told(scans, host)
        engine = result.measured.get("engine")
        partial = "files" in fresh and not fresh.get("official")
        rows.append(
            Row(
                (
                    Cell(host),
                    Cell(engine) if engine else Cell(result.state.printed, tone="unknown"),
                    Cell("Sebagian", tone="fail") if partial else _when(a, fresh.get("official")),
                    _when(a, fresh.get("updated")),
                    _when(a, scan.get("full")),
                    Cell(tables.evidence(result, labels)),
                )
            )
        )
    columns = (
        Column("Perangkat", 18),
        Column("Mesin", 20),
        Column("Tanda resmi", 18),
        Column("Diperbarui", 16),
        Column("Pemindaian penuh", 16),
        Column("Bukti", 12),
    )
    return Section(
        "antivirus",
        "Mesin antivirus dan tanda virus",
        ("Tanpa tanda resmi ClamAV hampir tidak ada yang dapat ditemukan.",),
        (Table("Antivirus tiap perangkat", columns, tuple(rows)),) if rows else (),
        empty="Tidak ada perangkat yang ditetapkan untuk dijaga antivirus.",
    )


def _told(results: Mapping[str, Result], host: str) -> Data:
    return results[host].measured if host in results else {}


def _when(a: Assessment, moment: str | None) -> Cell:
    return Cell(words.day_and_hour(parse_time(moment), a.court.tz) if moment else DASH)


def _months(a: Assessment) -> Section:
    """By host; a month in which nobody counted has no zero."""
    months: list[tuple[Period, dict[str, int | None]]]
    months = [(p, dict(_counts(a.before.get(p, Month(p))))) for p in _before(a)]
    while months and not months[0][1]:
        del months[0]
    now = {host: r.measured.get("found_count") for host, r in a.of_control(FOUND).items()}
    columns: list[tuple[Period, Mapping[str, int | None]]] = [*months, (a.period, now)]
    rows = tuple(
        Row((Cell(host), *(_number(counts.get(host)) for _, counts in columns))) for host in now
    )
    heads = (Column(words.short_month(p), 78 // len(columns), number=True) for p, _ in columns)
    return Section(
        "bulan",
        "Temuan menurut perangkat dan bulan",
        ("Setiap bulan dihitung sampai pemeriksaan terakhirnya; uji tidak dihitung.",),
        (Table("Temuan bulan demi bulan", (Column("Perangkat", 22), *heads), rows),)
        if rows
        else (),
        empty="Tidak ada temuan yang diketahui, bulan ini maupun sebelumnya.",
    )


def _before(a: Assessment) -> list[Period]:
    return [a.period.back(n) for n in range(MONTHS, 0, -1)]


def _counts(month: Month) -> Iterator[tuple[str, int]]:
    for (control, host), asked in month.latest.items():
        if control == FOUND and "found_count" in asked.measured:
            yield host, asked.measured["found_count"]


def _number(count: int | None) -> Cell:
    return Cell(DASH if count is None else words.number(count))


def _found(a: Assessment) -> Section:
    """Each finding and what a person decided; one that nobody decided about is red."""
    labels = runs.labels(a)
    rows = tuple(
        Row(
            (
                Cell(record["id"], (tables.evidence(result, labels),)),
                Cell(host, (f"milik {record['owner']}", BY.get(record["by"], record["by"]))),
                _when(a, record["at"]),
                Cell(record["found"], (record["path"], f"SHA-256 {record['sha256'][:16]}…")),
                _decided(a, record),
            )
        )
        for host, result in a.of_control(FOUND).items()
        for record in result.measured.get("found", ())
    )
    columns = (
        Column("Nomor", 15),
        Column("Perangkat", 16),
        Column("Waktu", 12),
        Column("Temuan", 35),
        Column("Keputusan", 22),
    )
    return Section(
        "temuan",
        "Temuan dan karantina",
        ("Yang belum diputuskan tercetak merah.",),
        (Table("Temuan bulan ini", columns, rows),) if rows else (),
        empty="Tidak ada temuan yang diketahui bulan ini.",
    )


def _decided(a: Assessment, record: Data) -> Cell:
    if decided := record["decided"]:
        when = words.day_and_hour(parse_time(decided["at"]), a.court.tz)
        what = DECIDED.get(decided["what"], decided["what"])
        return Cell(what, (decided["why"], f"{decided['who']}, {when}"))
    if left := str(record["left"]):
        return Cell("Belum dikarantina", (LEFT.get(left, left),), "fail")
    return Cell("Belum diputuskan", tone="fail")
