"""What was seen of the network, as the early warning's book and the hosts' journals were measured:
parts of C2 and D1."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from compliance.evidence import parse_time
from inputs.records import Occurrence
from reports import words
from reports.assess import Assessment, Result
from reports.documents import runs, tables
from reports.documents.parts import DASH, Cell, Column, Row, Section, Table

FIGURES = "warnings_nothing_waits"  # the control whose measurement has the month's figures

EVENTS = {
    "login": "Masuk SSH",
    "login_refused": "Masuk SSH ditolak",
    "web_login_refused": "Masuk ke situs web ditolak",
    "login_guessed": "Masuk SSH setelah berulang kali ditolak",
    "sudo_refused": "Hak root ditolak",
    "login_banned": "Alamat diblokir setelah salah masuk SSH",
    "web_login_banned": "Alamat diblokir setelah salah masuk ke situs web",
    "zone_banned": "Alamat diblokir di gerbang",
    "crossing_refused": "Sambungan antarzona ditolak di gerbang",
    "host_refused": "Sambungan ditolak oleh mesin tujuan",
    "spoofed": "Alamat pengirim palsu",
    "crowded": "Terlalu banyak sambungan",
    "scan_seen": "Pemindaian port terdeteksi",
    "sweep_seen": "Penyisiran mesin terdeteksi",
    "guesses_seen": "Percobaan masuk beruntun terdeteksi",
    "tunnel_seen": "Tanda terowongan DNS terdeteksi",
    "lateral_seen": "Berbagi berkas atau desktop jarak jauh dari zona terisolasi",
    "flood_seen": "Banjir sambungan terdeteksi",
    "router_seen": "Pengumuman router IPv6 palsu",
    "malware_found": "Berkas berbahaya ditemukan dan dikarantina",
    "malware_left": "Berkas berbahaya ditemukan, belum dikarantina",
    "malware_test": "Uji antivirus (EICAR)",
    "grave_seen": "Pola serangan (aturan luar)",
    "odd_seen": "Pola mencurigakan (aturan luar)",
    "archives_vanished": "Arsip cadangan hilang atau bertanggal palsu",
    "archives_changed": "Isi cadangan berubah luar biasa (tanda ransomware)",
    "backup_failed": "Cadangan terlambat, rusak, atau tidak dapat diperiksa",
    "run_failed": "Pencadangan gagal pada mesinnya sendiri",
}
WARNINGS = {
    "login_refused": "Percobaan masuk SSH berulang kali ditolak",
    "web_login_refused": "Percobaan masuk ke situs web berulang kali ditolak",
    "login_guessed": "Berhasil masuk SSH setelah berulang kali ditolak",
    "sudo_refused": "Hak root diminta dan ditolak",
    "scan": "Pemindaian jaringan",
    "sweep": "Penyisiran mesin di jaringan",
    "guessing": "Percobaan masuk beruntun ke satu mesin",
    "tunnel": "Tanda terowongan DNS",
    "lateral": "Berbagi berkas atau desktop jarak jauh dicoba dari zona terisolasi",
    "flood": "Banjir sambungan ke satu alamat",
    "router": "Pengumuman router IPv6 palsu",
    "malware": "Berkas berbahaya ditemukan dan dikarantina",
    "malware_left": "Berkas berbahaya ditemukan, belum dapat dikarantina",
    "intrusion": "Pola serangan menurut aturan luar",
    "oddity": "Pola mencurigakan menurut aturan luar",
    "archives": "Arsip cadangan hilang atau bertanggal palsu",
    "archives_changed": "Isi cadangan berubah luar biasa (tanda ransomware)",
    "backup": "Cadangan terlambat, rusak, atau tidak dapat diperiksa",
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


def watchers(a: Assessment) -> list[Result]:
    """The results that have the month's figures."""
    return [
        r for r in a.results if r.control.id == FIGURES and r.asked and "events" in r.asked.measured
    ]


def figures(watchers: Sequence[Result], name: str) -> list[Data]:
    """All rows of that name that they measured."""
    return [row for r in watchers if r.asked for row in r.asked.measured[name]]


def summary(a: Assessment, watchers: Sequence[Result]) -> str:
    """In a sentence; what nobody knows is not zero."""
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
    found = figures(watchers, "warnings")
    number = sum(r.asked.measured["warnings_count"] for r in watchers if r.asked)
    events = sum(row["count"] for row in figures(watchers, "events"))
    open_ones = sum(row["name"] not in a.judged for row in found)
    judged = f"{open_ones} belum dinilai" if open_ones else "semuanya sudah dinilai"
    listed = f" ({len(found)} terbaru tercantum)" if number > len(found) else ""
    told = f"{number} peringatan{listed}, {judged}" if number else "tidak ada peringatan"
    return f"{words.number(events)} kejadian tercatat sampai pemeriksaan terakhir: {told}."


def events(watchers: Sequence[Result]) -> Section:
    """By kind, zone and week; and where most of them came from."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in figures(watchers, "events"):
        counted[row["kind"], row["zone"], row["week"]] += row["count"]
    weeks = sorted({week for _, _, week in counted})
    kinds = sorted(
        {(kind, zone) for kind, zone, _ in counted}, key=lambda pair: (in_order(pair[0]), pair[1])
    )
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
        for row in sorted(figures(watchers, "sources"), key=lambda r: (-r["count"], r["source"]))
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


def warnings(a: Assessment, watchers: Sequence[Result]) -> Section:
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


def in_order(kind: str) -> tuple[int, str]:
    """As they are listed above; what isn't comes last."""
    return list(EVENTS).index(kind) if kind in EVENTS else len(EVENTS), kind


def _day(week: str) -> str:
    return f"{dt.date.fromisoformat(week):%d-%m}"


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
