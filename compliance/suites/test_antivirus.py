"""Antivirus, judged by what it does: the EICAR test file is written into each guarded folder,
opened, and looked for in the quarantine (``antivirus test``); and by what the engine answers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

ENGINE = "tameng-antivirus.service"
ACCESS = "tameng-antivirus-access.service"
QUARANTINE = "tameng-antivirus-quarantine.service"
FETCH = "tameng-antivirus-signatures.service"
OWN = {"tameng.hsb", "tameng-released.sfp"}  # the test's signature, and what people released
OLDEST = 24  # hours that signatures may be old
LONGEST = 2.0  # seconds that somebody waits for a small clean file
SCANNED = 7  # days within which everything was looked at
UNDECIDED = 3  # days that something lies in quarantine without a decision
MOST_LISTED = 50
PORT = 8014  # of the mirror
DAYS_LEFT = 30
MIRROR = Path(__file__).with_name("mirror.py").read_text()
Public = Callable[[str], Any]
Facts = dict[str, Any]


def moment(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def facts(ask: Ask) -> Facts:
    """All that it knows of itself."""
    found: Facts = json.loads(ask("/usr/local/sbin/antivirus facts"))
    return found


@pytest.fixture
def resident(facts: Facts, public: Public) -> None:
    """For what only a host with room for an engine can do; the others are scanned at night."""
    has, least = facts["memory"], public("antivirus_least_memory")
    if has < least:
        not_applicable(f"{has} MiB of memory, under {least}: it is scanned at night only")


@pytest.fixture
def official(facts: Facts, public: Public) -> float | None:
    """When the official signatures are from that the engine has loaded; where it runs at night
    only, as the last scan had them."""
    asked = facts if facts["memory"] >= public("antivirus_least_memory") else facts["scan"]
    found: float | None = asked.get("official")
    return found


@pytest.fixture
def rehearsed(ask: Ask, resident: None) -> dict[str, Any]:  # noqa: ARG001 - asked first
    """What became of the test file. Asked once for all controls that look at it."""
    told: dict[str, Any] = json.loads(ask("/usr/local/sbin/antivirus test"))
    if not told["folders"]:
        broken("no folder is guarded")
    return told


@control(
    "antivirus_running",
    sabotage=f"systemctl disable -q --now {ENGINE}",
    says=f"{ENGINE} is inactive",
    also=(
        "antivirus_on_access",
        "antivirus_quarantines",
        "antivirus_noted",
        "antivirus_limits",
        "antivirus_signatures_official",
        "antivirus_unprivileged",
    ),
)
@pytest.mark.usefixtures("resident")
def test_the_engine_answers(ask: Ask, facts: Facts, evidence: Evidence) -> None:
    """It runs, starts with the machine, comes back by itself, and answers."""
    said = ask(f"systemctl show {ENGINE} -p ActiveState,UnitFileState,Restart")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("unit", unit)
    evidence.measured("engine", facts["engine"])
    evidence.measured("memory_mib", facts["memory"])
    assert unit["ActiveState"] == "active", f"{ENGINE} is {unit['ActiveState']}"
    assert unit["UnitFileState"] == "enabled", f"{ENGINE} doesn't start with the machine"
    assert unit["Restart"] == "always", f"{ENGINE} doesn't come back by itself"
    assert facts["engine"], f"the engine doesn't answer: {facts['trouble']}"


@control(
    "antivirus_on_access",
    sabotage=f"systemctl disable -q --now {ACCESS}",
    says="could be opened",
    also=("antivirus_quarantines", "antivirus_noted"),
)
def test_nobody_opens_a_malicious_file(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """In every guarded folder the test file, just written, is refused to whoever opens it, root
    too; and a small clean one is open within two seconds."""
    for one in rehearsed["folders"]:
        asked = ("refused", "open_seconds", "clean_seconds")
        evidence.measured(one["folder"], {name: one[name] for name in asked})
        assert not one["trouble"], f"{one['folder']}: {one['trouble']}"
        assert one["refused"], f"the test file could be opened in {one['folder']}"
        waits = one["clean_seconds"]
        assert waits <= LONGEST, f"who opens a clean file in {one['folder']} waits {waits} s"


@control(
    "antivirus_quarantines",
    sabotage=f"systemctl disable -q --now {QUARANTINE}",
    says="wasn't put away",
    also=("antivirus_noted",),
)
def test_it_is_put_away_with_a_record(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Within seconds, with whose it was, what was found and its SHA-256; then it is cleaned up."""
    for one in rehearsed["folders"]:
        record = one["record"] or {}
        evidence.measured(one["folder"], {"seconds": one["away_seconds"], "record": record})
        assert record, f"the test file in {one['folder']} wasn't put away"
        missing = [name for name in ("found", "owner", "sha256", "path") if not record.get(name)]
        assert not missing, f"its record lacks {', '.join(missing)}"


