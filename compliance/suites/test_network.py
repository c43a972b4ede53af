"""The gateway between the court's zones, judged by packets that its loaded rules pass on or not.

They are sent in a copy of the gateway's network (crossing.py), and held against the matrix of
flows: each pair of zones, each service that any flow names and one that none does, IPv4 and IPv6.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import shlex
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, Evidence, broken, control

PROGRAM = base64.b64encode(Path(__file__).with_name("crossing.py").read_bytes()).decode()
OUTSIDE = "wan"
# Somewhere in the world: packets to it stay in the copy.
WORLD = ["9.9.9.9", "2620:fe::fe"]
NOTERS = "/proc/net/netfilter/nfnetlink_log"
UNUSED = ["tcp/7", "udp/7"]
MOST_CONNECTIONS = 1024
Row = dict[str, Any]
Cell = tuple[str, str, str, str, str]  # zone, source, zone, target, service


@pytest.fixture
def rows(matrix: Any) -> list[Row]:
    """What the matrix lets pass; addresses in their canonical form."""
    found: list[Row] = matrix.crossings()
    if not found:
        broken("the inventory has no flow between two zones (group_vars/all/network.yml)")
    for row in found:
        for side in ("sources", "destinations"):
            row[side] = [str(ipaddress.ip_address(a)) for a in row[side]]
    return found


@pytest.fixture
def zones(matrix: Any, rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Each zone's interface, and the addresses that packets come from and go to: one for each
    family that stands for the whole zone, and those that flows name."""
    found: dict[str, dict[str, Any]] = {}
    for name, zone in matrix.zones.items():
        anybody = WORLD if name == OUTSIDE else [_somebody(net) for net in zone.networks]
        ends = {"from": ("sources", "sources"), "to": ("targets", "destinations")}
        found[name] = {"interface": zone.interface, "networks": zone.networks, "anybody": anybody}
        for side, (key, listed) in ends.items():
            named = {a for row in rows if row[side] == name for a in row[listed]}
            found[name][key] = anybody + sorted(named)
    return found


@pytest.fixture
def services(rows: list[Row]) -> list[str]:
    """What is tried: the first port of each service that any flow names, and one of none."""
    named = {service.partition("-")[0] for row in rows for service in row["services"]}
    return sorted(named) + UNUSED


