"""Early warning: what the running program has read, weighed and sent, as its own book tells."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

UNIT = "tameng-warnings.service"
ADDRESSES = "/etc/tameng/warnings-addresses.json"
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
AGAIN = 6  # seconds in which a program that was just started has looked once
Public = Callable[[str], Any]
Facts = dict[str, Any]


def moment(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def facts(ask: Ask) -> Facts:
    """All that the book says of itself."""
    found: Facts = json.loads(ask("/usr/local/sbin/warnings facts"))
    return found


@control(
    "warnings_running",
    sabotage=f"systemctl disable -q --now {UNIT}",
    says=f"{UNIT} is inactive",
    also=("warnings_unprivileged", "warnings_hosts_read"),
)
def test_somebody_looks(ask: Ask, facts: Facts, evidence: Evidence) -> None:
    """It runs, starts with the machine, and looked into the journals within two minutes."""
    said = ask(f"systemctl show {UNIT} -p ActiveState -p UnitFileState --value")
    active, enabled = said.split()
    age = facts["now"] - facts["looked"]
    evidence.measured("unit", [active, enabled])
    evidence.measured("looked_seconds_ago", round(age))
    assert active == "active", f"{UNIT} is {active}"
    assert enabled == "enabled", f"{UNIT} doesn't start with the machine"
    assert age < 120, f"it looked into no journal for {age:.0f} s"


@control("warnings_hosts_read", sabotage="deafen_warnings", says="is not read to its end")
def test_every_journal_is_read_to_its_end(
    ask: Ask, public: Public, facts: Facts, target: Any, evidence: Evidence
) -> None:
    """The newest entry of each host's journal is at most three minutes newer than what was read.
    Whether the hosts send at all is another control's question."""
    names = public("warnings_hosts")
    newest = "; ".join(
        f"echo {shlex.quote(name)} $(journalctl -q -n 1 -o short-unix"
        + ("" if name == target.name else f" --file=/var/log/journal/remote/{name}.journal")
        + " 2>/dev/null | cut -d' ' -f1)"
        for name in names
    )
    lines = (line.split() for line in ask(newest).splitlines())
    written = {line[0]: float(line[1]) for line in lines if len(line) == 2}
    if not written:
        broken("there is no journal to read")
    read = facts["heard"]
    if any(at > read.get(name, 0) + 180 for name, at in written.items()):
        read = json.loads(ask(f"sleep {AGAIN}; /usr/local/sbin/warnings facts"))["heard"]
    behind = {name: round(at - read.get(name, 0)) for name, at in written.items()}
    evidence.measured("seconds_behind", behind)
    late = [name for name, seconds in behind.items() if seconds > 180]
    assert not late, f"the journal of {', '.join(late)} is not read to its end"


@control(
    "warnings_nothing_waits",
    sabotage="strand_warning",
    says="not sent since",
    also=("warnings_test_arrives",),
)
def test_nothing_waits(facts: Facts, evidence: Evidence) -> None:
    """What could not be sent waits for less than an hour, and nothing that is due waits at all.
    The month's figures come along: the documents count by them."""
    month = facts["month"]
    evidence.measured("since", moment(month["since"]))
    evidence.measured("events", month["events"])
    evidence.measured("sources", month["sources"])
    evidence.measured("warnings_count", month["warnings_count"])
    evidence.measured("warnings", [_told(warning) for warning in month["warnings"]])
    late = [
        letter
        for letter in facts["waiting"]
        if facts["now"] - (letter["made"] if letter["tries"] else letter["due"]) > 3600
    ]
    evidence.measured("waiting", len(facts["waiting"]))
    assert not late, (
        f"{len(late)} not sent since {moment(late[0]['made'])}: {late[0]['trouble'] or 'not tried'}"
    )


