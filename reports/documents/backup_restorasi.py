"""D7, Berita Acara Backup dan Restorasi: which archives there are, what was restored and what came
back, and what was copied to a disk. Who holds that disk, and where, is a person's word."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from reports import words
from reports.assess import Assessment, Result
from reports.documents import daftar_periksa, frame, runs, tables
from reports.documents.parts import DASH, Cell, Column, Row, Section, Sheet, Table
from reports.period import Period

CODE = "D7"
FILE = "D7-backup-restorasi"
TEMPLATE = "sheet.html.j2"
FAMILY = "backup"
# What it is made of: controls, and the name under which each measured it by machine.
ARCHIVES = ("backup_fresh", "kept")
CHECKS = ("backup_checked", "checks")
RESTORES = ("backup_restored", "restores")
COPIES = ("backup_offline_copy", "copies")
SECOND = ("backup_second_copy", "second")
Data = Mapping[str, Any]


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    ours = [control for control in a.catalogue if control.family == FAMILY]
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Berita Acara Backup dan Restorasi",
            "Pencadangan dan Uji Pulih Data",
            [("Mengetahui,", "kabag"), (frame.place(a), "operator")],
        ),
        summary=_summary(a),
        sections=(
            _archives(a),
            _restores(a),
            _second(a),
            _off_the_network(a),
            daftar_periksa.section(a, "Kontrol pencadangan", ours),
        ),
    )


def sources(a: Assessment, what: tuple[str, str]) -> Iterator[tuple[str, Any, Result]]:
    """What a backup server said of each machine."""
    control, key = what
    for result in a.of_control(control).values():
        for name, told in sorted(result.measured.get(key, {}).items()):
            yield name, told, result


def _tries(a: Assessment) -> list[tuple[str, Data, Result]]:
    """This month's restores, the oldest first."""
    found = [
        (name, record, result)
        for name, records, result in sources(a, RESTORES)
        for record in records
        if Period.of(_day(a, record["kept"])) == a.period
    ]
    return sorted(found, key=lambda one: one[1]["kept"])


def _day(a: Assessment, seconds: float) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, a.court.tz).date()


def _summary(a: Assessment) -> str:
    if a.empty:
        return (
            "Tidak ada pemeriksaan lengkap yang tersimpan untuk bulan ini; keadaan cadangan tidak "
            "diketahui."
        )
    archives, tries = list(sources(a, ARCHIVES)), _tries(a)
    same = sum(not record["wrong"] for _, record, _ in tries)
    kept = (
        f"Arsip {len(archives)} perangkat diketahui."
        if archives
        else "Arsip yang tersimpan tidak diketahui."
    )
    tried = (
        f"Uji pulih bulan ini: {len(tries)}, yang hasilnya sama dengan aslinya: {same}."
        if tries
        else "Tidak ada uji pulih yang tercatat bulan ini."
    )
    return f"{kept} {tried}"


def _archives(a: Assessment) -> Section:
    """Each machine's archives, as the repository has them."""
    labels = runs.labels(a)
    checks = {name: told for name, told, _ in sources(a, CHECKS)}
    rows = tuple(
        Row(
            (
                Cell(name),
                Cell(told["newest"], (f"ID {told['id'][:16]}…",)),
                Cell(words.decimal(told["hours"])),
                Cell(words.number(told["archives"])),
                Cell(words.size(told["bytes"])),
                _checked(checks.get(name)),
                Cell(tables.evidence(result, labels)),
            )
        )
        for name, told, result in sources(a, ARCHIVES)
    )
    columns = (
        Column("Sumber", 12),
        Column("Arsip terbaru", 29),
        Column("Umur (jam)", 9, number=True),
        Column("Arsip", 8, number=True),
        Column("Repositori", 12, number=True),
        Column("Diperiksa", 21),
        Column("Bukti", 9),
    )
    return Section(
        "arsip",
        "Arsip yang tersimpan",
        (
            "Menurut repositori di peladen cadangan, bukan menurut mesin yang dicadangkan. ID "
            "adalah sidik kriptografis arsip.",
        ),
        (Table("Arsip tiap perangkat", columns, rows),) if rows else (),
        empty="Tidak ada arsip yang diketahui.",
    )


def _checked(told: Data | None) -> Cell:
    if not told:
        return Cell(DASH)
    return Cell(_ago(told["days"]), (f"seluruh isi: {_ago(told['data'])}",))


