"""Waivers: what is refused, and exactly when a failure stops counting as one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from compliance import catalogue, waivers
from compliance.catalogue import Catalogue
from compliance.verdict import State
from inputs import court
from inputs.errors import BadInput

ROOT = Path(__file__).parents[3]
ESTATE = {"app": ["servers"], "backup": ["servers"], "pc-1": ["endpoints"]}
GOOD = """\
- control: ssh_no_root_login
  hosts: [servers]
  reason: The vendor's installer logs in as root until its next release.
  owner: nurul
  approver: bagus
  granted: 2026-06-01
  expires: 2026-11-28
"""


def control(**changed: object) -> catalogue.Control:
    fields: dict[str, object] = {
        "id": "ssh_no_root_login",
        "title": "Root tidak dapat masuk lewat SSH",
        "why": "A shared account hides who did what.",
        "remedy": "Terapkan peran ssh_server.",
        "sop": ["C5"],
        "severity": "tinggi",
        "applies_to": ["servers", "endpoints"],
        "enforced_by": "ssh_server",
        "references": {"iso27001": "A.8.5"},
        "every": "month",
    }
    return catalogue.Control.model_validate(fields | changed)


def load(folder: Path, text: str) -> waivers.Waivers:
    (folder / "waivers.yml").write_text("waivers:\n" + text)
    known = Catalogue((control(),), catalogue.load_sop())
    return waivers.load(folder, known, court.load(ROOT / "inventory" / "lab"), ESTATE)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (dt.date(2026, 5, 31), State.FAIL),
        (dt.date(2026, 6, 1), State.WAIVED),
        (dt.date(2026, 11, 28), State.WAIVED),
        (dt.date(2026, 11, 29), State.FAIL),
    ],
)
def test_a_failure_is_waived_from_the_first_day_to_the_last(
    tmp_path: Path, day: dt.date, expected: State
) -> None:
    """180 days is the longest, both ends count, and the day after it is a failure again."""
    assert load(tmp_path, GOOD).fold(State.FAIL, "ssh_no_root_login", "app", day) is expected


@pytest.mark.parametrize("state", [s for s in State if s is not State.FAIL])
def test_only_a_failure_is_waived(tmp_path: Path, state: State) -> None:
    """A waiver must not hide that a host did not answer, or was never asked."""
    day = dt.date(2026, 7, 1)
    assert load(tmp_path, GOOD).fold(state, "ssh_no_root_login", "app", day) is state


def test_a_waiver_covers_only_its_hosts_and_control(tmp_path: Path) -> None:
    loaded, day = load(tmp_path, GOOD), dt.date(2026, 7, 1)
    assert loaded.fold(State.FAIL, "ssh_no_root_login", "pc-1", day) is State.FAIL
    assert loaded.fold(State.FAIL, "ssh_banner", "app", day) is State.FAIL


def test_a_waiver_nothing_needed_is_reported(tmp_path: Path) -> None:
    """A pass, or a failure on another day, does not use a waiver."""
    loaded, day = load(tmp_path, GOOD), dt.date(2026, 7, 1)
    idle = [(State.PASS, "ssh_no_root_login", "app", day)]
    used = [(State.FAIL, "ssh_no_root_login", "app", day)]
    assert loaded.never_used(idle) == list(loaded.all)
    assert loaded.never_used(idle + used) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  expires: 2026-11-28\n", "", 2, "expires: Field required"),
        ("2026-11-28", "2026-11-29", 8, "at most 180 days"),
        ("2026-11-28", "2026-05-31", 8, "before it was granted"),
        ("ssh_no_root_login", "ssh_unknown", 2, "no control of the catalogue"),
        ("[servers]", "[servers, mars]", 3, "mars is no host or group"),
        ("[servers]", "[]", 3, "at least 1 item"),
        ("owner: nurul", "owner: nobody", 5, "not among the people"),
        ("approver: bagus", "approver: nobody", 6, "not among the people"),
        ("approver: bagus", "approver: nurul", 6, "another person"),
        ("reason: The", "reason: x #", 4, "at least 15 characters"),
        ("granted:", "grantd:", 7, "not permitted"),
        ("2026-06-01", "June", 7, "valid date"),
    ],
)
def test_a_defect_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(BadInput) as refused:
        load(tmp_path, GOOD.replace(old, new))
    assert any(c.line == line and says in c.what for c in refused.value.complaints), refused.value


def test_two_waivers_for_one_host_and_day_are_refused(tmp_path: Path) -> None:
    """By a group here and by a name there it is still twice."""
    with pytest.raises(BadInput, match=r"waivers\.yml:9: .*already waived for app"):
        load(tmp_path, GOOD + GOOD.replace("[servers]", "[pc-1, app]"))


def test_waivers_that_follow_each_other_are_fine(tmp_path: Path) -> None:
    later = GOOD.replace("2026-11-28", "2026-12-31").replace("2026-06-01", "2026-11-29")
    assert len(load(tmp_path, GOOD + later).all) == 2
