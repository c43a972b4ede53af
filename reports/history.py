"""The stored runs of a court, month by month, in the court's own time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from compliance.evidence import Run, parse_time
from compliance.verdict import State
from inputs.errors import BadInput
from reports.period import Period

Pair = tuple[str, str]  # control, host
UNANSWERED = frozenset({State.NOT_RUN, State.ERROR, State.UNREACHABLE})


@dataclass(frozen=True)
class Asked:
    """One verdict line of a complete run, and where it is kept."""

    control: str
    host: str
    state: State  # what the machine answered; waivers are not folded in yet
    message: str
    measured: Mapping[str, Any]
    at: dt.datetime
    run: str
    line: int

    @property
    def pair(self) -> Pair:
        return self.control, self.host

    @property
    def answered(self) -> bool:
        return self.state not in UNANSWERED


@dataclass
class Month:
    """What happened in one month; a month without evidence is empty. by_month() fills it."""

    period: Period
    audits: list[Run] = field(default_factory=list)
    applies: list[Run] = field(default_factory=list)
    incomplete: list[Run] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)  # of complete audits, oldest first

    @cached_property
    def latest(self) -> dict[Pair, Asked]:
        """The last verdict of each pair. A question that was left out does not undo an answer."""
        found: dict[Pair, Asked] = {}
        for asked in self.asked:
            if asked.state is not State.NOT_RUN or asked.pair not in found:
                found[asked.pair] = asked
        return found

    @property
    def estate(self) -> dict[str, list[str]]:
        """Hosts and groups as the month's last audit of everything read them; audits with a
        ``--limit`` may add hosts, never take one away."""
        whole = [r for r in self.audits if not r.info.get("selection", {}).get("limit")]
        first = self.audits.index(whole[-1]) if whole else 0
        found: dict[str, list[str]] = {}
        for run in self.audits[first:]:
            found |= run.info.get("estate", {})
        return dict(sorted(found.items()))

    @property
    def gone(self) -> list[str]:
        """Hosts that an earlier audit of the month still had in its inventory."""
        earlier = {host for run in self.audits for host in run.info.get("estate", {})}
        return sorted(earlier - self.estate.keys())

    @property
    def as_of(self) -> dt.datetime | None:
        """When the last complete audit ended: the moment that the month's documents speak of."""
        return ended(self.audits[-1]) if self.audits else None


def began(run: Run) -> dt.datetime:
    """From the run's id, which even a run killed at birth has."""
    try:
        return parse_time(run.id.split("-", 1)[0]).astimezone(dt.UTC)
    except ValueError:
        expected = "expected a run's folder, e.g. 20261122T163012.345Z-audit-3f9c"
        raise BadInput.at(run.folder, 0, expected) from None


def ended(run: Run) -> dt.datetime:
    return parse_time(run.info["ended"]) if run.info.get("ended") else began(run)


def by_month(runs: Iterable[Run], tz: ZoneInfo, first: Period, last: Period) -> dict[Period, Month]:
    """Sort runs into the months of ``first`` to ``last`` by the day they began in ``tz``."""
    months: dict[Period, Month] = {}
    for run in sorted(runs, key=lambda run: run.id):
        period = Period.of(began(run).astimezone(tz).date())
        if not first <= period <= last:
            continue
        month = months.setdefault(period, Month(period))
        if not run.complete:
            month.incomplete.append(run)
        elif run.kind == "audit":
            month.audits.append(run)
            month.asked += _asked(run)
        else:
            month.applies.append(run)
    return months


def _asked(run: Run) -> list[Asked]:
    return [
        Asked(v.control, v.host, v.state, v.message, v.measured, parse_time(v.at), run.id, line)
        for line, v in enumerate(run.verdicts(), 1)
    ]
