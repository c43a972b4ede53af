"""Detection on the gateway, judged by what the running Suricata answers over its socket, by what
the kernel gave the process, and by its alerts in the journal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control, not_applicable

UNIT = "tameng-detection.service"
ENGINE = Path(__file__).with_name("engine.py").read_text()
SOCKET = "/run/tameng-detection/socket"
UPDATED = "/var/lib/tameng-detection/updated"
QUEUES = "/proc/net/netfilter/nfnetlink_queue"
# What the court's own rules must know.
KINDS = {
    "scan_seen",
    "sweep_seen",
    "guesses_seen",
    "tunnel_seen",
    "lateral_seen",
    "flood_seen",
    "router_seen",
    "self_test",
}
TEST_EVERY = 26  # hours
MOST_LOST = 1.0  # per cent of the packets of an interface
OLDEST_RULES = 3  # days
MAY = 1 << 13  # CAP_NET_RAW: sees packets
STATISTICS = 9  # seconds after which a young engine has counted once
Public = Callable[[str], Any]


Told = dict[str, Any]
Engine = Callable[..., Told]


@pytest.fixture
def engine(ask: Ask) -> Engine:
    """All that the running engine tells, ``later`` by some seconds; None is what it can't tell.
    Asked once for all tests."""

    def told(later: int = 0) -> Told:
        found: Told = json.loads(ask("python3 -c %s %s %s", ENGINE, SOCKET, str(later)))
        return found

    return told


@pytest.fixture
def told(engine: Engine) -> Told:
    """What it tells now."""
    return engine()


@control(
    "detection_running",
    sabotage=f"systemctl disable -q --now {UNIT}",
    says=f"{UNIT} is inactive",
    also=(
        "detection_every_zone",
        "detection_keeps_up",
        "detection_rules_fresh",
        "detection_rules_loaded",
        "detection_stops_nothing",
        "detection_tested",
        "detection_unprivileged",
        "detection_yields",
    ),
)
def test_somebody_looks_on(ask: Ask, host: Any, evidence: Evidence) -> None:
    """It runs, starts with the machine, comes back by itself, and answers."""
    said = ask(f"systemctl show {UNIT} -p ActiveState,UnitFileState,Restart")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("unit", unit)
    assert unit["ActiveState"] == "active", f"{UNIT} is {unit['ActiveState']}"
    assert unit["UnitFileState"] == "enabled", f"{UNIT} doesn't start with the machine"
    assert unit["Restart"] == "always", f"{UNIT} doesn't come back by itself"
    answer = host.run("python3 -c %s %s %s", ENGINE, SOCKET, "0")
    assert answer.rc == 0, f"it doesn't answer: {answer.stderr.strip()}"
    evidence.measured("uptime", json.loads(answer.stdout)["uptime"])


@control(
    "detection_every_zone",
    sabotage="blind_detection guest",
    says="guest",
    also=("detection_tested",),
)
def test_every_zone_is_looked_at(told: Told, matrix: Any, evidence: Evidence) -> None:
    """The interfaces that the engine captures on, against the court's zones; and packets came."""
    packets = {name: stat["pkts"] for name, stat in told["interfaces"].items()}
    evidence.measured("packets", packets)
    missing = {zone.interface for zone in matrix.zones.values()} - packets.keys()
    assert not missing, f"nobody looks at {', '.join(sorted(missing))}"
    deaf = sorted(name for name, number in packets.items() if not number)
    assert not deaf, f"not one packet was seen on {', '.join(deaf)}"


@control(
    "detection_rules_loaded",
    sabotage="sed -i '/lateral_seen/d' /etc/suricata/tameng/tameng.rules"
    f" && systemctl reload {UNIT}",
    says="no rule knows lateral_seen",
)
def test_every_rule_is_loaded(ask: Ask, told: Told, evidence: Evidence) -> None:
    """As many as its files have, none refused, and of each kind that the court wants one."""
    (stats,), files = told["rules"], told["rule_files"]
    lines = ask(f"cat {' '.join(map(shlex.quote, files))}").splitlines()
    rules = [line for line in lines if line.startswith(("alert ", "pass ", "drop ", "reject"))]
    evidence.measured("files", files)
    evidence.measured("rules", len(rules))
    evidence.measured("loaded", stats["rules_loaded"])
    evidence.measured("failed", stats["rules_failed"])
    unknown = sorted(
        kind for kind in KINDS if not any(f"metadata:tameng {kind};" in rule for rule in rules)
    )
    assert not unknown, f"no rule knows {', '.join(unknown)}"
    assert not stats["rules_failed"], f"{stats['rules_failed']} rules were refused"
    assert stats["rules_loaded"] == len(rules), (
        f"{stats['rules_loaded']} rules are loaded, the files have {len(rules)}"
    )


@control(
    "detection_tested",
    sabotage="sed -i 's/filetype: syslog/filetype: regular/' /etc/suricata/tameng/suricata.yaml"
    f" && systemctl restart {UNIT}",
    says="no test was seen",
)
def test_the_daily_test_was_seen(ask: Ask, matrix: Any, evidence: Evidence) -> None:
    """The journal has an alert of the test for each zone: of today or yesterday, and by the engine
    as it runs now."""
    began = ask(f"systemctl show {UNIT} -p ExecMainStartTimestamp --timestamp=unix --value")
    since = max(int(began.strip().lstrip("@") or 0), int(ask("date +%s")) - 3600 * TEST_EVERY)
    log = f"journalctl -q -o cat -u {UNIT} --since @{since}"
    lines = ask(f"{log} | grep -F '\"self_test\"' || true").splitlines()
    seen = {told["in_iface"]: told["timestamp"] for told in map(json.loads, lines)}
    evidence.measured("seen", seen)
    missing = {zone.interface for zone in matrix.zones.values()} - seen.keys()
    assert not missing, f"no test was seen on {', '.join(sorted(missing))}"


