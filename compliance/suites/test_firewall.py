"""The host's firewall, judged by the rules that the kernel has loaded."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from compliance.suite import Ask, Evidence, control

Rules = list[list[dict[str, Any]]]
OTHER_TOOLS = ("ufw", "firewalld", "netfilter-persistent")


@control(
    "firewall_default_deny",
    sabotage="nft add chain inet tameng input '{ policy accept; }'",
    says="accept",
    also=("firewall_loaded_as_intended",),
)
def test_default_is_deny(table: list[dict[str, Any]], evidence: Evidence) -> None:
    """One base chain on input for IPv4 and IPv6, and its policy drops."""
    chains = [item["chain"] for item in table if item.get("chain", {}).get("hook") == "input"]
    policies = [chain["policy"] for chain in chains]
    evidence.measured("input_policies", policies)
    assert policies, "the table inet tameng is not loaded or has no chain on input"
    assert set(policies) == {"drop"}, f"the policy of the input chain is {', '.join(policies)}"


@control(
    "firewall_loaded_as_intended",
    sabotage="nft insert rule inet tameng input tcp dport 4444 accept",
    says="4444",
    also=("firewall_invalid_dropped", "firewall_services_as_declared"),
)
def test_loaded_rules_are_the_intended_ones(host: Any, evidence: Evidence) -> None:
    """The same nft prints both: the file is loaded into an empty network namespace to compare."""
    rules = host.run(
        "unshare --net sh -c 'nft -f /etc/tameng/firewall.nft && nft -s list table inet tameng'"
    )
    assert rules.rc == 0, f"the intended rules can't be loaded: {rules.stderr.strip()}"
    intended = rules.stdout
    loaded = host.run("nft -s list table inet tameng")
    evidence.measured("intended_lines", len(intended.splitlines()))
    extra = [ln.strip() for ln in _only(loaded.stdout, intended)]
    missing = [ln.strip() for ln in _only(intended, loaded.stdout)]
    evidence.measured("extra", extra)
    evidence.measured("missing", missing[:20])
    assert not extra, f"loaded but not intended: {extra[0]}"
    assert not missing, f"intended but not loaded: {missing[0]}"


@control(
    "firewall_loaded_at_boot",
    sabotage="systemctl disable -q tameng-firewall.service",
    says="disabled",
)
def test_loaded_at_boot(ask: Ask, evidence: Evidence) -> None:
    """systemd itself says whether it starts the unit, and whether before the network."""
    shown = _properties(
        ask("systemctl show tameng-firewall.service -p UnitFileState -p ActiveState -p Before")
    )
    evidence.measured("unit", shown)
    assert shown["UnitFileState"] == "enabled", f"the unit is {shown['UnitFileState'] or 'absent'}"
    assert shown["ActiveState"] == "active", f"the unit is {shown['ActiveState']}"
    assert "network-pre.target" in shown["Before"], "the unit is not ordered before the network"


@control(
    "firewall_only_one",
    sabotage="stand_in ufw.service",
    says="ufw",
)
def test_no_other_tool_sets_rules(ask: Ask, evidence: Evidence) -> None:
    """Neither running nor started at the next boot."""
    states: dict[str, str] = {}
    for tool in OTHER_TOOLS:
        shown = _properties(ask(f"systemctl show {tool}.service -p ActiveState -p UnitFileState"))
        states[tool] = f"{shown['ActiveState']} {shown['UnitFileState']}".strip()
    evidence.measured("tools", states)
    beside = [t for t, state in states.items() if {"active", "enabled"} & set(state.split())]
    assert not beside, f"{', '.join(beside)} sets rules beside our own"


@control(
    "firewall_ssh_from_operators",
    sabotage="nft insert rule inet tameng input tcp dport 22 accept",
    says="open to anywhere",
    also=("firewall_invalid_dropped", "firewall_loaded_as_intended"),
)
def test_ssh_only_from_operators(
    input_rules: Rules,
    table: list[dict[str, Any]],
    matrix: Any,
    target: Any,
    evidence: Evidence,
) -> None:
    """Every source from which port 22 is accepted is one of the flow ssh of the inventory."""
    allowed = [
        ipaddress.ip_network(net)
        for flow in matrix.lets_in(target.name)
        if flow["id"] == "ssh"
        for net in flow["networks"]
    ]
    sources: list[str] = []
    for rule in input_rules:
        if _accepts(rule) and ("tcp", 22) in _ports(rule):
            sources += _sources(rule, table) or ["anywhere"]
    evidence.measured("sources", sources)
    assert sources, "no rule lets anybody in on port 22"
    strangers = [s for s in sources if s == "anywhere" or not _within(s, allowed)]
    assert not strangers, f"port 22 is open to {', '.join(strangers)}"


@control(
    "firewall_services_as_declared",
    sabotage="nft insert rule inet tameng input udp dport 161 accept",
    says="161/udp",
    also=("firewall_invalid_dropped", "firewall_loaded_as_intended"),
)
def test_open_ports_are_declared(
    input_rules: Rules, open_ports: set[tuple[str, int]], evidence: Evidence
) -> None:
    """The ports that the loaded rules accept are those of the inventory, no more and no less."""
    opened = {port for rule in input_rules if _accepts(rule) for port in _ports(rule)}
    opened -= {("udp", 546)}  # DHCPv6's answers, from the link only (RFC 8415)
    evidence.measured("open", sorted(f"{port}/{protocol}" for protocol, port in opened))
    extra = sorted(f"{port}/{protocol}" for protocol, port in opened - open_ports)
    missing = sorted(f"{port}/{protocol}" for protocol, port in open_ports - opened)
    assert not extra, f"open but not declared: {', '.join(extra)}"
    assert not missing, f"declared but not open: {', '.join(missing)}"


@control(
    "firewall_loopback_not_spoofed",
    sabotage="drop_rule 'loopback from outside'",
    says="127.0.0.0/8",
    also=("firewall_loaded_as_intended",),
)
def test_loopback_is_not_spoofed(input_rules: Rules, evidence: Evidence) -> None:
    """127.0.0.0/8 and ::1 are dropped unless they come by the loopback interface."""
    accepted = [index for index, rule in enumerate(input_rules) if _is_loopback(rule)]
    dropped = {
        _value(match): index
        for index, rule in enumerate(input_rules)
        if _ends_in(rule, "drop")
        for match in _matches(rule, "saddr")
    }
    evidence.measured("dropped_sources", sorted(dropped))
    assert accepted, "no rule accepts what comes by the loopback interface"
    for source in ("127.0.0.0/8", "::1"):
        assert source in dropped, f"packets from {source} by another interface are not dropped"
        assert accepted[0] < dropped[source], f"{source} is dropped before the loopback interface"


@control(
    "firewall_invalid_dropped",
    sabotage="drop_rule '\"invalid\"'",
    says="invalid",
    also=("firewall_loaded_as_intended",),
)
def test_invalid_is_dropped(input_rules: Rules, evidence: Evidence) -> None:
    """Packets of no known connection end before any service's rule."""
    positions = [
        index
        for index, rule in enumerate(input_rules)
        if _ends_in(rule, "drop") and any("invalid" in _value(m) for m in _matches(rule, "state"))
    ]
    first_service = next((i for i, r in enumerate(input_rules) if _accepts(r) and _ports(r)), 0)
    evidence.measured("rule", positions)
    assert positions, "no rule drops packets of state invalid"
    assert positions[0] < first_service, "services are accepted before invalid packets are dropped"


