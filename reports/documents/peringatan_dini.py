"""D1, Konfigurasi dan Log Peringatan Dini: what may pass, who watches, what was warned of, and what
a person judged of it."""

from __future__ import annotations

from reports import words
from reports.assess import Assessment
from reports.documents import daftar_periksa, frame, watched
from reports.documents.parts import Cell, Column, Row, Section, Sheet, Table

CODE = "D1"
FILE = "D1-peringatan-dini"
TEMPLATE = "sheet.html.j2"


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    watchers = watched.watchers(a)
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Konfigurasi dan Log Peringatan Dini",
            "Pengamanan Jaringan dan Deteksi Gangguan",
            [("Mengetahui,", "kabag"), (frame.place(a), "operator")],
        ),
        summary=watched.summary(a, watchers),
        sections=(
            _flows(a),
            watched.warnings(a, watchers),
            watched.events(watchers),
            daftar_periksa.section(
                a, "Kontrol jaringan, deteksi dan peringatan", a.catalogue.by_step[CODE]
            ),
        ),
    )


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