def _ago(days: float) -> str:
    return f"{words.decimal(days)} hari lalu" if days >= 1 else "kurang dari sehari lalu"


def _restores(a: Assessment) -> Section:
    """What was tried on another host; what didn't come back as it was is red."""
    labels = runs.labels(a)
    rows = tuple(
        _restore(a, name, record, tables.evidence(result, labels))
        for name, record, result in _tries(a)
    )
    columns = (
        Column("Sumber", 14),
        Column("Waktu", 14),
        Column("Arsip", 25),
        Column("Dipulihkan", 23),
        Column("Hasil", 24),
    )
    return Section(
        "uji-pulih",
        "Uji pulih",
        (
            "Arsip dipulihkan di mesin lain, hanya dengan kunci yang dititipkan kepada "
            "pemegangnya, lalu dibandingkan dengan sidik SHA-256 berkas dan jumlah baris basis "
            "data yang dicatat ketika arsip dibuat; aplikasinya dijalankan dan dimasuki; "
            "salinannya kemudian dimusnahkan. Di mesinnya sendiri: mesin yang hilang dipasang "
            "kembali, dan isinya dikembalikan ke tempatnya. RPO: umur arsip ketika dipulihkan. "
            "RTO: lama sampai semuanya kembali.",
        ),
        (Table("Uji pulih bulan ini", columns, rows),) if rows else (),
        empty="Tidak ada uji pulih yang tercatat bulan ini.",
    )


def where(record: Data) -> str:
    """A machine that was lost got its own back; else it was a rehearsal elsewhere."""
    return "di mesinnya sendiri" if "placed" in record else f"di {record['on']}"


def _restore(a: Assessment, name: str, record: Data, evidence: str) -> Row:
    when = dt.datetime.fromtimestamp(record["kept"], a.court.tz)
    back, figures = Cell(DASH), tuple[str, ...]()
    if "bytes" in record:
        tables_ = f"{words.number(record['tables'])} tabel, {words.number(record['rows'])} baris"
        back = Cell(
            words.size(record["bytes"]),
            (
                f"{words.number(record['files'])} berkas dibandingkan",
                *((tables_,) if record["tables"] else ()),
                *_started(record.get("application")),
            ),
        )
    if "rto_minutes" in record:
        figures = (
            f"RPO {words.decimal(record['rpo_hours'])} jam",
            f"RTO {words.decimal(record['rto_minutes'])} menit",
        )
    if record["wrong"]:
        result = Cell("Berbeda atau gagal", (tables.plain(record["wrong"][0]), *figures), "fail")
    else:
        result = Cell("Sama", figures, "pass")
    return Row(
        (
            Cell(name, (evidence,)),
            Cell(words.day_and_hour(when, a.court.tz), (where(record),)),
            Cell(
                record.get("archive") or DASH,
                (f"ID {record['id'][:16]}…",) if record.get("id") else (),
            ),
            back,
            result,
        )
    )


def _started(application: Data | None) -> tuple[str, ...]:
    if not application:
        return ()
    return (f"{application['name']} dijalankan, masuk sebagai {application['user']}",)


def _second(a: Assessment) -> Section:
    """What the second site says of itself, beside what this server sent there last."""
    labels = runs.labels(a)
    found = [one for one in sources(a, SECOND) if one[1].get("list")]
    rows = tuple(_at_second(a, *one, labels) for one in found)
    columns = (
        Column("Sumber", 14),
        Column("Dikirim terakhir", 21),
        Column("Isi", 28),
        Column("Menurut tempat kedua", 37),
    )
    places = {
        r.measured["place"] for r in a.of_control(SECOND[0]).values() if "place" in r.measured
    }
    return Section(
        "tempat-kedua",
        "Salinan kedua di tempat lain",
        (
            "Setiap malam peladen cadangan mengirim isi repositori ke tempat kedua, yang menyimpan "
            "setiap berkas menurut sidik SHA-256-nya dan tidak dapat disuruh menghapusnya.",
            *(f"Tempat kedua menurut inventaris: {place}." for place in sorted(places)),
        ),
        (Table("Salinan kedua", columns, rows),) if rows else (),
        empty="Tidak ada salinan kedua yang diketahui.",
    )


