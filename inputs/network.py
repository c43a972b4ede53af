"""``group_vars/all/network.yml``: the court's zones, and the matrix of flows between them.

One list says what may pass. The gateway's rules, each host's own firewall and the questions of an
audit all follow from it, so that a service is opened in one place. Reading it is pure: hosts and
their addresses are handed in.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Loc, Strict

FILE = Path("group_vars/all/network.yml")
OUTSIDE = "wan"  # the zone that holds whatever no other one does
EVERYWHERE = ("0.0.0.0/0", "::/0")
ROUTERS = "gateways"  # the group that stands between the zones, and so in none of them
LAST_PORT = 65535

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]


def check_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as exc:
        raise ValueError(f"expected a network such as 10.77.20.0/24: {exc}") from None


def check_service(text: str) -> str:
    """``tcp/443``, ``udp/60000-60010`` or ``ping``."""
    protocol, _, ports = text.partition("/")
    ends = ports.split("-")
    numbers = [int(end) for end in ends if end.isdecimal()]
    if text != "ping" and not (
        protocol in ("tcp", "udp")
        and len(ends) == len(numbers) <= 2
        and numbers == sorted(numbers)
        and all(0 < number <= LAST_PORT for number in numbers)
    ):
        raise ValueError("expected tcp/PORT, udp/PORT, tcp/FIRST-LAST or ping")
    return text


class Zone(Strict):
    """A part of the court's network behind one interface of the gateway. Out of an ``isolated``
    one nothing reaches a machine of the court, but what is opened to single hosts of it."""

    interface: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
    networks: list[Annotated[str, AfterValidator(check_network)]]
    isolated: bool = False


class Flow(Strict):
    """What may pass. ``from`` and ``to`` name zones, groups or hosts of the inventory."""

    id: Slug
    sources: list[str] = Field(alias="from", min_length=1)
    targets: list[str] = Field(alias="to", min_length=1)
    services: list[Annotated[str, AfterValidator(check_service)]] = Field(min_length=1)
    why: Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
    owner: str
    review: dt.date


@dataclass(frozen=True)
class Written:
    """The matrix as a person wrote it, for a reader: names stand for themselves."""

    isolated: tuple[str, ...] = ()
    flows: tuple[Flow, ...] = ()


def written(folder: Path) -> Written:
    """Of an inventory; empty where none has been written. Raises BadInput."""
    file = folder / FILE
    if not file.exists():
        return Written()
    data, lines = yamlfile.load_with_lines(file)
    flows = yamlfile.validate(file, data.get("network_flows"), lines, list[Flow])
    zones = data.get("network_zones") or {}
    return Written(
        tuple(name for name, zone in zones.items() if zone.get("isolated")), tuple(flows)
    )


class File(Strict):
    network_zones: dict[Slug, Zone]
    network_flows: list[Flow]
    network_addresses: list[str]


@dataclass(frozen=True)
class End:
    """Where a flow begins or ends: a whole zone, or the addresses of hosts in it."""

    zone: str
    networks: list[str]
    whole: bool

    @property
    def listed(self) -> list[str]:
        """What a rule must name; nothing for a whole zone, which its interface tells."""
        return [] if self.whole else self.networks


@dataclass(frozen=True)
class Matrix:
    """Zones and flows, with the hosts that they speak of. ``addresses`` gives a host's own."""

    zones: Mapping[str, Zone]
    flows: list[Flow]
    groups: Mapping[str, Collection[str]]
    addresses: Callable[[str], Collection[str]]

    @classmethod
    def of(
        cls,
        zones: Mapping[str, Any],
        flows: Collection[Any],
        groups: Mapping[str, Collection[str]],
        addresses: Callable[[str], Collection[str]],
    ) -> Matrix:
        """From plain data, as Ansible holds it. Raises ValueError."""
        matrix = cls(
            {name: Zone.model_validate(zone) for name, zone in zones.items()},
            [Flow.model_validate(flow) for flow in flows],
            groups,
            addresses,
        )
        known = {*zones, *groups, *groups.get("all", ())}
        for flow in matrix.flows:
            if unknown := {*flow.sources, *flow.targets} - known:
                raise ValueError(f"{flow.id}: {', '.join(unknown)} is no zone, group or host")
        return matrix

    def lets_in(self, host: str) -> list[dict[str, Any]]:
        """What one host lets in, a row for each flow to it: id, review, services, and from which
        networks. A flow from hosts of which none has an address opens nothing."""
        zones = set() if host in self._routers else {end.zone for end in self._by_zone([host])}
        rows = []
        for flow in self.flows:
            if host in self._hosts(flow.targets) or zones.intersection(flow.targets):
                ends = [end for name in flow.sources for end in self._ends(name)]
                nets = {net for end in ends for net in end.networks}
                if any(end.whole and end.zone == OUTSIDE for end in ends):
                    nets = set(EVERYWHERE)
                rows.append(
                    {
                        "id": flow.id,
                        "review": str(flow.review),
                        "services": flow.services,
                        "networks": sorted(nets),
                    }
                )
        return rows

    def crossings(self) -> list[dict[str, Any]]:
        """What passes the gateway, a row for each flow and pair of zones; no ``sources`` or
        ``destinations`` means all of that zone."""
        names = {name for flow in self.flows for name in (*flow.sources, *flow.targets)}
        ends = {name: self._ends(name) for name in names}
        return [
            {
                "id": flow.id,
                "review": str(flow.review),
                "from": source.zone,
                "sources": source.listed,
                "to": target.zone,
                "destinations": target.listed,
                "services": flow.services,
            }
            for flow in self.flows
            for source in (end for name in flow.sources for end in ends[name])
            for target in (end for name in flow.targets for end in ends[name])
            if source.zone != target.zone
        ]

    @property
    def _routers(self) -> set[str]:
        return set(self.groups.get(ROUTERS, ()))

    def _hosts(self, names: Collection[str]) -> set[str]:
        """The hosts that names of hosts and groups stand for; a zone's name is only the zone's."""
        single = {name for name in names if name in self.groups.get("all", ())}
        return single.union(*(self.groups.get(n, ()) for n in names if n not in self.zones))

    def _ends(self, name: str) -> list[End]:
        if name in self.zones:
            return [End(name, self.zones[name].networks, whole=True)]
        return self._by_zone(sorted(self._hosts([name]) - self._routers))

    def _by_zone(self, hosts: Collection[str]) -> list[End]:
        found: dict[str, list[str]] = {}
        for address in (a for host in hosts for a in self.addresses(host)):
            for name, zone in self.zones.items():
                if any(within(address, wider) for wider in zone.networks):
                    found.setdefault(name, []).append(address)
        return [End(zone, networks, whole=False) for zone, networks in found.items()]


