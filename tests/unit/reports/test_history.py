"""Which run belongs to which month, and which of its verdicts counts."""

from __future__ import annotations

import pytest

from compliance import evidence
from compliance.verdict import State
from inputs import court as courts
from inputs.errors import BadInput
from reports import history
from reports.history import Month
from reports.period import Period
from tests.unit.reports import sample
from tests.unit.reports.sample import passing

KNOWN = sample.catalogue()
PAIR = ("ssh_keys_only", "app")


def months(court: sample.Court) -> dict[Period, Month]:
    tz = courts.load(court.inventory).tz
    first, last = Period(2026, 1), Period(2026, 12)
    return history.by_month(evidence.runs(court.folder), tz, first, last)


def test_a_run_belongs_to_the_courts_own_month(court: sample.Court) -> None:
    """Half past midnight of 1 November in Penajam is still October in UTC."""
    court.audit("2026-10-31T16:30:00Z", KNOWN, passing)
    assert list(months(court)) == [Period(2026, 11)]


def test_an_incomplete_run_counts_for_nothing(court: sample.Court) -> None:
    """A killed audit may have stopped just before the failure."""
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing, sealed=False)
    month = months(court)[Period(2026, 11)]
    assert len(month.incomplete) == 1
    assert month.latest == {}
    assert month.as_of is None


def test_a_run_killed_at_birth_is_listed_too(court: sample.Court) -> None:
    (court.folder / "runs" / "20261105T010000.000Z-audit-00ff").mkdir(parents=True)
    assert len(months(court)[Period(2026, 11)].incomplete) == 1


def test_a_folder_that_is_no_run_is_named(court: sample.Court) -> None:
    (court.folder / "runs" / "copy of november").mkdir(parents=True)
    with pytest.raises(BadInput, match="copy of november: expected a run's folder"):
        months(court)


def test_the_last_answer_counts(court: sample.Court) -> None:
    """A host that was right and is silent now is not right."""
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    court.audit("2026-11-06T01:00:00Z", KNOWN, sample.faulty({}, down=["app"]))
    assert months(court)[Period(2026, 11)].latest[PAIR].state is State.UNREACHABLE


def test_a_question_left_out_does_not_undo_an_answer(court: sample.Court) -> None:
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    court.audit("2026-11-06T01:00:00Z", KNOWN, lambda *_: {"state": "not_run"})
    assert months(court)[Period(2026, 11)].latest[PAIR].state is State.PASS


def test_a_limited_audit_takes_no_host_away(court: sample.Court) -> None:
    """Else ``audit --limit app`` would make a month of one host out of one of six."""
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    few = {"app": sample.ESTATE["app"]}
    court.audit("2026-11-06T01:00:00Z", KNOWN, passing, estate=few, selection={"limit": "app"})
    assert set(months(court)[Period(2026, 11)].estate) == set(sample.ESTATE)


def test_a_host_that_left_the_inventory_is_named(court: sample.Court) -> None:
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    fewer = {h: g for h, g in sample.ESTATE.items() if h != "pc-2"}
    court.audit("2026-11-06T01:00:00Z", KNOWN, passing, estate=fewer)
    assert months(court)[Period(2026, 11)].gone == ["pc-2"]
