"""C9's sections on the SOP's steps: how each conforms, and how much of what is due was answered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from compliance.verdict import State
from reports import steps, words
from reports.assess import Assessment
from reports.documents.parts import (
    DASH,
    TIMING_TONES,
    WORD_TONES,
    Cell,
    Column,
    Row,
    Section,
    Table,
)


def conformity(a: Assessment, by_step: Sequence[steps.StepResult]) -> Section:
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
    aside = {"dikecualikan": State.WAIVED, "tidak berlaku": State.NOT_APPLICABLE}
    notes = tuple(f"{s.states[x]} {word}" for word, x in aside.items() if s.states.get(x))
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


def coverage(a: Assessment) -> Section:
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
