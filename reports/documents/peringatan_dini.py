"""D1, Konfigurasi dan Log Peringatan Dini: what may pass, who watches, what was warned of, and what
a person judged of it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from compliance.evidence import parse_time
from inputs.occurrences import Occurrence
from reports import words
from reports.assess import Assessment, Result
from reports.documents import daftar_periksa, frame, runs, tables
from reports.documents.parts import DASH, Cell, Column, Row, Section, Sheet, Table

CODE = "D1"
FILE = "D1-peringatan-dini"
TEMPLATE = "sheet.html.j2"
FIGURES = "warnings_nothing_waits"  # the control whose measurement has the month's figures

EVENTS = {
    "login": "Masuk SSH",
    "login_refused": "Masuk SSH ditolak",
    "web_login_refused": "Masuk ke situs web ditolak",
    "login_guessed": "Masuk SSH setelah berulang kali ditolak",
    "sudo_refused": "Hak root ditolak",
    "crossing_refused": "Sambungan antarzona ditolak di gerbang",
    "host_refused": "Sambungan ditolak oleh mesin tujuan",
    "spoofed": "Alamat pengirim palsu",
    "crowded": "Terlalu banyak sambungan",
}
WARNINGS = {
    "login_refused": "Percobaan masuk SSH berulang kali ditolak",
    "web_login_refused": "Percobaan masuk ke situs web berulang kali ditolak",
    "login_guessed": "Berhasil masuk SSH setelah berulang kali ditolak",
    "sudo_refused": "Hak root diminta dan ditolak",
    "scan": "Pemindaian jaringan",
    "insistence": "Sambungan yang sama terus-menerus ditolak",
    "spoofed": "Alamat pengirim palsu",
    "crowded": "Terlalu banyak sambungan dari satu alamat",
}
JUDGED = {
    "incident": "Insiden",
    "harmless": "Wajar",
    "false_alarm": "Salah deteksi",
    "exercise": "Latihan",
}
Data = Mapping[str, Any]


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    watchers = [r for r in a.results if r.control.id == FIGURES and _counted(r)]
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Konfigurasi dan Log Peringatan Dini",
            "Pengamanan Jaringan dan Deteksi Gangguan",
            [("Mengetahui,", "kabag"), (frame.place(a), "operator")],
        ),
        summary=_summary(a, watchers),
        sections=(
            _flows(a),
            _warnings(a, watchers),
            _events(watchers),
            Section(
                "kontrol",
                "Kontrol jaringan, deteksi dan peringatan",
                (runs.key(a),),
                (daftar_periksa.table(a, a.catalogue.by_step[CODE]),),
            ),
        ),
    )


def _counted(result: Result) -> bool:
    return bool(result.asked and "events" in result.asked.measured)


def _figures(watchers: Sequence[Result], name: str) -> list[Data]:
    return [row for r in watchers if r.asked for row in r.asked.measured[name]]


def _summary(a: Assessment, watchers: Sequence[Result]) -> str:
    if a.empty:
        return (
            "Tidak ada pemeriksaan lengkap yang tersimpan untuk bulan ini; kejadian dan peringatan "
            "tidak diketahui."
        )
    if not watchers:
        return (
            "Server log tidak menjawab pertanyaan tentang peringatan dini bulan ini; kejadian dan "
            "peringatan tidak diketahui."
        )
    found = _figures(watchers, "warnings")
    number = sum(r.asked.measured["warnings_count"] for r in watchers if r.asked)
    events = sum(row["count"] for row in _figures(watchers, "events"))
    open_ones = sum(row["name"] not in a.judged for row in found)
    judged = f"{open_ones} belum dinilai" if open_ones else "semuanya sudah dinilai"
    listed = f" ({len(found)} terbaru tercantum)" if number > len(found) else ""
    told = f"{number} peringatan{listed}, {judged}" if number else "tidak ada peringatan"
    return f"{words.number(events)} kejadian tercatat sampai pemeriksaan terakhir: {told}."


def _flows(a: Assessment) -> Section:
    """The matrix, as people wrote it; a flow past its review is red."""
    rows = []
    for flow in a.network.flows:
        over = flow.review < a.day
        owner = a.court.people.get(flow.owner)
        rows.append(
            Row(
                (
                    Cell(flow.id),
                    Cell(", ".join(flow.sources)),
                    Cell(", ".join(flow.targets)),
                    Cell(", ".join(flow.services)),
                    Cell(flow.why, (owner.name if owner else flow.owner,)),
                    Cell(
                        words.date(flow.review),
                        ("Lewat waktu",) if over else (),
                        "fail" if over else "",
                    ),
                )
            )
        )
    columns = (
        Column("Aliran", 10),
        Column("Dari", 17),
        Column("Ke", 16),
        Column("Layanan", 17),
        Column("Alasan dan penanggung jawab", 26),
        Column("Tinjau ulang", 14),
    )
    shut = words.listed(sorted(a.network.isolated))
    intro = "Yang tidak tercantum ditolak di gerbang, untuk IPv4 dan IPv6."
    if shut:
        intro += f" Dari zona {shut} tidak ada jalan ke mesin pengadilan."
    return Section(
        "matriks",
        "Matriks aliran jaringan",
        (intro,),
        (Table("Aliran yang diizinkan", columns, tuple(rows)),) if rows else (),
        empty="Inventaris tidak memuat matriks aliran.",
    )


def _events(watchers: Sequence[Result]) -> Section:
    """By kind, zone and week; and where most of them came from."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in _figures(watchers, "events"):
        counted[row["kind"], row["zone"], row["week"]] += row["count"]
    weeks = sorted({week for _, _, week in counted})
    kinds = sorted({(kind, zone) for kind, zone, _ in counted}, key=_in_order)
    rows = (
        Row(
            (
                Cell(EVENTS.get(kind, kind)),
                Cell(zone or DASH),
                *(Cell(words.number(counted[kind, zone, week])) for week in weeks),
                Cell(words.number(sum(counted[kind, zone, week] for week in weeks))),
            )
        )
        for kind, zone in kinds
    )
    columns = (
        Column("Kejadian", 34),
        Column("Zona asal", 12),
        *(Column(f"Mulai {_day(week)}", 44 // len(weeks), number=True) for week in weeks),
        Column("Jumlah", 10, number=True),
    )
    sources = tuple(
        Row((Cell(row["source"]), Cell(row["zone"] or DASH), Cell(words.number(row["count"]))))
        for row in sorted(_figures(watchers, "sources"), key=lambda r: (-r["count"], r["source"]))
    )
    most = Table(
        "Sumber penolakan terbanyak",
        (Column("Sumber", 50), Column("Zona asal", 30), Column("Ditolak", 20, number=True)),
        sources,
    )
    return Section(
        "kejadian",
        "Kejadian menurut jenis dan minggu",
        (
            "Yang ditolak aturan jaringan dicatat dengan batas, sehingga jumlah sebenarnya dapat "
            "lebih besar.",
        ),
        (Table("Kejadian bulan ini", columns, tuple(rows)), *([most] if sources else []))
        if counted
        else (),
        empty="Tidak ada kejadian yang diketahui bulan ini.",
    )


def _in_order(pair: tuple[str, str]) -> tuple[int, str, str]:
    kind, zone = pair
    return list(EVENTS).index(kind) if kind in EVENTS else len(EVENTS), kind, zone


def _day(week: str) -> str:
    return f"{dt.date.fromisoformat(week):%d-%m}"


def _warnings(a: Assessment, watchers: Sequence[Result]) -> Section:
    """Each warning and what a person judged of it; one that nobody judged is red."""
    labels = runs.labels(a)
    rows = tuple(
        _warning(a, row, tables.evidence(result, labels))
        for result in watchers
        if result.asked
        for row in sorted(result.asked.measured["warnings"], key=lambda w: w["opened"])
    )
    columns = (
        Column("Nomor", 13),
        Column("Peringatan dan sumber", 26),
        Column("Waktu", 16),
        Column("Kejadian", 9, number=True),
        Column("Terkirim", 12),
        Column("Penilaian", 24),
    )
    return Section(
        "peringatan",
        "Peringatan dan penilaiannya",
        ("Penilaian dicatat oleh petugas; yang belum dinilai tercetak merah.",),
        (Table("Peringatan bulan ini", columns, rows),) if rows else (),
        empty="Tidak ada peringatan yang diketahui bulan ini.",
    )


def _warning(a: Assessment, warning: Data, evidence: str) -> Row:
    tz = a.court.tz
    zone = f" (zona {warning['zone']})" if warning["zone"] else ""
    hosts = f"Terlihat pada {words.listed(warning['hosts'])}"
    began, last = (words.day_and_hour(parse_time(warning[at]), tz) for at in ("opened", "last"))
    sent: Cell = Cell("Belum terkirim", tone="unknown")
    if warning["sent"]:
        sent = Cell(words.day_and_hour(parse_time(warning["sent"]), tz))
    return Row(
        (
            Cell(warning["name"], (f"Tingkat {warning['grade']}", evidence)),
            Cell(
                WARNINGS.get(warning["kind"]) or warning["kind"],
                (f"{warning['subject']}{zone}", hosts),
            ),
            Cell(began, (f"sampai {last}",) if last != began else ()),
            Cell(words.number(warning["count"])),
            sent,
            _judgement(a, a.judged.get(warning["name"])),
        )
    )


def _judgement(a: Assessment, found: Occurrence | None) -> Cell:
    if not found:
        return Cell("Belum dinilai", tone="fail")
    who = f"{a.court.people[found.by].name}, {words.day_and_hour(found.at, a.court.tz)}"
    return Cell(JUDGED[found.judged], (found.note, who))
