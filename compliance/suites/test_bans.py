"""Bans of whoever guesses at log-ins, judged by what the running fail2ban answers over its socket,
and by what the kernel has loaded."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, control

Public = Callable[[str], Any]
Jails = dict[str, dict[str, Any]]
MOST_TRIES = 10
LEAST_WINDOW = 300
LEAST_BAN = 600
LONGEST_BAN = 86400
MOST_LISTED = 20
DETECTION = [["_SYSTEMD_UNIT=tameng-detection.service"]]
# Jail and address of each ban since the month began; one that is only restored is none.
BANS = (
    'journalctl -q -o cat -u fail2ban.service --since "$(date +%Y-%m-01)"'
    r" | sed -nE 's/.*\[([^]]+)\] Ban ([0-9a-fA-F.:]+)$/\1 \2/p'"
)
STRANGER = "192.0.2.66"  # TEST-NET-1: nobody's
# As sshd of Debian 12 and 13 writes them: a user who isn't there, a password where only keys count.
GUESSES = [
    f"Invalid user admin from {STRANGER} port 40404",
    f"Connection closed by authenticating user root {STRANGER} port 40404 [preauth]",
    f"Connection closed by invalid user admin {STRANGER} port 40404 [preauth]",
]
# As the website writes it (role website).
WEB_GUESS = f"tameng-website[4711]: wrong log-in from {STRANGER}"
JAIL = """
maxretry findtime bantime bantime.increment usedns ignoreip ignoreself ignorecommand
journalmatch prefregex failregex actions
"""
# Over the socket: the client's own answers are made for people. Only questions.
PROGRAM = f"""
import json
from fail2ban.client.csocket import CSocket
daemon = CSocket("/run/fail2ban/fail2ban.sock")
def get(*words):
    code, said = daemon.send(["get", *words])
    if code: raise SystemExit(f"{{words}}: {{said}}")
    return said
listed = dict(daemon.send(["status"])[1])["Jail list"]
jails = [name.strip() for name in listed.split(",") if name.strip()]
print(json.dumps(dict(
    logtarget=get("logtarget"), dbfile=get("dbfile"), dbpurgeage=get("dbpurgeage"),
    jails={{j: {{key: get(j, key) for key in {JAIL.split()}}} for j in jails}},
), default=str))
"""


@pytest.fixture
def daemon(ask: Ask) -> dict[str, Any]:
    """What the running daemon says of itself and of each jail; sent once for all tests."""
    said: dict[str, Any] = json.loads(ask(f"python3 -c {shlex.quote(PROGRAM)}"))
    return said


def watched(daemon: dict[str, Any]) -> Jails:
    """Its jails, the one for sshd among them."""
    found: Jails = daemon["jails"]
    assert "sshd" in found, "no jail watches sshd"
    return found


@control(
    "bans_running",
    sabotage="systemctl disable -q --now fail2ban.service",
    says="fail2ban.service is inactive",
    also=(
        "bans_at_gateway",
        "bans_by_address",
        "bans_end",
        "bans_noted",
        "bans_operator_never",
        "bans_outlive_restart",
        "bans_own_table",
        "bans_sshd_watched",
        "bans_threshold",
        "bans_website_watched",
    ),
)
def test_the_guard_is_there(ask: Ask, host: Any, evidence: Evidence) -> None:
    """It runs, it starts with the machine, and it answers."""
    said = ask("systemctl show fail2ban.service -p ActiveState,UnitFileState")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("unit", unit)
    assert unit["ActiveState"] == "active", f"fail2ban.service is {unit['ActiveState']}"
    assert unit["UnitFileState"] == "enabled", "fail2ban.service doesn't start with the machine"
    answer = host.run("fail2ban-client ping").stdout.strip()
    evidence.measured("answer", answer)
    assert answer.endswith("pong"), "fail2ban doesn't answer"


@control(
    "bans_sshd_watched",
    sabotage="outbid_jail sshd 'journalmatch = _COMM=sshd'",
    says="believes",
)
def test_a_wrong_log_in_is_known_as_one(daemon: dict[str, Any], evidence: Evidence) -> None:
    """The running jail's own patterns know a guess; it reads what sshd's units wrote, and not
    what any program of that name says."""
    jail = watched(daemon)["sshd"]
    missed = [g for g in GUESSES if not knows(jail, f"host sshd[4711]: {g}")]
    evidence.measured("journalmatch", jail["journalmatch"])
    evidence.measured("missed", missed)
    trusted = [["_SYSTEMD_UNIT=ssh.service"], ["_SYSTEMD_UNIT=tameng-backup-door.service"]]
    assert jail["journalmatch"] == trusted, f"it believes {jail['journalmatch']}"
    assert not missed, f"not known as a wrong log-in: {missed[0]}"


@control(
    "bans_website_watched",
    sabotage="outbid_jail tameng-website 'enabled = false'",
    says="no jail watches the website",
)
def test_a_wrong_log_in_at_the_website_is_known_as_one(
    daemon: dict[str, Any], evidence: Evidence
) -> None:
    """As for sshd: the running jail knows what the website notes, and believes nobody else."""
    jail = watched(daemon).get("tameng-website")
    assert jail, "no jail watches the website"
    evidence.measured("journalmatch", jail["journalmatch"])
    trusted = [["_SYSTEMD_UNIT=apache2.service", "SYSLOG_IDENTIFIER=tameng-website"]]
    assert jail["journalmatch"] == trusted, f"it believes {jail['journalmatch']}"
    assert knows(jail, f"host {WEB_GUESS}"), f"not known as a wrong log-in: {WEB_GUESS}"


@control("bans_threshold", sabotage="tell_fail2ban maxretry 5000", says="5000 wrong log-ins")
def test_who_tries_often_is_banned(daemon: dict[str, Any], evidence: Evidence) -> None:
    """Few tries, counted over a time that a patient attacker doesn't outwait, and a ban that he
    feels."""
    for name, jail in watched(daemon).items():
        tries, window, ban = jail["maxretry"], jail["findtime"], jail["bantime"]
        evidence.measured(name, {"maxretry": tries, "findtime": window, "bantime": ban})
        assert tries <= MOST_TRIES, f"{name}: {tries} wrong log-ins are let pass"
        assert window >= LEAST_WINDOW, f"{name}: tries are forgotten after {window} s"
        assert ban < 0 or ban >= LEAST_BAN, f"{name}: a ban lasts {ban} s only"


@control("bans_end", sabotage="tell_fail2ban bantime -1", says="for ever")
def test_every_ban_ends(daemon: dict[str, Any], evidence: Evidence) -> None:
    """Within a day, and it doesn't grow from one ban to the next."""
    for name, jail in watched(daemon).items():
        ban, grows = jail["bantime"], jail["bantime.increment"]
        evidence.measured(name, {"bantime": ban, "increment": grows})
        assert ban > 0, f"{name}: a ban lasts for ever"
        assert ban <= LONGEST_BAN, f"{name}: a ban lasts {ban} s"
        assert not grows, f"{name}: each ban is longer than the one before"


