"""Tables that documents share: a host's results and answers, and waivers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from compliance.verdict import State
from reports import words
from reports.assess import Assessment, Result
from reports.documents import runs
from reports.documents.parts import DASH, STATE_TONES, Cell, Column, Row, Table

LONGEST = 180  # characters of a measured value in print; the evidence has all of it


def of_state(state: State) -> Cell:
    return Cell(state.printed, tone=STATE_TONES[state])


def evidence(result: Result, labels: Mapping[str, str]) -> str:
    """R2:14, the line on which this result rests."""
    return f"{labels[result.asked.run]}:{result.asked.line}" if result.asked else DASH


def measured(values: Mapping[str, Any]) -> str:
    """What was measured: name = value, cut to what a reader can use."""
    return _cut("; ".join(f"{name} = {_shown(value)}" for name, value in sorted(values.items())))


def answer(result: Result) -> Cell:
    """What the host answered: the measured values, and what the test says of a bad one."""
    if not result.asked:
        return Cell(cause(result))
    message = _cut(plain(result.asked.message))
    values = measured(result.asked.measured)
    if result.state is State.PASS or not message:
        return Cell(values or message or DASH)
    return Cell(values, (message,)) if values else Cell(message)


def cause(result: Result) -> str:
    """Why there is no verdict."""
    if not result.asked:
        return "Belum pernah ditanyakan bulan ini"
    return _cut(plain(result.asked.message)) or DASH


def host_table(assessment: Assessment, host: str) -> Table:
    """Every control that is due on a host."""
    labels, tz = runs.labels(assessment), assessment.court.tz
    rows = (
        Row(
            (
                Cell(r.control.title, (r.control.id,)),
                of_state(r.state),
                answer(r),
                Cell(words.day_and_hour(r.asked.at, tz) if r.asked else DASH),
                Cell(evidence(r, labels)),
            )
        )
        for r in assessment.of_host(host)
    )
    columns = (
        Column("Kontrol", 36),
        Column("Hasil", 15),
        Column("Terukur", 29),
        Column("Waktu", 12),
        Column("Bukti", 8),
    )
    return Table(f"Hasil setiap kontrol pada {host}", columns, tuple(rows))


def waivers(assessment: Assessment, idle: Iterable[object]) -> Table:
    """Waivers that were in force in the month, with their people and end."""
    people, day, unused = assessment.court.people, assessment.day, list(idle)
    rows = []
    for w in assessment.waivers.all:
        if w.granted > day or w.expires < assessment.period.first:
            continue
        left = (w.expires - day).days
        rest = f"{left} hari lagi" if left >= 0 else "sudah berakhir"
        hosts = words.listed(sorted(w.hosts))
        notes = ("Tidak terpakai bulan ini",) if w in unused else ()
        rows.append(
            Row(
                (
                    Cell(w.control, (hosts,)),
                    Cell(w.reason, notes),
                    Cell(people[w.owner].name),
                    Cell(people[w.approver].name),
                    Cell(words.date(w.expires), (rest,)),
                )
            )
        )
    columns = (
        Column("Kontrol dan perangkat", 24),
        Column("Alasan", 28),
        Column("Penanggung jawab", 17),
        Column("Disetujui oleh", 17),
        Column("Berakhir", 14),
    )
    return Table("Pengecualian yang berlaku pada bulan ini", columns, tuple(rows))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "ya" if value else "tidak"
    if value is None:
        return "(tidak ada)"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "(kosong)"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_shown(v)}" for k, v in sorted(value.items())) or "(kosong)"
    return plain(str(value)) or "(kosong)"


def plain(text: str) -> str:
    """On one line, without what no font can print."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
