"""C9, Rekap Bulanan: the month's recap that the Kabag reads, decides on and signs."""

from __future__ import annotations

from dataclasses import dataclass

from reports import findings, steps, words
from reports.assess import Assessment
from reports.documents import conformity, faults, first_page, frame, runs, tables, trend
from reports.documents.first_page import FirstPage
from reports.documents.parts import (
    DASH,
    Frame,
    Section,
)

CODE = "C9"
FILE = "C9-rekap-bulanan"
TEMPLATE = "rekap_bulanan.html.j2"


@dataclass(frozen=True)
class Recap:
    """All strings of the document."""

    frame: Frame
    first: FirstPage
    sections: tuple[Section, ...]
    annex_title: str
    annex_intro: str
    annex: tuple[Section, ...]


def build(a: Assessment) -> Recap:
    """Put the assessment into words."""
    by_step = steps.steps(a)
    found = findings.findings(a.results)
    returned = findings.returned(a)
    wanted = findings.decisions(a)
    return Recap(
        frame=frame.build(
            a,
            CODE,
            "Rekap Bulanan",
            "Hasil Monitoring dan Pemeliharaan Perangkat TI",
            [("Mengetahui,", "kabag"), (frame.place(a), "operator")],
        ),
        first=first_page.build(a, by_step, found, returned, wanted),
        sections=(
            conformity.conformity(a, by_step),
            faults.findings(a, found),
            faults.returned(a, returned),
            faults.unjudged(a),
            _waivers(a, wanted),
            trend.section(a.trend[-trend.MONTHS :]),
            conformity.coverage(a),
            _runs(a),
        ),
        annex_title="Lampiran: rincian setiap perangkat",
        annex_intro=runs.key(a),
        annex=() if a.empty else tuple(_host(a, h) for h in sorted({r.host for r in a.results})),
    )


def _waivers(a: Assessment, wanted: findings.Decisions) -> Section:
    table = tables.waivers(a, wanted.unused)
    return Section(
        "pengecualian",
        "Pengecualian",
        tables=(table,) if table.rows else (),
        empty="Tidak ada pengecualian yang berlaku pada bulan ini.",
    )


def _runs(a: Assessment) -> Section:
    shown = tuple(t for t in (runs.audits(a), runs.applies(a)) if t.rows)
    return Section(
        "bukti",
        "Pelaksanaan dan bukti",
        tables=shown,
        empty="Tidak ada pemeriksaan dan tidak ada penerapan playbook yang tersimpan bulan ini.",
    )


def _host(a: Assessment, host: str) -> Section:
    groups = sorted(set(a.estate[host]) - {"all", "managed", "ungrouped"})
    asked = [r.asked for r in a.of_host(host) if r.asked]
    keys = {run.id: run.info.get("hosts", {}).get(host, {}) for run in a.month.audits}
    pinned = next(
        (k["host_key"] for k in reversed(list(keys.values())) if k.get("host_key")), "tidak ada"
    )
    intro = f"Kelompok {words.listed(groups) or DASH}. Sidik kunci host: {pinned}."
    if not asked:
        intro += " Perangkat ini belum pernah ditanyai bulan ini."
    return Section(f"perangkat-{host}", host, (intro,), (tables.host_table(a, host),))
