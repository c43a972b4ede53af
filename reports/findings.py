"""What the Kabag must know of a month: findings, what came back, what wants a decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from compliance.catalogue import Control
from compliance.verdict import State
from compliance.waivers import Waiver
from reports.assess import Assessment, Result
from reports.history import UNANSWERED

SEVERITIES = ("tinggi", "sedang", "rendah")
NOTICE = dt.timedelta(days=30)  # how long before its end a waiver is brought up


@dataclass(frozen=True)
class Finding:
    """One control that fails, with all hosts on which it does."""

    control: Control
    failed: tuple[Result, ...]

    @property
    def hosts(self) -> list[str]:
        return [result.host for result in self.failed]


@dataclass(frozen=True)
class Return:
    """A failure that is not new. ``again``: it had been right and is wrong again, last right on
    ``since``; ``still``: it failed in each of the last ``months`` months too."""

    result: Result
    kind: Literal["again", "still"]
    since: dt.date | None = None
    months: int = 0


@dataclass(frozen=True)
class Decisions:
    """What only a person can decide."""

    severe: tuple[Finding, ...]
    expiring: tuple[Waiver, ...]  # in force within the month, ending within NOTICE of its day
    unused: tuple[Waiver, ...]  # in force within the month, and nothing failed under them
    silent: tuple[str, ...]  # hosts of which nothing could be judged
    unclear: tuple[Result, ...]  # of the other hosts: what could not be judged


def findings(results: Iterable[Result]) -> list[Finding]:
    """Failures by control, the most severe first, then in the catalogue's order."""
    failed = [r for r in results if r.state is State.FAIL]
    grouped = [Finding(c, tuple(g)) for c, g in groupby(failed, key=lambda r: r.control)]
    return sorted(grouped, key=lambda f: SEVERITIES.index(f.control.severity))


def returned(assessment: Assessment) -> list[Return]:
    """Failures of this month that were right before, or were wrong already."""
    found = (_returned(assessment, r) for r in assessment.in_state(State.FAIL))
    return [item for item in found if item]


def _returned(assessment: Assessment, result: Result) -> Return | None:
    pair, tz = (result.control.id, result.host), assessment.court.tz
    earlier = [a for a in assessment.month.asked if a.pair == pair and a is not result.asked]
    previous = assessment.before.get(assessment.period.back(1))
    last = previous.latest.get(pair) if previous else None
    right = [a for a in (last, *earlier) if a and a.state is State.PASS]
    if right:
        return Return(result, "again", since=right[-1].at.astimezone(tz).date())
    months = 0
    while (past := assessment.before.get(assessment.period.back(months + 1))) and (
        (verdict := past.latest.get(pair)) and verdict.state is State.FAIL
    ):
        months += 1
    return Return(result, "still", months=months) if months else None


def decisions(assessment: Assessment) -> Decisions:
    """High-severity failures, waivers that end soon or served nobody, hosts that said nothing."""
    day, period, waivers = assessment.day, assessment.period, assessment.waivers
    tz = assessment.court.tz
    current = [w for w in waivers.all if w.granted <= day and w.expires >= period.first]
    judged = [
        (a.state, a.control, a.host, a.at.astimezone(tz).date()) for a in assessment.month.asked
    ]
    idle = waivers.never_used(judged) if judged else []
    silent = [h for h in sorted(assessment.estate) if _silent(assessment.of_host(h))]
    return Decisions(
        severe=tuple(f for f in findings(assessment.results) if f.control.severity == "tinggi"),
        expiring=tuple(w for w in current if w.expires <= day + NOTICE and w not in idle),
        unused=tuple(w for w in current if w in idle),
        silent=() if assessment.empty else tuple(silent),
        unclear=tuple(
            r for r in assessment.results if r.state in UNANSWERED and r.host not in silent
        ),
    )


def _silent(results: list[Result]) -> bool:
    states = {r.state for r in results}
    return bool(states) and states <= UNANSWERED
