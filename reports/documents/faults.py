"""C9's sections on what is wrong: findings, what came back, what could not be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from compliance.verdict import State
from reports import words
from reports.assess import Assessment, Result
from reports.documents import tables
from reports.documents.parts import Cell, Column, Row, Section, Table
from reports.findings import Finding, Return


def findings(a: Assessment, found: Sequence[Finding]) -> Section:
    rows = []
    for severity, group in groupby(found, key=lambda f: f.control.severity):
        rows.append(Row((Cell(f"Keparahan {severity}"),), group=True))
        rows += [_finding_row(finding) for finding in group]
    columns = (
        Column("Temuan", 34),
        Column("Perangkat dan yang terukur", 36),
        Column("Tindak lanjut", 30),
    )
    table = Table("Temuan menurut keparahan", columns, tuple(rows))
    return Section(
        "temuan",
        "Temuan dan tindak lanjut",
        tables=(table,) if rows else (),
        empty="Tidak ada yang diperiksa, sehingga tidak ada temuan yang dapat dinyatakan."
        if a.empty
        else "Tidak ada temuan bulan ini.",
    )


def _finding_row(finding: Finding) -> Row:
    control = finding.control
    hosts_by_answer: dict[Cell, list[str]] = {}
    for result in finding.failed:
        hosts_by_answer.setdefault(tables.answer(result), []).append(result.host)
    answers = [
        f"{words.listed(hosts)}: {'. '.join([answer.text, *answer.notes])}"
        for answer, hosts in hosts_by_answer.items()
    ]
    role = f"Peran {control.enforced_by}; langkah SOP {words.listed(control.sop)}"
    return Row(
        (
            Cell(control.title, (control.id,), "fail"),
            Cell(answers[0], tuple(answers[1:])),
            Cell(control.remedy, (role,)),
        )
    )


def returned(a: Assessment, returned: Sequence[Return]) -> Section:
    rows = []
    for item in returned:
        control, host = item.result.control, item.result.host
        if item.kind == "again" and item.since:
            how = Cell("Kembali salah", (f"terakhir Sesuai {words.date(item.since)}",))
        else:
            how = Cell("Berulang", (f"bulan ke-{item.months + 1} berturut-turut",))
        rows.append(Row((Cell(control.title, (control.id,)), Cell(host), how)))
    columns = (Column("Kontrol", 56), Column("Perangkat", 16), Column("Riwayat", 28))
    table = Table("Temuan yang kembali atau berulang", columns, tuple(rows))
    return Section(
        "kembali",
        "Temuan yang kembali dan berulang",
        tables=(table,) if rows else (),
        empty="Tidak ada bukti bulan ini untuk dibandingkan."
        if a.empty
        else "Tidak ada temuan yang kembali atau berulang dari bulan sebelumnya.",
    )


def unjudged(a: Assessment) -> Section:
    unknown = a.in_state(State.ERROR, State.UNREACHABLE, State.NOT_RUN)

    def where(r: Result) -> tuple[str, State]:
        return r.host, r.state

    rows = []
    for (host, state), group in groupby(sorted(unknown, key=where), key=where):
        items = list(group)
        rows.append(
            Row(
                (
                    Cell(host),
                    tables.of_state(state),
                    _causes(items),
                    Cell(words.number(len(items))),
                )
            )
        )
    columns = (
        Column("Perangkat", 16),
        Column("Keadaan", 20),
        Column("Sebab", 50),
        Column("Kontrol", 14, number=True),
    )
    table = Table("Kontrol yang belum dapat dinilai, menurut perangkat", columns, tuple(rows))
    return Section(
        "belum-dinilai",
        "Yang belum dapat dinilai",
        ("Yang tidak terjawab tidak pernah dihitung Sesuai.",) if rows else (),
        (table,) if rows else (),
        empty="Semua yang jatuh tempo terjawab.",
    )


def _causes(items: Sequence[Result]) -> Cell:
    """The commonest cause, and how many others there are: the annex has them all."""
    causes = Counter(tables.cause(r) for r in items)
    common = causes.most_common(1)[0][0]
    others = len(causes) - 1
    return Cell(common, (f"dan {others} sebab lain, lihat lampiran",) if others else ())