@control(
    "firewall_drops_recorded",
    sabotage="drop_rule 'tameng drop'",
    says="no rule records",
    also=("firewall_loaded_as_intended",),
)
def test_drops_are_recorded(input_rules: Rules, evidence: Evidence) -> None:
    """A log rule with a limit, so that a flood doesn't fill the journal."""
    logs = [rule for rule in input_rules if any("log" in e for e in rule)]
    limited = [rule for rule in logs if any("limit" in e for e in rule)]
    evidence.measured("log_rules", len(logs))
    assert logs, "no rule records what is dropped"
    assert len(limited) == len(logs), "a log rule has no limit"


@control(
    "firewall_ipv6_neighbours",
    sabotage="drop_rule nd-neighbor-solicit",
    says="nd-neighbor-solicit",
    also=("firewall_loaded_as_intended",),
)
def test_ipv6_neighbours_are_found(input_rules: Rules, evidence: Evidence) -> None:
    """Without neighbour discovery no IPv6 address answers (RFC 4890, section 4.4.1)."""
    accepted = {
        value
        for rule in input_rules
        if _ends_in(rule, "accept")
        for match in _matches(rule, "type")
        for value in _value(match).split()
    }
    evidence.measured("accepted_types", sorted(accepted))
    missing = {"nd-neighbor-solicit", "nd-neighbor-advert", "packet-too-big"} - accepted
    assert not missing, f"not accepted: {', '.join(sorted(missing))}"