@control(
    "bans_operator_never",
    sabotage="outbid_jail sshd 'ignoreip = 127.0.0.1'",
    says="can be banned",
)
def test_the_operator_can_not_be_banned(
    daemon: dict[str, Any], public: Public, evidence: Evidence
) -> None:
    """Every jail leaves out all of the management zone and what the inventory names, and not
    everybody."""
    wanted = [*public("operator_sources"), *public("bans_never"), "127.0.0.0/8", "::1"]
    networks = [ipaddress.ip_network(word) for word in wanted]
    evidence.measured("never", [str(network) for network in networks])
    for name, jail in watched(daemon).items():
        spared = [ipaddress.ip_network(word) for word in jail["ignoreip"]]
        evidence.measured(name, [str(network) for network in spared])
        open_to = [str(net) for net in networks if not any(_inside(net, s) for s in spared)]
        assert not open_to, f"{name}: {', '.join(open_to)} can be banned"
        assert jail["ignoreself"], f"{name}: the host can ban itself"
        extra = [str(s) for s in spared if not any(_inside(s, net) for net in networks)]
        assert not extra, f"{name}: {', '.join(extra)} is never banned, and nobody declared it"
        assert not jail["ignorecommand"], f"{name}: a program says who isn't banned"


@control(
    "bans_at_gateway",
    sabotage="fail2ban-client stop zone-guest",
    says="guest",
)
def test_who_scans_is_shut_out_between_the_zones(
    ask: Ask, daemon: dict[str, Any], matrix: Any, evidence: Evidence
) -> None:
    """A jail for each zone believes the detection's unit, and nobody else; its rule drops what a
    banned address begins by that zone's interface, before any way is chosen."""
    loaded = ask("nft list table inet f2b-table", exits=(0, 1))
    chain = loaded.partition("chain f2b-zones")[2].partition("}")[0]
    evidence.measured("rules", chain.count(" drop"))
    for name, zone in matrix.zones.items():
        jail = daemon["jails"].get(f"zone-{name}")
        assert jail, f"nobody watches for who scans out of {name}"
        believed = jail["journalmatch"]
        evidence.measured(name, believed)
        assert believed == DETECTION, f"{name}: it believes {believed}"
        for group in (f"@addr-set-zone-{name}", f"@addr6-set-zone-{name}"):
            wanted = rf'iifname "{re.escape(zone.interface)}" ct state new ip6? saddr {group} drop'
            assert re.search(wanted, chain), f"no rule drops what is begun by who is in {group}"
    assert "hook prerouting" in chain, "the rules don't stand before the choice of a way"