def _at_second(
    a: Assessment, name: str, told: Data, result: Result, labels: Mapping[str, str]
) -> Row:
    sent = told["record"]
    when = dt.datetime.fromtimestamp(sent["kept"], a.court.tz)
    read = dt.datetime.fromtimestamp(sent["read"], a.court.tz)
    same = told["sha256"] == sent["sha256"] and not told["missing"]
    return Row(
        (
            Cell(name, (tables.evidence(result, labels),)),
            Cell(
                words.day_and_hour(when, a.court.tz),
                (f"{words.size(sent['sent'])} dalam {words.decimal(sent['minutes'])} menit",),
            ),
            Cell(
                f"{words.number(sent['archives'])} arsip, {words.size(told['bytes'])}",
                (f"terbaru {sent['newest']}",),
            ),
            Cell(
                "Lengkap" if same else "Tidak lengkap, atau lain",
                (
                    f"{words.number(told['files'])} berkas, daftar {told['list']}",
                    f"dibaca ulang {words.day_and_hour(read, a.court.tz)}, "
                    f"berubah {words.number(sent['bad'])}",
                ),
                "pass" if same else "fail",
            ),
        )
    )


def _off_the_network(a: Assessment) -> Section:
    """What the server wrote and read back, and who says that he holds it; no name is red."""
    labels = runs.labels(a)
    copied: dict[str, list[tuple[str, Data, Result]]] = {}
    for name, records, result in sources(a, COPIES):
        for record in records:
            copied.setdefault(record["name"], []).append((name, record, result))
    month = {n: parts for n, parts in copied.items() if _of_the_month(a, parts)}
    # In a month without a copy it matters how old the last one is.
    shown = month or dict(sorted(copied.items())[-1:])
    rows = tuple(_copied(a, name, parts, labels) for name, parts in sorted(shown.items()))
    columns = (
        Column("Salinan", 17),
        Column("Isi", 29),
        Column("Media", 24),
        Column("Tempat dan pemegang", 30),
    )
    plugged = any(r.measured.get("plugged") for r in a.of_control(COPIES[0]).values())
    return Section(
        "luar-jaringan",
        "Salinan di luar jaringan",
        (
            "Isi repositori disalin ke disk yang dipasang untuk itu, lalu dibaca ulang dari disk "
            "dan dibandingkan sidik SHA-256-nya. Tempat dan pemegang disk adalah keterangan "
            "petugas, bukan hasil pemeriksaan mesin.",
            *(("Ketika diperiksa, disk masih terpasang di peladen cadangan.",) if plugged else ()),
        ),
        (Table("Salinan bulan ini" if month else "Salinan terakhir", columns, rows),)
        if rows
        else (),
        empty="Tidak ada salinan di luar jaringan yang diketahui.",
    )


def _of_the_month(a: Assessment, parts: list[tuple[str, Data, Result]]) -> bool:
    return any(Period.of(_day(a, record["kept"])) == a.period for _, record, _ in parts)


def _copied(
    a: Assessment,
    name: str,
    parts: list[tuple[str, Data, Result]],
    labels: Mapping[str, str],
) -> Row:
    """One time that a disk was written, with all whose repositories went onto it."""
    records = [record for _, record, _ in parts]
    when = dt.datetime.fromtimestamp(max(r["kept"] for r in records), a.court.tz)
    disk, known = records[0]["disk"], a.copies.get(name)
    system = f"{disk['fstype']}, UUID {disk['uuid'] or DASH}"
    return Row(
        (
            Cell(
                words.day_and_hour(when, a.court.tz), (name, tables.evidence(parts[0][2], labels))
            ),
            Cell(
                words.listed([source for source, _, _ in parts]),
                (
                    f"{words.number(sum(r['archives'] for r in records))} arsip, "
                    f"{words.size(sum(r['bytes'] for r in records))}",
                    f"{words.number(sum(r['files'] for r in records))} berkas dibaca ulang",
                ),
            ),
            Cell(known.medium if known else disk["label"] or DASH, (system,)),
            Cell(known.place, (f"dipegang {_person(a, known.holder)}", f"dicatat {known.by}"))
            if known
            else Cell("Pemegang belum dicatat", tone="fail"),
        )
    )


def _person(a: Assessment, key: str) -> str:
    return a.court.people[key].name if key in a.court.people else key
