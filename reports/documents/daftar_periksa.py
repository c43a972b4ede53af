"""C3, Daftar Periksa: every control with what is expected, the result, and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from compliance.catalogue import Control
from compliance.verdict import State
from reports import words
from reports.assess import Assessment, Result, count
from reports.documents import frame, runs, tables
from reports.documents.parts import DASH, STATE_TONES, Cell, Column, Row, Section, Sheet, Table
from reports.findings import decisions

CODE = "C3"
FILE = "C3-daftar-periksa"
TEMPLATE = "sheet.html.j2"

# A control's result in one word is the worst of its hosts', in this order.
WORST_FIRST = (
    State.FAIL,
    State.ERROR,
    State.UNREACHABLE,
    State.NOT_RUN,
    State.WAIVED,
    State.PASS,
    State.NOT_APPLICABLE,
)


def build(a: Assessment) -> Sheet:
    """Put the assessment into words."""
    exceptions = tables.waivers(a, decisions(a).unused)
    return Sheet(
        frame=frame.build(
            a,
            CODE,
            "Daftar Periksa",
            "Jaminan Kualitas Perangkat Lunak dan Perangkat Keras",
            [("Mengetahui,", "kabag"), (frame.place(a), "kasubbag")],
        ),
        summary=_summary(a),
        sections=(
            section(a, "Kontrol, harapan, hasil dan bukti", list(a.catalogue)),
            Section(
                "pengecualian",
                "Pengecualian",
                tables=(exceptions,) if exceptions.rows else (),
                empty="Tidak ada pengecualian yang berlaku pada bulan ini.",
            ),
        ),
    )


def _summary(a: Assessment) -> str:
    if a.empty:
        return (
            "Tidak ada pemeriksaan lengkap yang tersimpan untuk bulan ini; seluruh kontrol di "
            "bawah tercatat Tidak Diperiksa."
        )
    counts = [f"{words.number(n)} {state.printed}" for state, n in a.states.items()]
    hosts = {r.host for r in a.results}
    return (
        f"{len(a.catalogue.controls)} kontrol pada {len(hosts)} perangkat, "
        f"{words.number(len(a.results))} pemeriksaan: {words.listed(counts)}."
    )


def section(a: Assessment, title: str, controls: Sequence[Control]) -> Section:
    """What was asked of these controls, and the key to where the answers are kept."""
    return Section("kontrol", title, (runs.key(a),), (_table(a, controls),))


def _table(a: Assessment, controls: Sequence[Control]) -> Table:
    """A row for each of these controls, by family."""
    labels = runs.labels(a)
    by_control = {c.id: [r for r in a.results if r.control is c] for c in controls}
    rows = []
    for family, members in groupby(controls, key=lambda c: c.family):
        rows.append(Row((Cell(f"Keluarga {family}"),), group=True))
        rows += [_row(c, by_control[c.id], labels) for c in members]
    columns = (
        Column("Kontrol", 25),
        Column("Harapan", 27),
        Column("Hasil", 27),
        Column("Bukti", 21),
    )
    return Table("Daftar periksa menurut keluarga kontrol", columns, tuple(rows))


def _row(control: Control, results: Sequence[Result], labels: dict[str, str]) -> Row:
    marks = (f"Keparahan {control.severity} · SOP {', '.join(control.sop)}",)
    if not results:
        result = Cell("Tidak ada perangkat", tone="none")
        return Row((Cell(control.id, marks), Cell(control.title), result, Cell(DASH)))
    worst = next(state for state in WORST_FIRST if state in {r.state for r in results})
    spread = tuple(
        f"{state.printed} ({n}): {words.listed([r.host for r in results if r.state is state])}"
        for state, n in count(results).items()
    )
    references = ", ".join(
        f"{NORMS[norm]} {', '.join(at)}" for norm, at in control.references.items()
    )
    return Row(
        (
            Cell(control.id, marks),
            Cell(control.title, (references,)),
            Cell(worst.printed, spread, STATE_TONES[worst]),
            Cell(_evidence(results, labels)),
        )
    )


NORMS = {
    "cis_debian13": "CIS Debian 13",
    "cis_debian12": "CIS Debian 12",
    "anssi_bp028": "ANSSI BP-028",
    "iso27001": "ISO 27001",
    "bssn_4_2021": "BSSN 4/2021 Ps.",
    "cis_v8": "CIS v8",
}


def _evidence(results: Sequence[Result], labels: dict[str, str]) -> str:
    """R1:3, 9-12; R2:14 … the lines of each audit."""
    lines: dict[str, list[int]] = {}
    for r in results:
        if r.asked:
            lines.setdefault(labels[r.asked.run], []).append(r.asked.line)
    in_order = sorted(lines.items(), key=lambda item: int(item[0][1:]))
    return "; ".join(f"{run}:{_ranges(sorted(at))}" for run, at in in_order) or DASH


def _ranges(numbers: Sequence[int]) -> str:
    """3, 9-12."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{s[0]}-{s[-1]}" if len(s) > 1 else str(s[0]) for s in spans)