def _told(warning: dict[str, Any]) -> dict[str, Any]:
    """As the documents need it."""
    return {
        "name": warning["name"],
        "kind": warning["kind"],
        "subject": warning["subject"],
        "zone": warning["zone"],
        "grade": warning["grade"],
        "hosts": warning["hosts"].split(),
        "count": warning["count"],
        "opened": moment(warning["opened"]),
        "last": moment(warning["last"]),
        "sent": moment(warning["sent"]) if warning["sent"] else None,
    }


@control("warnings_test_arrives", sabotage="misdirect_warnings", says="didn't reach surel")
def test_a_test_went_all_the_way(ask: Ask, facts: Facts, evidence: Evidence) -> None:
    """The last test, of today or yesterday, came out of the journal and reached every notifier. One
    that has just begun is given a moment."""
    test = facts["test"]
    if not test or None in test["sent"].values():
        test = json.loads(ask(f"sleep {AGAIN}; /usr/local/sbin/warnings facts"))["test"]
    assert test, "no test has ever begun"
    hours = (facts["now"] - test["begun"]) / 3600
    evidence.measured("begun", moment(test["begun"]))
    evidence.measured(
        "seconds",
        {who: round(at - test["begun"], 1) for who, at in test["sent"].items() if at},
    )
    unreached = [who for who, at in test["sent"].items() if not at]
    assert test["sent"], "the test had nobody to go to"
    assert not unreached, f"the test didn't reach {', '.join(unreached)}: {test['trouble']}"
    assert hours < 26, f"the last test was {hours:.0f} hours ago"


@control(
    "warnings_as_declared",
    sabotage='sed -i \'s/"to": "06:00"/"to": "20:00"/\' /etc/tameng/warnings.json'
    f" && systemctl restart {UNIT} && sleep 2",
    says="quiet is",
)
def test_the_running_settings_are_the_declared_ones(
    facts: Facts, public: Public, evidence: Evidence
) -> None:
    """What the program took in when it started, against the inventory."""
    running = facts["settings"]
    for name in ("quiet", "repeat_hours", "test_at", "retention_days", "hosts"):
        evidence.measured(name, running.get(name))
        declared = public(f"warnings_{name}")
        assert running.get(name) == declared, (
            f"{name} is {running.get(name)}, the inventory says {declared}"
        )


@control(
    "warnings_addresses_private",
    sabotage=f"chmod 0644 {ADDRESSES}",
    says="anybody may read",
)
def test_addresses_are_private(host: Any, ask: Ask, evidence: Evidence) -> None:
    """Somebody without rights tries to read them, where they lie and where the service has them."""
    mode = ask(f"stat -c '%a %U:%G' {ADDRESSES}").strip()
    evidence.measured("mode", mode)
    for path in (ADDRESSES, f"/run/credentials/{UNIT}/addresses"):
        tried = host.run(f"{NOBODY} head -c 1 {path}")
        assert tried.rc != 0, f"anybody may read {path}"
    assert mode == "600 root:root", f"the mode of {ADDRESSES} is {mode}"


@control(
    "warnings_unprivileged",
    sabotage=f"outbid system/{UNIT}.d {UNIT} '[Service]' AmbientCapabilities=CAP_DAC_OVERRIDE"
    " CapabilityBoundingSet=CAP_DAC_OVERRIDE",
    says="it has capabilities",
)
def test_it_has_no_rights(ask: Ask, evidence: Evidence) -> None:
    """A user of its own, no capability."""
    pid = ask(f"systemctl show -p MainPID --value {UNIT}").strip()
    assert pid != "0", f"{UNIT} doesn't run"
    status = dict(
        line.split(":", 1) for line in ask(f"cat /proc/{pid}/status").splitlines() if ":" in line
    )
    users, rights = set(status["Uid"].split()), int(status["CapEff"], 16)
    evidence.measured("users", sorted(users))
    evidence.measured("capabilities", rights)
    assert "0" not in users, "it runs as root"
    assert not rights, f"it has capabilities: {rights:x}"
