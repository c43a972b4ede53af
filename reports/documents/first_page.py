"""The recap's first page: the month at a glance, and what the Kabag is asked to decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from compliance.verdict import State
from reports import words
from reports.assess import Assessment
from reports.documents.parts import DASH, WORD_TONES, Cell
from reports.findings import Decisions, Finding, Return
from reports.steps import StepResult, Timing, Word

ITEMS = 4  # lines of a box: more would push the signatures off the page
HOSTS = 3  # names of a line
SEVERE = 2  # findings named one by one


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
class Box:
    title: str
    items: tuple[str, ...]
    more: str
    empty: str


@dataclass(frozen=True)
class FirstPage:
    verdict: str
    figures: tuple[Figure, ...]
    matrix: tuple[MatrixRow, ...]
    boxes: tuple[Box, ...]


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
            _box("Terlambat dan belum selesai", list(_late(assessment, steps)), "bagian 1"),
            _box("Kembali dan berulang", list(_returns(assessment, returns)), "bagian 3"),
            _box("Perlu keputusan", list(_decisions(assessment, decisions)), "bagian 2 dan 5"),
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
    states, due = assessment.states, len(assessment.results)
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
    return (
        Figure(share, f"{words.number(passed)} dari {words.number(due)} pemeriksaan Sesuai"),
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
    passed = f"{step.states.get(State.PASS, 0)}/{step.due}" if step.due else ""
    return Cell(step.word, (passed,) if passed else (), WORD_TONES[step.word])


def _late(assessment: Assessment, steps: Sequence[StepResult]) -> Iterable[str]:
    due = assessment.period.due
    off = assessment.court.calendar.day_off(due)
    day = f"{words.date(due)} ({words.weekday(due)}{', ' + off if off else ''})"
    open_steps = [s for s in steps if s.timing in (Timing.LATE, Timing.OPEN) and not s.done]
    untouched = [s.step.id for s in open_steps if not s.answered]
    if untouched:
        yield f"{words.listed(untouched)}: tidak satu pun terjawab, rencana {day}."
    begun = [f"{s.step.id} ({s.due - s.answered})" for s in open_steps if s.answered]
    if begun:
        yield f"Belum terjawab (jumlah): {words.listed(begun)}; rencana {day}."
    for step in steps:
        if step.timing is Timing.LATE and step.done:
            yield f"{step.step.id} selesai {words.date(step.done)}, rencana {words.date(due)}."
    by_hand = [s.step.id for s in steps if s.timing is Timing.BY_HAND]
    if by_hand:
        yield f"{words.listed(by_hand)} belum memiliki kontrol: pelaksanaannya dicatat manual."


def _returns(assessment: Assessment, returns: Sequence[Return]) -> Iterable[str]:
    if assessment.empty:
        yield "Tidak ada bukti bulan ini untuk dibandingkan."
    by_kind = sorted(returns, key=lambda r: r.kind)  # stable: the catalogue's order within a kind
    for (kind, _), group in groupby(by_kind, key=lambda r: (r.kind, r.result.control.id)):
        items = list(group)
        where = _hosts([item.result.host for item in items])
        if kind == "again":
            since = max(item.since for item in items if item.since)
            how = f"kembali salah, terakhir Sesuai {words.date(since)}"
        else:
            months = max(item.months for item in items)
            how = f"berulang, bulan ke-{months + 1}"
        yield f"{items[0].result.control.title} ({where}): {how}."


def _decisions(assessment: Assessment, decisions: Decisions) -> Iterable[str]:
    if assessment.empty:
        yield "Tetapkan kapan pemeriksaan dilaksanakan, atau catat sebab tidak dilaksanakan."
    severe = [f"{f.control.title} ({_hosts(f.hosts)})" for f in decisions.severe]
    if len(severe) > SEVERE:
        some = "; ".join(severe[:SEVERE])
        yield f"{len(severe)} temuan berat, perbaiki atau kecualikan. Di antaranya: {some}."
    else:
        yield from (f"Perbaiki atau kecualikan: {one}." for one in severe)
    if decisions.silent:
        yield f"Periksa di tempat: {_hosts(decisions.silent)} tidak dapat dinilai."
    for waiver in decisions.expiring:
        end = words.date(waiver.expires)
        yield f"Pengecualian {waiver.control} berakhir {end}: perbaiki atau perpanjang."
    for waiver in decisions.unused:
        yield f"Pengecualian {waiver.control} tidak terpakai: cabut?"


def _hosts(hosts: Sequence[str]) -> str:
    if len(hosts) <= HOSTS:
        return words.listed(hosts)
    return f"{', '.join(hosts[:HOSTS])} dan {len(hosts) - HOSTS} lainnya"


def _box(title: str, items: Sequence[str], where: str) -> Box:
    hidden = len(items) - ITEMS
    if hidden <= 0:
        return Box(title, tuple(items), "", "Tidak ada.")
    return Box(title, tuple(items[:ITEMS]), f"dan {hidden} lainnya, lihat {where}", "")
