"""D5's plan for a disaster (disaster recovery program): what comes back in which order, from where,
by whose keys, and what of it was ever tried. All of it is from the month's answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from reports import words
from reports.assess import Assessment
from reports.documents import frame
from reports.documents.backup_restorasi import ARCHIVES, COPIES, RESTORES, SECOND, sources, where
from reports.documents.parts import DASH, Cell, Column, Row, Section, Table

ESCROW = "backup_escrow_opens"
# Each needs those before it: no zone reaches another without the gateway, nothing comes back
# without the archives, and nobody sees what happens without the log.
ORDER = (
    ("gateways", "Gerbang antar-zona"),
    ("backup_servers", "Peladen cadangan"),
    ("log_servers", "Peladen log"),
    ("websites", "Situs web"),
    ("servers", "Peladen lain"),
    ("endpoints", "Komputer kerja"),
)
LAST = "Perangkat lain"
Data = Mapping[str, Any]


def sections(a: Assessment) -> tuple[Section, ...]:
    """The order, and the keys without which it ends after the first line."""
    return (_order(a), _keys(a))


def _order(a: Assessment) -> Section:
    archives = {name: (told, r.host) for name, told, r in sources(a, ARCHIVES)}
    tried = {name: records for name, records, _ in sources(a, RESTORES)}
    rows = []
    for number, (what, host) in enumerate(_ranked(a), 1):
        groups = a.estate[host]
        rows.append(
            Row(
                (
                    Cell(str(number)),
                    Cell(host, (what,)),
                    _from(a, host, "backup_servers" in groups, archives.get(host)),
                    _how("backup_servers" in groups, host in archives),
                    _proven(a, tried.get(host, [])),
                )
            )
        )
    columns = (
        Column("No.", 6, number=True),
        Column("Perangkat", 20),
        Column("Isinya dari", 29),
        Column("Langkah", 25),
        Column("Terbukti", 20),
    )
    who = a.catalogue.sop.performers["operator"]
    return Section(
        "rencana-pemulihan",
        "Rencana pemulihan: urutan",
        (
            f"Dilaksanakan oleh {who}. Bila beberapa perangkat hilang, dipulihkan menurut urutan "
            "ini. Setelan setiap perangkat berasal dari inventaris dan peran Tameng; yang "
            "dicadangkan adalah isinya. Terbukti hanya yang benar-benar pernah dipulihkan dan "
            "hasilnya sama.",
        ),
        (Table("Urutan pemulihan", columns, tuple(rows)),) if rows else (),
        empty="Tidak ada perangkat yang diketahui.",
    )


def _ranked(a: Assessment) -> Iterator[tuple[str, str]]:
    """What a machine is, and its name."""
    left = sorted(host for host, groups in a.estate.items() if "managed" in groups)
    for group, what in ORDER:
        ours = [host for host in left if group in a.estate[host]]
        yield from ((what, host) for host in ours)
        left = [host for host in left if host not in ours]
    yield from ((LAST, host) for host in left)


def _from(a: Assessment, host: str, keeps: bool, archive: tuple[Data, str] | None) -> Cell:
    if keeps:
        return _elsewhere(a, host)
    if not archive:
        return Cell("Tidak dicadangkan", ("hanya setelannya yang kembali",))
    told, server = archive
    return Cell(told["newest"], (f"umur {words.decimal(told['hours'])} jam", f"di {server}"))


def _elsewhere(a: Assessment, host: str) -> Cell:
    """The newest copies that this backup server made: at the second site, and on a disk."""
    second, disk = _second(a, host), _disk(a, host)
    if not second and not disk:
        return Cell("Belum ada salinan", ("arsip hilang bersama peladen ini",), "fail")
    first, *more = [*second, *disk]
    return Cell(first, tuple(more))


def _second(a: Assessment, host: str) -> tuple[str, ...]:
    sent = [
        told["record"]["kept"]
        for _, told, result in sources(a, SECOND)
        if result.host == host and told.get("list")
    ]
    if not sent:
        return ()
    place = a.of_control(SECOND[0])[host].measured["place"]
    # The oldest of them: all others have come at least as far.
    when = dt.datetime.fromtimestamp(min(sent), a.court.tz)
    return (f"Tempat kedua, {words.day_and_hour(when, a.court.tz)}", place)


def _disk(a: Assessment, host: str) -> tuple[str, ...]:
    records = [
        one for _, records, result in sources(a, COPIES) for one in records if result.host == host
    ]
    if not records:
        return ()
    last = max(records, key=lambda one: float(one["kept"]))
    known = a.copies.get(last["name"])
    when = dt.datetime.fromtimestamp(last["kept"], a.court.tz)
    where = (known.place, f"pemegang: {known.holder}") if known else ("pemegang belum dicatat",)
    return (f"Disk luar jaringan, {words.day_and_hour(when, a.court.tz)}", *where)


def _how(keeps: bool, saved: bool) -> Cell:
    if keeps:
        return Cell("Pasang Debian, lalu bawa salinan", ("tameng apply", "docs/how-to/disaster.md"))
    if saved:
        return Cell("Pasang Debian", ("tameng apply", "docs/how-to/disaster.md"))
    return Cell("Pasang Debian", ("tameng apply",))


def _proven(a: Assessment, records: list[Data]) -> Cell:
    good = [one for one in records if not one["wrong"]]
    if not good:
        return Cell("Belum terbukti", tone="unknown")
    when = dt.datetime.fromtimestamp(good[-1]["kept"], a.court.tz)
    return Cell(
        f"Isinya, {words.day_and_hour(when, a.court.tz)}",
        (f"dalam {words.decimal(good[-1]['rto_minutes'])} menit", where(good[-1])),
        "pass",
    )


def _keys(a: Assessment) -> Section:
    """Who can open the archives, as each escrow says by itself."""
    rows = []
    for host, result in a.of_control(ESCROW).items():
        for holder, mark in sorted(result.measured.get("holders", {}).items()):
            opened = sorted(
                name
                for name, tags in result.measured.items()
                if name != "holders" and isinstance(tags, list) and mark in tags
            )
            rows.append(
                Row(
                    (
                        Cell(_person(a, holder), (holder,)),
                        Cell(words.listed(opened) if opened else DASH, (f"di {host}",)),
                        Cell(frame.BLANK[:14]),
                    )
                )
            )
    columns = (
        Column("Pemegang kunci", 34),
        Column("Membuka arsip milik", 42),
        Column("Tempat cetakan kertas", 24),
    )
    return Section(
        "rencana-kunci",
        "Rencana pemulihan: kunci",
        (
            "Satu pemegang cukup untuk membuka titipan frasa sandi; tanpa salah seorang dari "
            "mereka tidak ada arsip yang dapat dibaca. Tempat cetakan diisi dengan tangan.",
        ),
        (Table("Pemegang kunci arsip", columns, tuple(rows)),) if rows else (),
        empty="Tidak ada pemegang kunci yang diketahui.",
    )


def _person(a: Assessment, key: str) -> str:
    return a.court.people[key].name if key in a.court.people else key
