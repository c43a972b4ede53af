"""What came back, what wants a decision, and the trend."""

from __future__ import annotations

import datetime as dt

from compliance.verdict import State
from reports import findings
from reports.assess import Assessment
from reports.period import Period
from tests.unit.reports import sample
from tests.unit.reports.conftest import assessed
from tests.unit.reports.sample import faulty, passing

KNOWN = sample.catalogue()
ROOT_LOGIN = ("ssh_no_root_login", "app")
WRONG = sample.failing("root may log in")


def test_findings_are_grouped_by_control_and_the_severe_come_first(rich: Assessment) -> None:
    found = findings.findings(rich.results)
    assert [(f.control.id, f.hosts) for f in found] == [
        ("ssh_no_root_login", ["app", "pc-1"]),
        ("backup_second_copy", ["backup"]),
        ("time_synchronised", ["pc-1"]),
    ]


def test_wrong_again_after_it_was_right_this_month(court: sample.Court) -> None:
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    court.audit("2026-11-20T01:00:00Z", KNOWN, faulty({ROOT_LOGIN: WRONG}))
    (item,) = findings.returned(assessed(court))
    assert (item.kind, item.since) == ("again", dt.date(2026, 11, 5))


def test_wrong_again_after_it_was_right_last_month(court: sample.Court) -> None:
    court.audit("2026-10-05T01:00:00Z", KNOWN, passing)
    court.audit("2026-11-20T01:00:00Z", KNOWN, faulty({ROOT_LOGIN: WRONG}))
    (item,) = findings.returned(assessed(court))
    assert (item.kind, item.since) == ("again", dt.date(2026, 10, 5))


def test_still_wrong_counts_the_months_in_a_row(court: sample.Court) -> None:
    """A gap ends the row: nobody knows what was true in a month without evidence."""
    for month in ("07", "09", "10", "11"):
        court.audit(f"2026-{month}-05T01:00:00Z", KNOWN, faulty({ROOT_LOGIN: WRONG}))
    (item,) = findings.returned(assessed(court))
    assert (item.kind, item.months) == ("still", 2)


def test_a_new_failure_did_not_come_back(court: sample.Court) -> None:
    court.audit("2026-11-20T01:00:00Z", KNOWN, faulty({ROOT_LOGIN: WRONG}))
    assert findings.returned(assessed(court)) == []


def test_decisions_name_what_only_a_person_can_do(rich: Assessment) -> None:
    wanted = findings.decisions(rich)
    assert [f.control.id for f in wanted.severe] == ["ssh_no_root_login", "backup_second_copy"]
    assert [w.control for w in wanted.expiring] == ["updates_automatic"]
    assert [w.control for w in wanted.unused] == ["firewall_drops_recorded"]
    assert wanted.silent == ("pc-2",)


def test_what_could_not_be_judged_wants_a_decision(rich: Assessment) -> None:
    """A host that answers leaves no question open in silence; one that is down is named as such."""
    wanted = findings.decisions(rich)
    assert [(r.control.id, r.host) for r in wanted.unclear] == [
        ("firewall_default_deny", "backup"),
        ("bans_noted", "gateway"),
    ]


def test_a_waiver_counts_by_the_day_of_the_verdict(court: sample.Court) -> None:
    """Expired on the 10th: waived on the 10th, failed on the 11th."""
    text = sample.WAIVERS.replace("2026-12-10", "2026-11-10")
    (court.inventory / "waivers.yml").write_text(text)
    wrong = faulty({("updates_automatic", "app"): sample.failing("off")})
    court.audit("2026-11-10T15:00:00Z", KNOWN, wrong)
    assert assessed(court).states[State.WAIVED] == 1
    court.audit("2026-11-10T16:30:00Z", KNOWN, wrong)
    assert State.WAIVED not in assessed(court).states


def test_what_was_not_asked_is_due_all_the_same(court: sample.Court) -> None:
    """Nothing missing ever counts as pass."""
    court.audit("2026-11-05T01:00:00Z", KNOWN, lambda c, h: passing(c, h) if h == "app" else None)
    states = assessed(court).states
    assert states[State.NOT_RUN] == sum(states.values()) - states[State.PASS]
    assert states[State.NOT_RUN] > 0


def test_the_trend_has_every_month_since_the_first(court: sample.Court) -> None:
    """A month without evidence is a gap, not left out; a control that came later was not due."""
    old = type(KNOWN)(KNOWN.controls[:2], KNOWN.sop)
    court.audit("2026-08-05T01:00:00Z", old, passing)
    court.audit("2026-11-05T01:00:00Z", KNOWN, passing)
    trend = assessed(court).trend
    assert [(str(s.period), s.due) for s in trend[:3]] == [
        ("2026-08", 9),
        ("2026-09", 0),
        ("2026-10", 0),
    ]
    assert trend[3].period == Period(2026, 11)
    assert trend[3].passed == trend[3].due