@pytest.fixture
def crossed(
    host: Any, zones: dict[str, dict[str, Any]], services: list[str], rows: list[Row]
) -> dict[str, Any]:
    """What came through; the transport asks it once for all tests."""
    busy = next((r for r in rows if any(s.startswith("tcp/") for s in r["services"])), rows[0])
    task = {
        "zones": zones,
        "services": services,
        "spoofs": _spoofs(zones, rows),
        "crowd": _probe(zones, busy),
        "times": MOST_CONNECTIONS + 200,
    }
    program = f'python3 -c "$(echo {PROGRAM} | base64 -d)" {shlex.quote(json.dumps(task))}'
    done = host.run(program)
    if done.rc:
        broken(f"the packets could not be sent: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def passed(crossed: dict[str, Any]) -> set[Cell]:
    """The cells of which a packet came out where it should."""
    return {(a, s, out, t, service) for a, s, t, service, out, _ in crossed["passed"]}


@pytest.fixture
def wanted(
    zones: dict[str, dict[str, Any]], services: list[str], rows: list[Row]
) -> dict[Cell, bool]:
    """Every cell, and whether the matrix lets it pass."""
    return {
        (a, source, b, target, service): any(
            row["from"] == a
            and row["to"] == b
            and source in (row["sources"] or [source])
            and target in (row["destinations"] or [target])
            and any(_covers(listed, service) for listed in row["services"])
            for row in rows
        )
        for a, b in permutations(zones, 2)
        for source in zones[a]["sources"]
        for target in zones[b]["targets"]
        for service in services
        if (":" in source) == (":" in target)
    }


@control(
    "network_flows_pass",
    sabotage="nft insert rule inet tameng_gateway passing udp dport 53 drop",
    says="udp/53",
    also=("network_loaded_as_intended",),
)
def test_what_is_allowed_passes(
    crossed: dict[str, Any], passed: set[Cell], wanted: dict[Cell, bool], evidence: Evidence
) -> None:
    """Each allowed cell of the matrix, by a packet; else people look for a way around."""
    allowed = {cell for cell, yes in wanted.items() if yes}
    evidence.measured("cells", crossed["cells"])
    evidence.measured("allowed", len(allowed))
    evidence.measured("passed", len(allowed & passed))
    assert crossed["cells"] == len(wanted), "not every cell of the matrix was tried"
    stopped = sorted(allowed - passed)
    assert not stopped, f"does not pass: {_told(stopped)}"


@control(
    "network_rest_refused",
    sabotage="nft insert rule inet tameng_gateway passing meta nfproto ipv6 udp dport 53 accept",
    says="udp/53",
    also=("network_loaded_as_intended", "network_isolated_zones_shut"),
)
def test_what_is_not_allowed_is_refused(
    crossed: dict[str, Any], passed: set[Cell], wanted: dict[Cell, bool], evidence: Evidence
) -> None:
    """Each cell that no flow allows, by a packet; so a rule of another program shows too."""
    refused = {cell for cell, yes in wanted.items() if not yes}
    evidence.measured("cells", crossed["cells"])
    evidence.measured("refused", len(refused - passed))
    assert crossed["cells"] == len(wanted), "not every cell of the matrix was tried"
    through = sorted(passed - {cell for cell, yes in wanted.items() if yes})
    assert not through, f"passes, and no flow allows it: {_told(through)}"


@control(
    "network_isolated_zones_shut",
    sabotage="nft insert rule inet tameng_gateway passing oifname != wan tcp dport 443 accept",
    says="tcp/443",
    also=("network_loaded_as_intended", "network_rest_refused"),
)
def test_isolated_zones_reach_no_machine_of_the_court(
    matrix: Any, passed: set[Cell], zones: dict[str, dict[str, Any]], evidence: Evidence
) -> None:
    """Whatever the matrix says: a guest gets to the internet, and nowhere else."""
    isolated = [name for name, zone in matrix.zones.items() if zone.isolated]
    evidence.measured("isolated", isolated)
    assert isolated, "no zone is isolated: guests are in none"
    reached = sorted(
        cell
        for cell in passed
        if cell[0] in isolated and cell[1] in zones[cell[0]]["anybody"] and cell[2] != OUTSIDE
    )
    assert not reached, f"passes out of an isolated zone: {_told(reached)}"


@control(
    "network_no_spoofing",
    sabotage="flush_chains from_staff from_guest",
    says="as if from",
    also=("network_loaded_as_intended",),
)
def test_a_zone_sends_by_its_own_addresses_only(
    crossed: dict[str, Any],
    zones: dict[str, dict[str, Any]],
    rows: list[Row],
    evidence: Evidence,
) -> None:
    """Packets of an allowed flow, but with an address of another zone."""
    evidence.measured("spoofed", len(_spoofs(zones, rows)))
    through = [f"{service} from {a} as if from {s}" for a, s, _, service, _ in crossed["spoofed"]]
    evidence.measured("passed", len(through))
    assert not through, f"passes: {through[0]} ({len(through)} in all)"


@control(
    "network_inner_addresses_hidden",
    sabotage="flush_chains leaving",
    says="shows itself",
    also=("network_loaded_as_intended",),
)
def test_inner_addresses_stay_inside(
    crossed: dict[str, Any], matrix: Any, evidence: Evidence
) -> None:
    """What goes out by IPv4 carries the gateway's own address (private ones lead nowhere)."""
    inner = [
        ipaddress.ip_network(net)
        for name, zone in matrix.zones.items()
        if name != OUTSIDE
        for net in zone.networks
    ]
    seen = {
        source: shown
        for _, source, _, _, out, shown in crossed["passed"]
        if out == OUTSIDE and ":" not in source
    }
    evidence.measured("shown", seen)
    assert seen, "nothing goes out by IPv4"
    bare = [s for s, shown in seen.items() if any(ipaddress.ip_address(shown) in n for n in inner)]
    assert not bare, f"{', '.join(bare)} shows itself outside"


@control(
    "network_connections_bounded",
    sabotage="flush_chains admit && nft add rule inet tameng_gateway admit accept",
    says="connections of one address",
    also=("network_loaded_as_intended",),
)
def test_one_address_can_not_take_all(crossed: dict[str, Any], evidence: Evidence) -> None:
    """More connections than anybody needs, from one address, all at once."""
    evidence.measured("passed", crossed["crowd"])
    assert 0 < crossed["crowd"] <= MOST_CONNECTIONS, (
        f"{crossed['crowd']} connections of one address pass"
    )


@control(
    "network_loaded_as_intended",
    sabotage="nft insert rule inet tameng_gateway arriving ip saddr 192.0.2.9 accept",
    says="192.0.2.9",
)
def test_loaded_rules_are_the_intended_ones(host: Any, evidence: Evidence) -> None:
    """The same nft prints both: the file is loaded into an empty network namespace to compare."""
    show = "nft -s -t list table inet tameng_gateway"  # without who is connected at the moment
    rules = host.run(f"unshare --net sh -c 'nft -f /etc/tameng/gateway.nft && {show}'")
    assert rules.rc == 0, f"the intended rules can't be loaded: {rules.stderr.strip()}"
    intended, loaded = (Counter(t.splitlines()) for t in (rules.stdout, host.run(show).stdout))
    extra = [line.strip() for line in (loaded - intended).elements()]
    missing = [line.strip() for line in (intended - loaded).elements()]
    evidence.measured("extra", extra[:20])
    evidence.measured("missing", missing[:20])
    assert not extra, f"loaded but not intended: {extra[0]}"
    assert not missing, f"intended but not loaded: {missing[0]}"


@control(
    "network_closed_without_rules",
    sabotage="systemctl disable -q tameng-gateway.service",
    says="disabled",
)
def test_without_its_rules_it_is_no_router(ask: Ask, evidence: Evidence) -> None:
    """The next start's settings pass nothing on; the unit that loads the rules turns it on, before
    any network is up and after those settings."""
    planned: dict[str, str] = {}
    for line in ask("/usr/lib/systemd/systemd-sysctl --cat-config").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.lstrip().startswith(("#", ";")):
            planned[key.strip().lstrip("-").replace("/", ".")] = value.strip()
    for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        evidence.measured(key, planned.get(key))
        assert planned.get(key) == "0", f"the next start sets {key} to {planned.get(key)}"
    said = ask(
        "systemctl show tameng-gateway.service -p UnitFileState,ActiveState,Before,After,ExecStart"
    )
    unit = dict(line.split("=", 1) for line in said.splitlines())
    evidence.measured("unit", [unit["UnitFileState"], unit["ActiveState"]])
    assert unit["UnitFileState"] == "enabled", f"the unit is {unit['UnitFileState'] or 'absent'}"
    assert unit["ActiveState"] == "active", f"the unit is {unit['ActiveState']}"
    assert "network-pre.target" in unit["Before"], "the unit is not ordered before the network"
    assert "systemd-sysctl.service" in unit["After"], "the kernel's settings come after the unit"


@control(
    "network_refusals_counted",
    sabotage="flush_chains guest_to_servers",
    says="guest_to_servers",
    also=("network_loaded_as_intended",),
)
def test_each_refusal_is_counted_and_noted(ask: Ask, matrix: Any, evidence: Evidence) -> None:
    """For each pair of zones: a log entry with a limit that names the pair, and a counter."""
    table = json.loads(ask("nft -j list table inet tameng_gateway"))["nftables"]
    rules: dict[str, list[Any]] = {}
    for rule in (item["rule"] for item in table if "rule" in item):
        rules.setdefault(rule["chain"], []).append(rule["expr"])
    silent = []
    for a, b in permutations(matrix.zones, 2):
        last = rules.get(f"{a}_to_{b}", [])[-2:]
        words = [word for rule in last for expression in rule for word in expression]
        prefix = json.dumps(last)
        if not {"limit", "log", "counter", "drop"} <= set(words) or f"{a}>{b}" not in prefix:
            silent.append(f"{a}_to_{b}")
    evidence.measured("pairs", len(matrix.zones) * (len(matrix.zones) - 1))
    assert not silent, f"refusals are not counted and noted in {', '.join(silent)}"


@control(
    "network_refusals_told",
    sabotage="systemctl stop ulogd2.service",
    says="nobody takes down",
)
def test_what_is_noted_is_taken_down(ask: Ask, evidence: Evidence) -> None:
    """Each group that the loaded rules note refusals in has somebody bound to it, by the kernel's
    own list; he runs, and starts with the machine."""
    table = json.loads(ask("nft -j list table inet tameng_gateway"))["nftables"]
    noted = {
        expression["log"].get("group")
        for rule in (item["rule"] for item in table if "rule" in item)
        for expression in rule["expr"]
        if "log" in expression
    }
    bound = {int(line.split()[0]) for line in ask(f"cat {NOTERS}").splitlines()}
    unit = ask("systemctl show ulogd2.service -p UnitFileState --value").strip()
    evidence.measured("groups", sorted(noted, key=str))
    evidence.measured("bound", sorted(bound))
    assert noted, "the loaded rules note nothing"
    assert noted <= bound, f"nobody takes down what the rules note in {sorted(noted - bound)}"
    assert unit == "enabled", f"ulogd2.service is {unit or 'absent'}"


def _somebody(network: str) -> str:
    """An address of a zone that no host has: the last but two."""
    net = ipaddress.ip_network(network)
    return str(net[-3])


def _covers(listed: str, service: str) -> bool:
    """Whether a flow's service (tcp/8000-8010) has the one that was tried (tcp/8005)."""
    kind, _, ports = listed.partition("/")
    tried, _, port = service.partition("/")
    first, _, last = ports.partition("-")
    return kind == tried and (not ports or int(first) <= int(port) <= int(last or first))


def _probe(zones: dict[str, dict[str, Any]], row: Row, version: str = ".") -> list[str]:
    """One packet of a flow: zone, source, target, service."""
    source = [a for a in row["sources"] or zones[row["from"]]["anybody"] if version in a]
    target = [a for a in row["destinations"] or zones[row["to"]]["anybody"] if version in a]
    service = next((s for s in row["services"] if s.startswith("tcp/")), row["services"][0])
    return [row["from"], *source[:1], *target[:1], service.partition("-")[0]]


def _spoofs(zones: dict[str, dict[str, Any]], rows: list[Row]) -> list[list[str]]:
    """A packet of each flow and family, from each other zone's address."""
    found = []
    for row in rows:
        for version in ".:":
            probe = _probe(zones, row, version)
            for name, zone in zones.items():
                source = [a for a in zone["anybody"] if version in a]
                if name != row["from"] and source and len(probe) == len("zstp"):
                    found.append([probe[0], source[0], *probe[2:]])
    return found


def _told(cells: list[Cell]) -> str:
    a, source, b, target, service = cells[0]
    more = f" ({len(cells)} cells in all)" if len(cells) > 1 else ""
    return f"{service} {a}>{b}, {source} to {target}{more}"
