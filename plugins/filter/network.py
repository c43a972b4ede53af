"""What the court's matrix of flows means for a host, for the roles that make it so."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Ansible loads this file by its path, so the checkout's own packages are not yet importable.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from ansible.errors import AnsibleFilterError

from compliance.inventory import plain
from inputs.network import Matrix


def matrix(
    flows: list[Any], zones: dict[str, Any], groups: Any, hostvars: Mapping[str, Any]
) -> Matrix:
    @functools.cache  # each flow asks for those of all its hosts
    def addresses(host: str) -> list[str]:
        return list(plain(hostvars[host].get("network_addresses", [])))

    try:
        return Matrix.of(plain(zones), plain(flows), plain(groups), addresses)
    except ValueError as exc:  # pydantic's ValidationError is one
        raise AnsibleFilterError(f"network_zones or network_flows: {exc}") from None


def lets_in(
    flows: list[Any], zones: dict[str, Any], groups: Any, hostvars: Mapping[str, Any], host: str
) -> list[dict[str, Any]]:
    """{{ network_flows | network_lets_in(network_zones, groups, hostvars, inventory_hostname) }}:
    rows {id, review, services, networks}."""
    return matrix(flows, zones, groups, hostvars).lets_in(host)


def crossings(
    flows: list[Any], zones: dict[str, Any], groups: Any, hostvars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """{{ network_flows | network_crossings(network_zones, groups, hostvars) }}: what passes the
    gateway, as rows {id, review, from, sources, to, destinations, services}."""
    return matrix(flows, zones, groups, hostvars).crossings()


class FilterModule:
    """Ansible's interface."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"network_lets_in": lets_in, "network_crossings": crossings}