@control(
    "antivirus_noted",
    sabotage=f"outbid system/{QUARANTINE}.d {QUARANTINE} '[Service]' StandardOutput=null",
    says="not in the journal",
)
def test_what_is_found_is_noted(
    ask: Ask, facts: Facts, rehearsed: dict[str, Any], evidence: Evidence
) -> None:
    """The test's finding is in the journal, from where the early warning takes it. The month's
    findings come along: the documents count by them."""
    month = facts["month"]
    evidence.measured("found_count", len(month))
    evidence.measured("found", [_told(record) for record in month[-MOST_LISTED:]])
    lines = ask(f"journalctl -q -o cat -S -15min _SYSTEMD_UNIT={QUARANTINE}", exits=(0, 1))
    for one in rehearsed["folders"]:
        name = (one["record"] or {}).get("id")
        assert name, f"nothing was found in {one['folder']}"
        assert f'"{name}"' in lines, f"what was found in {one['folder']} is not in the journal"


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """As the documents need it."""
    told = {name: record[name] for name in ("id", "found", "path", "owner", "sha256", "by", "left")}
    decided = record["decided"]
    return {
        **told,
        "at": moment(record["at"]),
        "decided": decided and {**decided, "at": moment(decided["at"])},
    }


@control(
    "antivirus_limits",
    sabotage="set_clamd MaxRecursion 60",
    says="packed 25 times",
)
def test_packed_files_have_limits(rehearsed: dict[str, Any], evidence: Evidence) -> None:
    """Packed four times the test file is found, packed 25 times the engine has given up; a bomb of
    16 MiB of nothing is answered within ten seconds."""
    packed = rehearsed["packed"]
    evidence.measured("packed", packed)
    assert not packed["trouble"], f"the engine didn't answer: {packed['trouble']}"
    assert packed["shallow"], "the test file isn't found in an archive"
    assert not packed["deep"], "the engine still unpacks what is packed 25 times"
    assert packed["bomb_seconds"] < 10, f"a bomb kept the engine busy {packed['bomb_seconds']} s"


@control(
    "antivirus_signatures_fresh",
    sabotage="cd /var/lib/tameng-antivirus && touch -d '3 days ago' updated asked",
    says="were fetched 72 hours ago",
)
def test_signatures_are_of_today(facts: Facts, official: float | None, evidence: Evidence) -> None:
    """They were fetched, or found to be the newest, within a day; and the official ones that the
    engine has loaded are of the last three days."""
    updated = facts["updated"]
    evidence.measured("updated", updated and moment(updated))
    evidence.measured("official", official and moment(official))
    evidence.measured("files", facts["signatures"])
    assert updated, "signatures were never fetched"
    hours = (facts["now"] - updated) / 3600
    assert hours > -1, "signatures were fetched in the future: a clock was wrong"
    assert hours <= OLDEST, f"signatures were fetched {hours:.0f} hours ago"
    if official:
        days = (facts["now"] - official) / 86400
        assert days <= 3, f"the loaded signatures are {days:.0f} days old"


@control(
    "antivirus_signatures_official",
    sabotage=f"rm -f /var/lib/clamav/*.c[lv]d; systemctl restart {ENGINE}",
    says="signatures are partial",
)
def test_signatures_are_whole(
    facts: Facts, official: float | None, public: Public, evidence: Evidence
) -> None:
    """ClamAV's own signatures are loaded; by others alone hardly anything is found."""
    others = [name for name in facts["signatures"] if name not in OWN]
    evidence.measured("official", official and moment(official))
    evidence.measured("files", facts["signatures"])
    if facts["memory"] >= public("antivirus_least_memory"):
        assert facts["engine"], f"the engine doesn't answer: {facts['trouble']}"
    assert official, "signatures are partial: ClamAV's own aren't loaded, only the test's" + (
        f" and {', '.join(others)}" if others else ""
    )


@control(
    "antivirus_updates",
    sabotage="break_signatures",
    says="ended with",
)
def test_the_source_of_signatures_answers(ask: Ask, evidence: Evidence) -> None:
    """The last fetch ended well, and the timer runs that begins the next one."""
    said = ask(f"systemctl show {FETCH} -p Result,ExecMainStatus,ExecMainExitTimestamp")
    fetch = dict(line.split("=", 1) for line in said.splitlines())
    timer = ask("systemctl is-active tameng-antivirus-signatures.timer", exits=(0, 3, 4)).strip()
    evidence.measured("fetch", fetch)
    evidence.measured("timer", timer)
    assert timer == "active", f"the timer of the fetch is {timer}"
    assert fetch["Result"] == "success", (
        f"the last fetch of signatures ended with {fetch['Result']} ({fetch['ExecMainStatus']})"
    )


