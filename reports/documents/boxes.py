"""The first page's three boxes: what is late, what came back, what wants a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from reports import words
from reports.assess import Assessment
from reports.findings import Decisions, Return
from reports.steps import StepResult, Timing

ITEMS = 4  # lines of a box: more would push the signatures off the page
HOSTS = 3  # names of a line
SEVERE = 2  # findings named one by one


@dataclass(frozen=True)
class Box:
    title: str
    items: tuple[str, ...]
    more: str
    empty: str


def late(assessment: Assessment, steps: Sequence[StepResult]) -> Iterable[str]:
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


def returns(assessment: Assessment, found: Sequence[Return]) -> Iterable[str]:
    if assessment.empty:
        yield "Tidak ada bukti bulan ini untuk dibandingkan."
    by_kind = sorted(found, key=lambda r: r.kind)  # stable: the catalogue's order within a kind
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


def decisions(assessment: Assessment, wanted: Decisions) -> Iterable[str]:
    if assessment.empty:
        yield "Tetapkan kapan pemeriksaan dilaksanakan, atau catat sebab tidak dilaksanakan."
    severe = [f"{f.control.title} ({_hosts(f.hosts)})" for f in wanted.severe]
    if len(severe) > SEVERE:
        some = "; ".join(severe[:SEVERE])
        yield f"{len(severe)} temuan berat, perbaiki atau kecualikan. Di antaranya: {some}."
    else:
        yield from (f"Perbaiki atau kecualikan: {one}." for one in severe)
    if wanted.silent:
        yield f"Periksa di tempat: {_hosts(wanted.silent)} tidak dapat dinilai."
    if wanted.unclear:
        hosts = list(dict.fromkeys(r.host for r in wanted.unclear))
        yield f"Ulangi: {len(wanted.unclear)} pemeriksaan pada {_hosts(hosts)} belum dapat dinilai."
    for waiver in wanted.expiring:
        end = words.date(waiver.expires)
        yield f"Pengecualian {waiver.control} berakhir {end}: perbaiki atau perpanjang."
    for waiver in wanted.unused:
        yield f"Pengecualian {waiver.control} tidak terpakai: cabut?"


def _hosts(hosts: Sequence[str]) -> str:
    if len(hosts) <= HOSTS:
        return words.listed(hosts)
    return f"{', '.join(hosts[:HOSTS])} dan {len(hosts) - HOSTS} lainnya"


def box(title: str, items: Sequence[str], where: str) -> Box:
    hidden = len(items) - ITEMS
    if hidden <= 0:
        return Box(title, tuple(items), "", "Tidak ada.")
    return Box(title, tuple(items[:ITEMS]), f"dan {hidden} lainnya, lihat {where}", "")