@control("detection_keeps_up", sabotage="drown_detection guest", says="of guest")
def test_hardly_a_packet_is_lost(told: Told, evidence: Evidence) -> None:
    """Of what each interface carried since the engine started, as the kernel counts it."""
    lost = {
        name: round(100 * stat["drop"] / max(1, stat["pkts"]), 2)
        for name, stat in told["interfaces"].items()
    }
    evidence.measured("lost_percent", lost)
    late = [f"{share} % of {name}" for name, share in lost.items() if share > MOST_LOST]
    assert not late, f"packets were not seen: {', '.join(late)}"


@control(
    "detection_rules_fresh",
    sabotage=f"touch -d '9 days ago' {UPDATED}",
    says="9 days ago",
)
def test_rules_of_others_are_of_these_days(
    ask: Ask, told: Told, public: Public, evidence: Evidence
) -> None:
    """Fetched within three days, and fetched again each day; where the court has declared a
    source."""
    (stats,) = told["rules"]
    evidence.measured("loaded", stats["rules_loaded"])
    sources = public("detection_sources")
    if not sources:
        not_applicable(
            f"no source of rules is declared; {stats['rules_loaded']} of the court's own are loaded"
        )
    evidence.measured("sources", sources)
    timer = ask("systemctl show tameng-detection-rules.timer -p ActiveState --value").strip()
    assert timer == "active", f"nobody fetches them: the timer is {timer}"
    now, *fetched = map(int, ask(f"date +%s; stat -c %Y {UPDATED} || true").split())
    assert fetched, "they were never fetched"
    days = (now - fetched[0]) / 86400
    evidence.measured("days_old", round(days, 1))
    assert days <= OLDEST_RULES, f"they were last fetched {days:.0f} days ago"


@control(
    "detection_stops_nothing",
    sabotage=f"outbid system/{UNIT}.d {UNIT} '[Service]' ExecStart= 'ExecStart=/usr/bin/suricata"
    " --simulate-ips --af-packet -c /etc/suricata/tameng/suricata.yaml -l /run/tameng-detection'"
    f" && systemctl start {UNIT}",
    says="it decides on packets",
)
def test_no_traffic_waits_for_it(ask: Ask, told: Told, engine: Engine, evidence: Evidence) -> None:
    """The engine looks on by a copy and decides on nothing; no packet waits in a queue for a
    program; no unit needs it."""
    mode, copies = told["mode"], told["copies"]
    counters = told["counters"]
    if counters is None:  # it has just begun
        counters = engine(later=STATISTICS)["counters"] or broken("the engine counts nothing")
    queues = ask(f"cat {QUEUES} 2>/dev/null || true").split("\n")
    needed = ask(f"systemctl show {UNIT} -p RequiredBy,RequisiteOf,BoundBy --value").split()
    evidence.measured("mode", mode)
    evidence.measured("decides", "ips" in counters)
    evidence.measured("queues", len([line for line in queues if line]))
    evidence.measured("needed_by", needed)
    assert mode == "AF_PACKET_DEV", f"it captures by {mode}"
    assert "ips" not in counters, "it decides on packets: its mode is that of an IPS"
    assert not any(copies), "it passes packets on from one interface to another"
    assert not any(queues), "packets wait in the kernel for a program to decide"
    assert not needed, f"{', '.join(needed)} can't run without it"


@control(
    "detection_yields",
    sabotage=f"outbid system/{UNIT}.d {UNIT} '[Service]' MemoryMax=infinity",
    says="all the memory",
)
def test_it_takes_nothing_from_the_gateway(ask: Ask, evidence: Evidence) -> None:
    """A bound of its memory, and it comes after the others for a processor."""
    said = ask(f"systemctl show {UNIT} -p MemoryMax,MemoryCurrent,MainPID")
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("memory", [unit["MemoryCurrent"], unit["MemoryMax"]])
    assert unit["MemoryMax"] != "infinity", "it may take all the memory"
    assert unit["MainPID"] != "0", f"{UNIT} doesn't run"
    nice = int(ask(f"ps -o ni= -p {unit['MainPID']}"))
    evidence.measured("nice", nice)
    assert nice > 0, "it is served before the others"


@control(
    "detection_unprivileged",
    sabotage=f"outbid system/{UNIT}.d {UNIT} '[Service]'"
    " 'AmbientCapabilities=CAP_NET_RAW CAP_DAC_OVERRIDE'"
    " 'CapabilityBoundingSet=CAP_NET_RAW CAP_DAC_OVERRIDE'"
    f" && systemctl start {UNIT}",
    says="it may do more",
)
def test_it_may_see_packets_and_nothing_else(ask: Ask, evidence: Evidence) -> None:
    """A user of its own, with the one capability that capturing needs."""
    pid = ask(f"systemctl show -p MainPID --value {UNIT}").strip()
    assert pid != "0", f"{UNIT} doesn't run"
    status = dict(
        line.split(":", 1) for line in ask(f"cat /proc/{pid}/status").splitlines() if ":" in line
    )
    users, rights = set(status["Uid"].split()), int(status["CapEff"], 16)
    evidence.measured("users", sorted(users))
    evidence.measured("capabilities", f"{rights:x}")
    assert "0" not in users, "it runs as root"
    assert not rights & ~MAY, f"it may do more than see packets: {rights:x}"