@control(
    "bans_own_table",
    sabotage="nft delete table inet f2b-table",
    says="no rule refuses",
    also=("bans_at_gateway",),
)
def test_bans_hold_in_a_table_of_their_own(
    ask: Ask, daemon: dict[str, Any], evidence: Evidence
) -> None:
    """For every jail and both families: a rule on what comes in, before the host's own firewall,
    that refuses whoever is in the jail's set."""
    ruleset = json.loads(ask("nft -j list ruleset"))["nftables"]
    chains = {
        item["chain"]["name"]: item["chain"]["prio"]
        for item in (i for i in ruleset if i.get("chain", {}).get("table") == "f2b-table")
        if item["chain"].get("hook") in ("input", "prerouting")
    }
    rules = [
        rule["expr"]
        for rule in (item["rule"] for item in ruleset if "rule" in item)
        if rule["table"] == "f2b-table" and chains.get(rule["chain"], 0) < 0
    ]
    evidence.measured("rules", len(rules))
    for name, jail in watched(daemon).items():
        evidence.measured(name, jail["actions"])
        assert jail["actions"] == ["nftables"], f"{name} bans by {', '.join(jail['actions'])}"
        for group in (f"@addr-set-{name}", f"@addr6-set-{name}"):
            held = any(
                group in json.dumps(rule) and ("reject" in rule[-1] or "drop" in rule[-1])
                for rule in rules
            )
            assert held, f"{name}: no rule refuses who is in {group}"


@control(
    "bans_outlive_restart",
    sabotage="outbid_fail2ban 'dbfile = None'",
    says="kept nowhere",
)
def test_bans_outlive_a_restart(daemon: dict[str, Any], evidence: Evidence) -> None:
    """They are kept on the disk, for longer than a ban lasts."""
    kept, seconds = daemon["dbfile"], daemon["dbpurgeage"]
    evidence.measured("dbfile", kept)
    evidence.measured("dbpurgeage", seconds)
    assert str(kept).startswith("/var/lib/"), f"bans are kept nowhere ({kept})"
    longest = max(jail["bantime"] for jail in watched(daemon).values())
    assert int(seconds) > longest, f"bans are forgotten after {seconds} s, and last {longest} s"


@control("bans_by_address", sabotage="tell_fail2ban usedns yes", says="looks up names")
def test_nobody_bans_others_by_his_name_server(daemon: dict[str, Any], evidence: Evidence) -> None:
    """A name in a log line is the attacker's to choose."""
    for name, jail in watched(daemon).items():
        evidence.measured(name, jail["usedns"])
        assert jail["usedns"] == "no", f"{name} looks up names (usedns is {jail['usedns']})"


@control(
    "bans_noted",
    sabotage="outbid_fail2ban 'logtarget = /var/log/fail2ban.log'",
    says="/var/log/fail2ban.log",
)
def test_bans_are_in_the_journal(ask: Ask, daemon: dict[str, Any], evidence: Evidence) -> None:
    """From there they go to the log server. The month's bans come along: the documents count by
    them."""
    bans = Counter(ask(BANS).splitlines())
    evidence.measured("bans_count", sum(bans.values()))
    evidence.measured(
        "bans",
        [
            {"jail": line.split()[0], "address": line.split()[1], "count": count}
            for line, count in sorted(bans.items(), key=lambda item: (-item[1], item[0]))
        ][:MOST_LISTED],
    )
    evidence.measured("logtarget", daemon["logtarget"])
    journal = {"SYSTEMD-JOURNAL", "SYSOUT", "STDOUT", "SYSLOG"}
    assert daemon["logtarget"] in journal, f"bans are noted in {daemon['logtarget']} only"


def knows(jail: dict[str, Any], line: str) -> bool:
    """Whether the jail's own patterns read a wrong log-in of the stranger in a line."""
    if jail["prefregex"]:
        head = re.match(jail["prefregex"], line)
        line = head["content"] if head else ""
    hits = [found for pattern in jail["failregex"] if (found := re.match(pattern, line))]
    return {found["ip4"] for found in hits if not found.groupdict().get("nofail")} == {STRANGER}


def _inside(inner: Any, outer: Any) -> bool:
    return bool(inner.version == outer.version and inner.subnet_of(outer))
