"""Fold a month's evidence, the catalogue, waivers and the months before into one Assessment.

Pure: the same inputs give the same Assessment, whatever the day or the machine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from compliance.catalogue import Catalogue, Control
from compliance.verdict import State
from compliance.waivers import Estate, Waiver, Waivers
from inputs.court import Court
from inputs.network import Written
from inputs.records import Occurrence, OfflineCopy
from reports.history import Asked, Month
from reports.period import Period


@dataclass(frozen=True)
class Result:
    """One control that is due on one host: what counts for the month, and why."""

    control: Control
    host: str
    state: State  # with waivers folded in
    asked: Asked | None  # the verdict it rests on; None when the question was never put
    waiver: Waiver | None = None
    first_answered: dt.date | None = None  # this month

    @property
    def measured(self) -> Mapping[str, Any]:
        """What its verdict measured; nothing when the question was never put."""
        return self.asked.measured if self.asked else {}


@dataclass(frozen=True)
class Share:
    """One month of the trend."""

    period: Period
    states: Mapping[State, int]  # empty: a month without evidence

    @property
    def due(self) -> int:
        return sum(self.states.values())

    @property
    def applying(self) -> int:
        return applying(self.states)

    @property
    def passed(self) -> int:
        return self.states.get(State.PASS, 0)


@dataclass(frozen=True)
class Assessment:
    """All that a month's documents say, before it is put into words."""

    court: Court
    catalogue: Catalogue
    waivers: Waivers
    month: Month
    before: Mapping[Period, Month]
    estate: Estate
    results: tuple[Result, ...]  # in the order of catalogue and host name
    trend: tuple[Share, ...] = field(default=())
    network: Written = field(default=Written())  # the matrix of flows
    judged: Mapping[str, Occurrence] = field(default_factory=dict)  # by a warning's name
    copies: Mapping[str, OfflineCopy] = field(default_factory=dict)  # by the copy's name

    @property
    def period(self) -> Period:
        return self.month.period

    @property
    def as_of(self) -> dt.datetime | None:
        """The end of the month's last complete audit; None without evidence."""
        return self.month.as_of

    @property
    def day(self) -> dt.date:
        """The day the documents speak of, in the court's time: who is in office, what expires."""
        return self.as_of.astimezone(self.court.tz).date() if self.as_of else self.period.last

    @property
    def empty(self) -> bool:
        return self.as_of is None

    @cached_property
    def states(self) -> dict[State, int]:
        return count(self.results)

    def of_step(self, step: str) -> list[Result]:
        return [r for r in self.results if step in r.control.sop]

    def of_control(self, control: str) -> dict[str, Result]:
        """By host."""
        return {r.host: r for r in self.results if r.control.id == control}

    def of_host(self, host: str) -> list[Result]:
        return [r for r in self.results if r.host == host]

    def in_state(self, *states: State) -> list[Result]:
        return [r for r in self.results if r.state in states]


def assess(
    period: Period,
    months: Mapping[Period, Month],
    catalogue: Catalogue,
    waivers: Waivers,
    court: Court,
    inventory: Estate,
) -> Assessment:
    """The month's assessment. ``inventory`` is the estate of today: it says what would have been
    due in a month in which nothing was asked."""
    month = months.get(period, Month(period))
    estate = month.estate or inventory
    results = tuple(_results(month, list(catalogue), estate, waivers, court))
    before = {p: m for p, m in sorted(months.items()) if p < period}
    return Assessment(
        court=court,
        catalogue=catalogue,
        waivers=waivers,
        month=month,
        before=before,
        estate=estate,
        results=results,
        trend=(
            *_trend(before, period, catalogue, waivers, court),
            Share(period, count(results) if month.audits else {}),
        ),
    )


def count(results: Sequence[Result]) -> dict[State, int]:
    """How many results have each state, in the order of State; states nobody has are left out."""
    counted = {state: sum(r.state is state for r in results) for state in State}
    return {state: number for state, number in counted.items() if number}


def applying(states: Mapping[State, int]) -> int:
    """Of how many a share is taken: what a host says does not concern it can't be wanting."""
    return sum(states.values()) - states.get(State.NOT_APPLICABLE, 0)


def _results(
    month: Month, controls: Sequence[Control], estate: Estate, waivers: Waivers, court: Court
) -> list[Result]:
    latest = month.latest
    answered: dict[tuple[str, str], dt.date] = {}
    for asked in month.asked:
        if asked.answered:
            answered.setdefault(asked.pair, asked.at.astimezone(court.tz).date())
    results = []
    for control in controls:
        for host in sorted(h for h, groups in estate.items() if control.applies(set(groups))):
            pair = control.id, host
            verdict = latest.get(pair)
            if verdict is None:
                results.append(Result(control, host, State.NOT_RUN, None))
                continue
            day = verdict.at.astimezone(court.tz).date()
            state = waivers.fold(verdict.state, control.id, host, day)
            waiver = waivers.find(control.id, host, day) if state is State.WAIVED else None
            results.append(Result(control, host, state, verdict, waiver, answered.get(pair)))
    return results


def _trend(
    before: Mapping[Period, Month],
    period: Period,
    catalogue: Catalogue,
    waivers: Waivers,
    court: Court,
) -> list[Share]:
    """The months from the first with evidence to the one before ``period``. A control that no
    audit of a month knew was not due then."""
    known = [p for p, month in before.items() if month.audits]
    shares = []
    step = known[0] if known else period
    while step < period:
        month = before.get(step, Month(step))
        asked = {a.control for a in month.asked}
        controls = [c for c in catalogue if c.id in asked]
        shares.append(Share(step, count(_results(month, controls, month.estate, waivers, court))))
        step = step.back(-1)
    return shares