@functools.cache
def within(net: str, wider: str) -> bool:
    """Whether all of ``net`` lies in ``wider``."""
    one, other = ipaddress.ip_network(net), ipaddress.ip_network(wider)
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and one.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and one.subnet_of(other)


def check(
    folder: Path, read: Callable[[str], Any], names: Collection[str], people: Collection[str]
) -> None:
    """Hold an inventory's network against what is expected; raises BadInput with a line for each
    defect. ``read`` gives a variable as Ansible has templated it, ``names`` are those of hosts and
    groups, ``people`` those who may own a flow."""
    file = folder / FILE
    written, lines = yamlfile.load_with_lines(file)
    data = {name: read(name) for name in written or {}}
    network = yamlfile.validate(file, data, lines, File)
    found = [
        *_zone_defects(network),
        *_flow_defects(network, {*names, *network.network_zones}, people),
    ]
    if found:
        raise BadInput([Complaint(file, yamlfile.line_of(lines, at), what) for at, what in found])


def _zone_defects(network: File) -> Iterator[tuple[Loc, str]]:
    zones = network.network_zones
    if OUTSIDE not in zones:
        yield ("network_zones",), f"expected a zone {OUTSIDE}: what lies outside the court"
    earlier: list[str] = []
    for name, zone in zones.items():
        here = ("network_zones", name)
        if not zone.networks and name != OUTSIDE:
            yield here, f"{name} has no networks; only {OUTSIDE} may do without"
        for other in earlier:
            if zones[other].interface == zone.interface:
                yield (*here, "interface"), f"{zone.interface} is the interface of {other} already"
            for net in zone.networks:
                if any(within(net, o) or within(o, net) for o in zones[other].networks):
                    yield (*here, "networks"), f"{net} overlaps the zone {other}"
        earlier.append(name)


def _flow_defects(
    network: File, names: Collection[str], people: Collection[str]
) -> Iterator[tuple[Loc, str]]:
    zones = network.network_zones
    seen: set[str] = set()
    for index, flow in enumerate(network.network_flows):
        here: Loc = ("network_flows", index)
        if flow.id in seen:
            yield (*here, "id"), f"{flow.id} is the id of another flow already"
        seen.add(flow.id)
        for side, ends in (("from", flow.sources), ("to", flow.targets)):
            for position, name in enumerate(ends):
                if name not in names:
                    known = ", ".join(zones)
                    yield (
                        (*here, side, position),
                        f"{name} is no zone ({known}), group or host of the inventory",
                    )
        if flow.owner not in people:
            yield (*here, "owner"), f"{flow.owner} is not among the people of court.yml"
        shut = [name for name in flow.sources if name in zones and zones[name].isolated]
        if shut and set(flow.targets) != {OUTSIDE}:
            yield (
                (*here, "to"),
                f"from {shut[0]}, which is isolated, a flow may only lead to {OUTSIDE};"
                " to a machine of the court it must begin at single hosts",
            )