@control(
    "antivirus_scanned",
    sabotage="systemctl disable -q --now tameng-antivirus-scan.timer",
    says="timer of the scan is inactive",
)
def test_everything_was_looked_at(ask: Ask, facts: Facts, evidence: Evidence) -> None:
    """A scan came round within the last seven days, and the timer runs. A young host, whose first
    round is due or goes on, is given the same seven days."""
    scan = facts["scan"]
    timer = ask("systemctl is-active tameng-antivirus-scan.timer", exits=(0, 3, 4)).strip()
    names = ("files", "bytes", "large", "unread", "found", "trouble")
    evidence.measured("scan", {name: scan.get(name) for name in names})
    for name in ("full", "began", "last"):
        evidence.measured(name, scan.get(name) and moment(scan[name]))
    evidence.measured("timer", timer)
    assert timer == "active", f"the timer of the scan is {timer}"
    since = scan.get("full") or scan.get("began")
    assert since, "nothing was ever looked at"
    days = (facts["now"] - since) / 86400
    assert days > -1 / 24, "everything was looked at in the future: a clock was wrong"
    assert days <= SCANNED, f"everything was last looked at {days:.0f} days ago"


@control(
    "antivirus_quarantine_decided",
    sabotage="fill_quarantine",
    says="wasn't put away",
    also=("antivirus_quarantines", "antivirus_noted"),
)
def test_somebody_decides_about_the_quarantine(facts: Facts, evidence: Evidence) -> None:
    """Nothing lies there for more than three days without release or deletion, and nothing stayed
    where it was found."""
    waiting = facts["waiting"]
    evidence.measured("waiting", len(waiting))
    evidence.measured("listed", [_told(record) for record in waiting[:MOST_LISTED]])
    left = [record for record in waiting if record["left"]]
    assert not left, f"{left[0]['path']} wasn't put away: {left[0]['left']}"
    old = [r for r in waiting if facts["now"] - r["at"] > UNDECIDED * 86400]
    assert not old, f"nobody decided about {', '.join(r['id'] for r in old)}"


@control(
    "antivirus_unprivileged",
    sabotage=f"outbid system/{ENGINE}.d {ENGINE} '[Service]'"
    " AmbientCapabilities=CAP_DAC_READ_SEARCH CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
    says="it has capabilities",
)
@pytest.mark.usefixtures("resident")
def test_the_engine_has_no_rights(ask: Ask, evidence: Evidence) -> None:
    """A user of its own, no capability, and a bound of memory."""
    said = ask(f"systemctl show {ENGINE} -p MainPID,MemoryMax")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    assert unit["MainPID"] != "0", f"{ENGINE} doesn't run"
    status = dict(
        line.split(":", 1)
        for line in ask(f"cat /proc/{unit['MainPID']}/status").splitlines()
        if ":" in line
    )
    users, rights = set(status["Uid"].split()), int(status["CapEff"], 16)
    evidence.measured("users", sorted(users))
    evidence.measured("capabilities", rights)
    evidence.measured("memory_max", unit["MemoryMax"])
    assert "0" not in users, "it runs as root"
    assert not rights, f"it has capabilities: {rights:x}"
    assert unit["MemoryMax"] != "infinity", "it may take all memory"


@control(
    "antivirus_mirror_serves",
    sabotage="systemctl disable -q --now tameng-antivirus-mirror.service",
    says="the mirror doesn't answer",
    elsewhere=("antivirus_updates",),  # of whoever fetches meanwhile
)
def test_the_mirror_serves_its_signatures(ask: Ask, public: Public, evidence: Evidence) -> None:
    """It proves itself as the others see it, gives them each file of signatures that it has, and
    nothing else; its certificate is good for thirty days more."""
    told = json.loads(ask("python3 -c %s %s %s", MIRROR, public("ansible_host"), str(PORT)))
    evidence.measured("files", told["files"])
    evidence.measured("others", told["others"])
    assert not told["trouble"], f"the mirror doesn't answer: {told['trouble']}"
    assert told["files"], "it has no signatures to give"
    wrong = [name for name, answer in told["files"].items() if answer != [200, True]]
    assert not wrong, f"it doesn't give {', '.join(wrong)}"
    more = [path for path, status in told["others"].items() if status == 200]
    assert not more, f"it also gives {', '.join(more)}"
    days = int((told["ends"] - dt.datetime.now(dt.UTC).timestamp()) / 86400)
    evidence.measured("days_left", days)
    assert days >= DAYS_LEFT, f"its certificate ends in {days} days"
