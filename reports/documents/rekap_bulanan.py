"""C9, Rekap Bulanan: the month's recap that the Kabag reads, decides on and signs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from compliance.verdict import State
from reports import findings, steps, words
from reports.assess import Assessment, Result, Share
from reports.documents import first_page, frame, tables
from reports.documents.first_page import FirstPage
from reports.documents.parts import (
    DASH,
    TIMING_TONES,
    WORD_TONES,
    Bar,
    Cell,
    Column,
    Frame,
    Picture,
    Row,
    Section,
    Table,
)

CODE = "C9"
FILE = "C9-rekap-bulanan"
TEMPLATE = "rekap_bulanan.html.j2"
TREND = 12  # months in the picture
BAR, HEIGHT = 44, 84  # a bar's pitch and greatest height, in the picture's units


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
            _conformity(a, by_step),
            _findings(a, found),
            _returned(a, returned),
            _unjudged(a),
            _waivers(a, wanted),
            _trend(a.trend[-TREND:]),
            _coverage(a),
            _runs(a),
        ),
        annex_title="Lampiran: rincian setiap perangkat",
        annex_intro=tables.key(a),
        annex=() if a.empty else tuple(_host(a, h) for h in sorted({r.host for r in a.results})),
    )


def _conformity(a: Assessment, by_step: Sequence[steps.StepResult]) -> Section:
    rows = []
    for section, group in groupby(by_step, key=lambda s: s.step.id[0]):
        rows.append(Row((Cell(f"{section}. {a.catalogue.sop.sections[section]}"),), group=True))
        rows += [_step_row(s) for s in group]
    off = a.court.calendar.day_off(a.period.due)
    planned = f"Langkah bulanan jatuh tempo {words.date(a.period.due)}"
    planned += f", {words.weekday(a.period.due)}" + (f" ({off})" if off else "")
    columns = (
        Column("Langkah dan aktivitas", 41),
        Column("Kesesuaian", 17),
        Column("Terjawab", 9, number=True),
        Column("Sesuai", 8, number=True),
        Column("Tidak", 7, number=True),
        Column("Selesai", 18),
    )
    intro = (
        f"{planned}. Sebuah langkah Sesuai hanya bila semua yang jatuh tempo ditanyakan dan "
        "dijawab, tidak ada yang gagal di luar pengecualian, dan sedikitnya satu Sesuai.",
    )
    table = Table("Kesesuaian setiap langkah SOP", columns, tuple(rows))
    return Section("kesesuaian", "Kesesuaian menurut langkah SOP", intro, (table,))


def _step_row(s: steps.StepResult) -> Row:
    waived = s.states.get(State.WAIVED, 0)
    notes = (f"{waived} dikecualikan",) if waived else ()
    counts = (DASH, DASH, DASH)
    if s.due:
        passed, failed = s.states.get(State.PASS, 0), s.states.get(State.FAIL, 0)
        counts = (f"{s.answered}/{s.due}", str(passed), str(failed))
    timing = Cell(DASH)
    if s.timing:
        day = (words.date(s.done),) if s.done else ()
        timing = Cell(s.timing, day, TIMING_TONES[s.timing])
    return Row(
        (
            Cell(f"{s.step.id} {s.step.activity.rstrip('. ')}"),
            Cell(s.word, notes, WORD_TONES[s.word]),
            *(Cell(text) for text in counts),
            timing,
        )
    )


def _findings(a: Assessment, found: Sequence[findings.Finding]) -> Section:
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


def _finding_row(finding: findings.Finding) -> Row:
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


def _returned(a: Assessment, returned: Sequence[findings.Return]) -> Section:
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


def _unjudged(a: Assessment) -> Section:
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


def _waivers(a: Assessment, wanted: findings.Decisions) -> Section:
    table = tables.waivers(a, wanted.unused)
    return Section(
        "pengecualian",
        "Pengecualian",
        tables=(table,) if table.rows else (),
        empty="Tidak ada pengecualian yang berlaku pada bulan ini.",
    )


def _trend(trend: Sequence[Share]) -> Section:
    rows = tuple(
        Row(
            (
                Cell(words.month(s.period)),
                Cell(words.percent(s.passed, s.due) if s.due else "tanpa bukti"),
                *(Cell(words.number(n) if s.due else DASH) for n in _counts(s)),
            )
        )
        for s in trend
    )
    columns = (
        Column("Bulan", 28),
        Column("Sesuai dari jatuh tempo", 24, number=True),
        Column("Sesuai", 12, number=True),
        Column("Tidak Sesuai", 12, number=True),
        Column("Dikecualikan", 12, number=True),
        Column("Belum dinilai", 12, number=True),
    )
    return Section(
        "kecenderungan",
        "Kecenderungan",
        picture=_picture(trend),
        tables=(Table("Bagian yang Sesuai, bulan demi bulan", columns, rows),),
    )


def _counts(s: Share) -> tuple[int, int, int, int]:
    unknown = sum(s.states.get(x, 0) for x in (State.ERROR, State.UNREACHABLE, State.NOT_RUN))
    return s.passed, s.states.get(State.FAIL, 0), s.states.get(State.WAIVED, 0), unknown


def _picture(trend: Sequence[Share]) -> Picture:
    bars = []
    for index, s in enumerate(trend):
        height = round(HEIGHT * s.passed / s.due, 2) if s.due else 0.0
        label = words.percent(s.passed, s.due) if s.due else "tanpa bukti"
        month = words.short_month(s.period)
        last = index == len(trend) - 1
        bars.append(Bar(index * BAR, round(HEIGHT - height, 2), height, label, month, last))
    said = ", ".join(f"{words.month(s.period)} {b.label}" for s, b in zip(trend, bars, strict=True))
    title = "Bagian pemeriksaan yang Sesuai setiap bulan"
    return Picture(title, f"{title}: {said}.", BAR * max(len(bars), 6), tuple(bars))


def _coverage(a: Assessment) -> Section:
    asked = {r.control.id for r in a.results if r.asked and r.asked.answered}
    answered = [r for r in a.results if r.asked and r.asked.answered]
    hosts = {r.host for r in a.results}
    spoke = {r.host for r in answered}
    outside = sorted(a.estate.keys() - hosts)
    with_control = sum(bool(controls) for controls in a.catalogue.by_step.values())
    figures = [
        ("Langkah SOP yang memiliki kontrol", with_control, len(a.catalogue.by_step)),
        ("Kontrol yang terjawab sedikitnya sekali", len(asked), len(a.catalogue.controls)),
        ("Perangkat yang menjawab", len(spoke), len(hosts)),
        ("Pemeriksaan (kontrol pada perangkat) yang terjawab", len(answered), len(a.results)),
    ]
    rows = tuple(
        Row(
            (
                Cell(label),
                Cell(words.number(part)),
                Cell(words.number(whole)),
                Cell(words.percent(part, whole) if whole else DASH),
            )
        )
        for label, part, whole in figures
    )
    notes = []
    if outside:
        notes.append(f"Perangkat tanpa satu pun kontrol: {words.listed(outside)}.")
    if a.month.gone:
        notes.append(f"Keluar dari inventaris bulan ini: {words.listed(a.month.gone)}.")
    columns = (
        Column("Yang dihitung", 58),
        Column("Diperiksa", 14, number=True),
        Column("Seluruhnya", 14, number=True),
        Column("Bagian", 14, number=True),
    )
    table = Table("Cakupan pemeriksaan bulan ini", columns, rows)
    return Section("cakupan", "Cakupan", tuple(notes), (table,))


def _runs(a: Assessment) -> Section:
    shown = tuple(t for t in (tables.audits(a), tables.applies(a)) if t.rows)
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
