"""Waivers: what is not as it should be, knowingly, by somebody's leave and for a while.

A waiver never stops a test: it turns a ``fail`` of its control and hosts into ``waived`` from the
day it was granted to the day it expires. The day after, it is a failure again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from compliance.catalogue import Catalogue
from compliance.verdict import State
from inputs import yamlfile
from inputs.court import Court
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Loc, Strict

LONGEST = dt.timedelta(days=180)
Estate = Mapping[str, Collection[str]]  # host -> its inventory groups


class Waiver(Strict):
    """One exception. ``owner`` answers for it, ``approver`` allowed it; two people of court.yml."""

    control: str
    hosts: list[str] = Field(min_length=1)
    reason: Annotated[str, StringConstraints(min_length=15, strip_whitespace=True)]
    owner: str
    approver: str
    granted: dt.date
    expires: dt.date

    def covers(self, control: str, host: str, groups: Collection[str]) -> bool:
        """Whether it speaks of this control on this host, whatever the day."""
        return control == self.control and (
            host in self.hosts or not set(groups).isdisjoint(self.hosts)
        )

    def in_force(self, day: dt.date) -> bool:
        return self.granted <= day <= self.expires


class File(Strict):
    """waivers.yml. A mapping, as a bare list with ``hosts`` in it reads as a playbook."""

    waivers: list[Waiver]


@dataclass(frozen=True)
class Waivers:
    """All of a court's waivers, with the estate that their group names are resolved in."""

    all: tuple[Waiver, ...]
    estate: Estate

    def find(self, control: str, host: str, day: dt.date) -> Waiver | None:
        """The waiver in force for this control, host and day."""
        groups = self.estate.get(host, ())
        for waiver in self.all:
            if waiver.in_force(day) and waiver.covers(control, host, groups):
                return waiver
        return None

    def fold(self, state: State, control: str, host: str, day: dt.date) -> State:
        """What ``state`` counts as on ``day``: only a failure is ever waived."""
        if state is State.FAIL and self.find(control, host, day):
            return State.WAIVED
        return state

    def never_used(self, judged: Iterable[tuple[State, str, str, dt.date]]) -> list[Waiver]:
        """Waivers that turned none of these verdicts (state, control, host, day): not needed."""
        used = [self.find(c, h, day) for state, c, h, day in judged if state is State.FAIL]
        return [waiver for waiver in self.all if waiver not in used]


def load(inventory: Path, catalogue: Catalogue, court: Court, estate: Estate) -> Waivers:
    """Read ``waivers.yml`` of an inventory folder; raises BadInput with a line for each defect."""
    file = inventory / "waivers.yml"
    data, lines = yamlfile.load_with_lines(file)
    waivers = yamlfile.validate(file, data, lines, File).waivers
    names = set(estate).union(*estate.values())
    defects = [
        Complaint(file, yamlfile.line_of(lines, ("waivers", *loc)), what)
        for index, waiver in enumerate(waivers)
        for loc, what in (
            *_defects(index, waiver, catalogue, court, names),
            *_overlaps(index, waivers, estate),
        )
    ]
    if defects:
        raise BadInput(defects)
    return Waivers(tuple(waivers), estate)


def _defects(
    index: int, waiver: Waiver, catalogue: Catalogue, court: Court, names: Collection[str]
) -> Iterator[tuple[Loc, str]]:
    if waiver.control not in catalogue.by_id:
        yield (index, "control"), f"{waiver.control} is no control of the catalogue"
    for position, name in enumerate(waiver.hosts):
        if name not in names:
            yield (index, "hosts", position), f"{name} is no host or group of the inventory"
    for field in ("owner", "approver"):
        if getattr(waiver, field) not in court.people:
            who = getattr(waiver, field)
            yield (index, field), f"{who} is not among the people of court.yml"
    if waiver.owner == waiver.approver:
        yield (index, "approver"), "nobody approves a waiver of their own: expected another person"
    if waiver.expires < waiver.granted:
        yield (index, "expires"), f"expires before it was granted, {waiver.granted}"
    if waiver.expires - waiver.granted > LONGEST:
        latest = waiver.granted + LONGEST
        yield (index, "expires"), f"at most {LONGEST.days} days after granted: {latest} or earlier"


def _overlaps(index: int, waivers: list[Waiver], estate: Estate) -> Iterator[tuple[Loc, str]]:
    """The same control waived twice for one host on one day: which of the two would count?"""
    mine = waivers[index]
    for earlier in waivers[:index]:
        apart = mine.granted > earlier.expires or earlier.granted > mine.expires
        if earlier.control != mine.control or apart:
            continue
        for host, groups in estate.items():
            if all(w.covers(mine.control, host, groups) for w in (mine, earlier)):
                yield (index,), f"{mine.control} is already waived for {host} on some of these days"
                break
