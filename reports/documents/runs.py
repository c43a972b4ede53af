"""The runs that a document rests on: their labels, what they mean, and their tables."""

from __future__ import annotations

from compliance.evidence import Run
from reports import words
from reports.assess import Assessment
from reports.documents.frame import commit
from reports.documents.parts import DASH, Cell, Column, Row, Table
from reports.history import began, ended


def labels(assessment: Assessment) -> dict[str, str]:
    """R1, R2 … for the month's complete audits, oldest first."""
    return {run.id: f"R{n}" for n, run in enumerate(assessment.month.audits, 1)}


def key(assessment: Assessment) -> str:
    """What R1, R2 … stand for, of those on which a result rests: the last to ask a question counts,
    and a month may have many."""
    if assessment.empty:
        return "Tidak ada pemeriksaan lengkap yang menjadi bukti."
    used = {result.asked.run for result in assessment.results if result.asked}
    named = [f"{label} = {run}" for run, label in labels(assessment).items() if run in used]
    runs = "; ".join(named)
    return f"Rn:12 berarti baris 12 berkas verdicts.jsonl pada pemeriksaan Rn. {runs}."


def audits(assessment: Assessment) -> Table:
    """The audits that the document rests on, and those that count for nothing."""
    label, tz = labels(assessment), assessment.court.tz
    rows = [
        Row(
            (
                Cell(label[run.id], (run.id,)),
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