@control(
    "firewall_flows_reviewed",
    sabotage="nft add rule inet tameng input udp dport 9 accept comment '\"old 2020-01-01\"'",
    says="old (2020-01-01)",
    also=("firewall_loaded_as_intended", "firewall_services_as_declared"),
)
def test_no_flow_is_past_its_review(ask: Ask, evidence: Evidence) -> None:
    """Each rule that the kernel has loaded tells its flow, and the day by which somebody must have
    looked at it again; a gateway has two tables of ours."""
    today = ask("date -u +%F").strip()
    comments = set(re.findall(r'comment "(\w+ \d{4}-\d\d-\d\d)"', ask("nft list ruleset")))
    flows = dict(sorted(comment.split() for comment in comments))
    evidence.measured("flows", flows)
    assert flows, "no loaded rule tells the flow that it belongs to"
    late = [f"{flow} ({day})" for flow, day in flows.items() if day < today]
    assert not late, f"to be reviewed: {', '.join(late)}"


def _only(one: str, other: str) -> list[str]:
    """Lines of ``one`` that ``other`` lacks."""
    rest = other.splitlines()
    found = []
    for line in one.splitlines():
        if line in rest:
            rest.remove(line)
        else:
            found.append(line)
    return found


def _properties(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def _ends_in(rule: list[dict[str, Any]], verdict: str) -> bool:
    return any(verdict in expression for expression in rule)


def _accepts(rule: list[dict[str, Any]]) -> bool:
    return _ends_in(rule, "accept")


def _matches(rule: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """The match expressions on a payload field (saddr, dport, type) or a ct key (state)."""
    found = []
    for expression in rule:
        left = expression.get("match", {}).get("left", {})
        if field in (left.get("payload", {}).get("field"), left.get("ct", {}).get("key")):
            found.append(expression["match"])
    return found


def _value(match: dict[str, Any]) -> str:
    """The right side as words: an address, a prefix, or the members of a set."""
    return " ".join(_words(match["right"]))


def _words(right: Any) -> list[str]:
    if isinstance(right, dict):
        if "prefix" in right:
            return [f"{right['prefix']['addr']}/{right['prefix']['len']}"]
        if "range" in right:
            return ["-".join(str(end) for end in right["range"])]
        return [word for item in right.get("set", []) for word in _words(item)]
    if isinstance(right, list):
        return [word for item in right for word in _words(item)]
    return [str(right)]


def _ports(rule: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """(protocol, port) that a rule matches; a range counts with each of its ports."""
    ports: set[tuple[str, int]] = set()
    for match in _matches(rule, "dport"):
        protocol = match["left"]["payload"]["protocol"]
        for word in _words(match["right"]):
            first, _, last = word.partition("-")
            ports |= {(protocol, port) for port in range(int(first), int(last or first) + 1)}
    return ports


def _sources(rule: list[dict[str, Any]], table: list[dict[str, Any]]) -> list[str]:
    """The networks that a rule is limited to; a named set stands for its elements."""
    sets = {item["set"]["name"]: item["set"].get("elem", []) for item in table if "set" in item}
    found: list[str] = []
    for match in _matches(rule, "saddr"):
        right = match["right"]
        named = isinstance(right, str) and right.startswith("@")
        found += _words(sets.get(right[1:], []) if named else right)
    return found


def _within(source: str, allowed: list[Any]) -> bool:
    net = ipaddress.ip_network(source, strict=False)
    return any(net.version == a.version and net.subnet_of(a) for a in allowed)


def _is_loopback(rule: list[dict[str, Any]]) -> bool:
    keys = [e["match"]["left"].get("meta", {}).get("key") for e in rule if "match" in e]
    return keys in (["iifname"], ["iif"]) and _accepts(rule)
