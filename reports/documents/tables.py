"""Tables that documents share: a host's results, waivers, runs, and the evidence's key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from compliance.evidence import Run
from compliance.verdict import State
from reports import words
from reports.assess import Assessment, Result
from reports.documents.frame import commit
from reports.documents.parts import DASH, STATE_TONES, Cell, Column, Row, Table
from reports.history import began, ended

LONGEST = 180  # characters of a measured value in print; the evidence has all of it


def of_state(state: State) -> Cell:
    return Cell(state.printed, tone=STATE_TONES[state])


def run_labels(assessment: Assessment) -> dict[str, str]:
    """R1, R2 … for the month's complete audits, oldest first."""
    return {run.id: f"R{n}" for n, run in enumerate(assessment.month.audits, 1)}


def key(assessment: Assessment) -> str:
    """What R1, R2 … stand for."""
    if assessment.empty:
        return "Tidak ada pemeriksaan lengkap yang menjadi bukti."
    runs = "; ".join(f"{label} = {run}" for run, label in run_labels(assessment).items())
    return f"R1:12 berarti baris 12 berkas verdicts.jsonl pada pemeriksaan R1. {runs}."


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
    message = _cut(_plain(result.asked.message))
    values = measured(result.asked.measured)
    if result.state is State.PASS or not message:
        return Cell(values or message or DASH)
    return Cell(values, (message,)) if values else Cell(message)


def cause(result: Result) -> str:
    """Why there is no verdict."""
    if not result.asked:
        return "Belum pernah ditanyakan bulan ini"
    return _cut(_plain(result.asked.message)) or DASH


def host_table(assessment: Assessment, host: str) -> Table:
    """Every control that is due on a host."""
    labels, tz = run_labels(assessment), assessment.court.tz
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


def audits(assessment: Assessment) -> Table:
    """The audits that the document rests on, and those that count for nothing."""
    labels, tz = run_labels(assessment), assessment.court.tz
    rows = [
        Row(
            (
                Cell(labels[run.id], (run.id,)),
                Cell(words.short_moment(began(run), tz), (words.short_moment(ended(run), tz),)),
                Cell(str(run.info.get("operator") or DASH)),
                Cell(commit(run)),
                Cell(run.manifest_sha256 or ""),
            )
        )
        for run in assessment.month.audits
    ]
    rows += [
        Row(
            (
                Cell("Tidak lengkap", (run.id,), "unknown"),
                Cell(words.short_moment(began(run), tz)),
                Cell(DASH),
                Cell(DASH),
                Cell("Tanpa manifes: tidak dihitung"),
            )
        )
        for run in assessment.month.incomplete
    ]
    columns = (
        Column("Pemeriksaan", 26),
        Column("Mulai dan selesai", 15),
        Column("Operator", 10),
        Column("Commit", 12),
        Column("SHA-256 manifes", 37),
    )
    return Table("Pemeriksaan bulan ini", columns, tuple(rows))


def applies(assessment: Assessment) -> Table:
    """The month's playbook runs: what was changed on the machines."""
    rows = tuple(_apply(assessment, run) for run in assessment.month.applies)
    columns = (
        Column("Penerapan", 26),
        Column("Mulai", 15),
        Column("Operator", 10),
        Column("Perangkat", 29),
        Column("Berubah", 10, number=True),
        Column("Gagal", 10, number=True),
    )
    return Table("Penerapan playbook bulan ini", columns, rows)


def _apply(assessment: Assessment, run: Run) -> Row:
    tasks = run.tasks()
    failed = sum(task.state in ("failed", "unreachable") for task in tasks)
    return Row(
        (
            Cell(run.id),
            Cell(words.short_moment(began(run), assessment.court.tz)),
            Cell(str(run.info.get("operator") or DASH)),
            Cell(words.listed(sorted({task.host for task in tasks})) or DASH),
            Cell(words.number(sum(task.changed for task in tasks))),
            Cell(words.number(failed)),
        )
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "ya" if value else "tidak"
    if value is None:
        return "(tidak ada)"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "(kosong)"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_shown(v)}" for k, v in sorted(value.items())) or "(kosong)"
    return _plain(str(value)) or "(kosong)"


def _plain(text: str) -> str:
    """On one line, without what no font can print."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
