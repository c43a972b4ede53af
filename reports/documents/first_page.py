"""The recap's first page: the month at a glance, and what the Kabag is asked to decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from compliance.verdict import State
from reports import words
from reports.assess import Assessment, applying
from reports.documents import boxes
from reports.documents.parts import DASH, WORD_TONES, Cell
from reports.findings import Decisions, Finding, Return
from reports.steps import StepResult, Word


@dataclass(frozen=True)
class Figure:
    value: str
    label: str


@dataclass(frozen=True)
class Tile:
    """One SOP step of the matrix."""

    step: str
    word: Cell
    activity: str


@dataclass(frozen=True)
class MatrixRow:
    section: str
    title: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class FirstPage:
    verdict: str
    figures: tuple[Figure, ...]
    matrix: tuple[MatrixRow, ...]
    boxes: tuple[boxes.Box, ...]


def build(
    assessment: Assessment,
    steps: Sequence[StepResult],
    findings: Sequence[Finding],
    returns: Sequence[Return],
    decisions: Decisions,
) -> FirstPage:
    return FirstPage(
        verdict=_verdict(assessment, steps, findings),
        figures=_figures(assessment),
        matrix=tuple(_matrix(assessment, steps)),
        boxes=(
            boxes.box(
                "Terlambat dan belum selesai", list(boxes.late(assessment, steps)), "bagian 1"
            ),
            boxes.box("Kembali dan berulang", list(boxes.returns(assessment, returns)), "bagian 3"),
            boxes.box(
                "Perlu keputusan", list(boxes.decisions(assessment, decisions)), "bagian 2 dan 5"
            ),
        ),
    )


def _verdict(
    assessment: Assessment, steps: Sequence[StepResult], findings: Sequence[Finding]
) -> str:
    """The month in two sentences; an empty month says so and claims nothing."""
    if assessment.empty:
        return (
            "Tidak ada pemeriksaan lengkap yang tersimpan untuk bulan ini. Tidak satu pun langkah "
            "dapat dinyatakan Sesuai."
        )
    covered = [s for s in steps if s.word is not Word.NO_CONTROL]
    good = sum(s.word is Word.CONFORMS for s in covered)
    text = (
        f"{good} dari {len(covered)} langkah SOP yang sudah memiliki kontrol dinyatakan Sesuai; "
        f"{len(steps) - len(covered)} langkah lainnya belum memiliki kontrol. "
    )
    severe = sum(f.control.severity == "tinggi" for f in findings)
    if findings:
        level = f"{severe} di antaranya" if severe else "tidak ada yang"
        text += f"Ada {len(findings)} temuan, {level} berkeparahan tinggi."
    else:
        text += "Tidak ada temuan."
    return text


def _figures(assessment: Assessment) -> tuple[Figure, ...]:
    states, due = assessment.states, applying(assessment.states)
    unknown = sum(states.get(s, 0) for s in (State.ERROR, State.UNREACHABLE, State.NOT_RUN))
    passed = states.get(State.PASS, 0)
    hosts = {r.host for r in assessment.results}
    spoke = {r.host for r in assessment.results if r.asked and r.asked.answered}
    if assessment.empty:  # a zero would read as if somebody had looked
        share = failed = waived = DASH
    else:
        share = words.percent(passed, due) if due else DASH
        failed = words.number(states.get(State.FAIL, 0))
        waived = words.number(states.get(State.WAIVED, 0))
    no_matter = states.get(State.NOT_APPLICABLE, 0)
    aside = f"; {words.number(no_matter)} lagi Tidak Berlaku" if no_matter else ""
    return (
        Figure(share, f"{words.number(passed)} dari {words.number(due)} pemeriksaan Sesuai{aside}"),
        Figure(failed, "Tidak Sesuai"),
        Figure(waived, "Dikecualikan"),
        Figure(words.number(unknown), "belum dapat dinilai"),
        Figure(f"{len(spoke)}/{len(hosts)}", "perangkat menjawab"),
    )


def _matrix(assessment: Assessment, steps: Sequence[StepResult]) -> Iterable[MatrixRow]:
    for section, group in groupby(steps, key=lambda s: s.step.id[0]):
        tiles = (Tile(s.step.id, _tile(s), s.step.activity) for s in group)
        yield MatrixRow(section, assessment.catalogue.sop.sections[section], tuple(tiles))


def _tile(step: StepResult) -> Cell:
    due = applying(step.states)
    passed = f"{step.states.get(State.PASS, 0)}/{due}" if due else ""
    return Cell(step.word, (passed,) if passed else (), WORD_TONES[step.word])
