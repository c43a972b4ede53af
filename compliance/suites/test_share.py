"""Shares for Windows PCs, asked as a PC would ask; what needs a person's password is asked of the
same daemon by the same settings, where only the asking process sees it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, control

Public = Callable[[str], Any]
QUIET = "-s /dev/null --option='client min protocol=CORE'"
MOST_GUESSES, LONGEST = 5, 60  # minutes
REHEARSAL = Path(__file__).with_name("persons_pc.py").read_text()


@pytest.fixture
def shares(public: Public) -> dict[str, list[str]]:
    """Which there are, and for whom."""
    return {one["name"]: list(one["people"]) for one in public("file_share_shares")}


@pytest.fixture
def conf(ask: Ask) -> str:
    """The settings that the daemon which holds port 445 was started with."""
    said = ask("ss -Htlnp 'sport = :445' | grep -o 'pid=[0-9]*' | head -n 1 | cut -c5-").strip()
    assert said, "nobody answers at port 445"
    words = ask(f"tr '\\0' '\\n' </proc/{said}/cmdline").split("\n")
    assert "-s" in words, "the daemon at port 445 runs by other settings than ours"
    return words[words.index("-s") + 1]


@pytest.fixture
def rehearsal(ask: Ask, conf: str, shares: dict[str, list[str]]) -> dict[str, Any]:
    """What a person's PC gets."""
    words = f"{shlex.quote(conf)} {shlex.quote(json.dumps(shares))}"
    said = ask(
        "unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private"
        f" python3 -c {shlex.quote(REHEARSAL)} {words}"
    )
    told: dict[str, Any] = json.loads(said)
    return told


@control(
    "share_sealed",
    sabotage="set_share 's/server smb encrypt = required/server smb encrypt = off/;"
    " s/SMB3_11/SMB2_10/'",
    says="SMB2_10",
)
def test_nothing_goes_in_clear(ask: Ask, rehearsal: dict[str, Any], evidence: Evidence) -> None:
    """The running daemon answers no older way of speaking; and a PC that doesn't ask for encryption
    is made to."""
    for old in ("NT1", "SMB2_10", "SMB3_00"):
        said = ask(f"smbclient -L //127.0.0.1 -N -m {old} {QUIET} 2>&1 | tail -n 1", exits=(0, 1))
        evidence.measured(old, said.strip())
        assert "negotiation" in said, f"it speaks {old}"
    evidence.measured("rehearsal", rehearsal)
    assert "blocks available" in rehearsal["listed"], f"nobody gets in: {rehearsal['listed']}"
    assert rehearsal["sealed"], "it doesn't say how somebody came in"
    for how in rehearsal["sealed"]:
        assert how["degree"] == "full", f"it gives files out unencrypted: {how}"


@control(
    "share_no_guests",
    sabotage="set_share 's/map to guest = never/map to guest = bad user/;"
    " s/valid users = .*/guest ok = yes/; s/smb encrypt = required/smb encrypt = off/;"
    " s/restrict anonymous = 2/restrict anonymous = 0/' && chmod 2777 /srv/share/*",
    says="without a password",
    also=("share_sealed", "share_people_declared"),
)
@pytest.mark.usefixtures("conf")
def test_strangers_get_nothing(ask: Ask, shares: dict[str, list[str]], evidence: Evidence) -> None:
    """Without a name, and with a name that nobody has."""
    for name in shares:
        for who in ("-N", "-U nobody-known%wrong"):
            said = ask(f"smbclient //127.0.0.1/{name} {who} -s /dev/null -c ls 2>&1", exits=(0, 1))
            evidence.measured(f"{name} {who.split('%')[0]}", said.strip()[-120:])
            assert "blocks available" not in said, f"{name} opens without a password"
            assert "NT_STATUS" in said, f"{name}: {said.strip()[-120:]}"


@control(
    "share_people_declared",
    sabotage="add_share_person tamu",
    says="tamu",
)
def test_only_declared_people_come_in(
    ask: Ask,
    conf: str,
    rehearsal: dict[str, Any],
    shares: dict[str, list[str]],
    evidence: Evidence,
) -> None:
    """Who has a password for the daemon that runs, who is in each share's group, and that a
    person gets no further than to his own."""
    passwords = {
        line.split(":")[0] for line in ask(f"pdbedit -s {conf} -L").splitlines() if ":" in line
    }
    evidence.measured("passwords", sorted(passwords))
    evidence.measured("others", rehearsal["others"])
    declared = {name for people in shares.values() for name in people}
    strangers = passwords - declared
    assert not strangers, f"{', '.join(sorted(strangers))} has a password, and is nobody's"
    for name, people in shares.items():
        members = set(ask(f"getent group share-{name} | cut -d: -f4").strip().split(",")) - {""}
        evidence.measured(name, sorted(members))
        assert members == set(people), f"{name}: {', '.join(sorted(members ^ set(people)))}"
    assert "blocks available" in rehearsal["listed"], f"nobody gets in: {rehearsal['listed']}"
    for name, said in rehearsal["others"].items():
        assert "NT_STATUS_ACCESS_DENIED" in said, f"{rehearsal['who']} gets into {name}"


@control(
    "share_guessing_locks",
    sabotage="pdbedit -s /etc/tameng/file_share/smb.conf -P 'bad lockout attempt' -C 0",
    says="wrong passwords are answered",
)
def test_who_guesses_is_kept_out(
    ask: Ask, conf: str, rehearsal: dict[str, Any], evidence: Evidence
) -> None:
    """After some wrong passwords the right one opens nothing either, for a while; for ever would
    be a means to keep somebody from his work."""
    told = rehearsal["guesses"]
    evidence.measured("guesses", told)
    said = ask(f"pdbedit -s {shlex.quote(conf)} -P 'lockout duration'")
    minutes = int(said.rpartition(":")[2])
    evidence.measured("minutes", minutes)
    assert told["answered"] <= MOST_GUESSES, f"{told['answered']} wrong passwords are answered"
    assert "LOCKED_OUT" in told["then"], f"the right one opens after them: {told['then']}"
    assert 0 < minutes <= LONGEST, f"it stays so for {minutes} minutes"
