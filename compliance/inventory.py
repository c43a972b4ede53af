"""The estate as Ansible sees it: hosts, groups and variables. The one place that knows Ansible's
insides (its Python API has no stability promise; tests/unit/compliance/test_inventory.py pins it).
"""

from __future__ import annotations

import functools
import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

from inputs import court, network, paths
from inputs.errors import BadInput

MANAGED = "managed"  # the group of hosts that are asked over SSH; all others are only listed


@dataclass(frozen=True)
class Host:
    """One machine that answers over SSH. ``var(name)`` is a public variable, templated;
    ``matrix()`` is the court's matrix of flows."""

    name: str
    groups: frozenset[str]
    var: Callable[[str], Any]
    matrix: Callable[[], network.Matrix] = lambda: network.Matrix.of({}, [], {}, lambda _: [])

    @property
    def address(self) -> str:
        return str(self.var("ansible_host") or self.name)

    @property
    def ssh_arguments(self) -> list[str]:
        """Arguments of ssh(1) for this host, from the same variables that Ansible uses."""
        arguments = shlex.split(str(self.var("ansible_ssh_common_args") or ""))
        if port := self.var("ansible_port"):
            arguments += ["-p", str(port)]
        if key := self.var("ansible_ssh_private_key_file"):
            arguments += ["-i", str(Path(str(key)).expanduser())]
        if user := self.var("ansible_user"):
            arguments += ["-l", str(user)]
        return arguments


@dataclass(frozen=True)
class Inventory:
    """An inventory folder. ``sha256`` is over the names and bytes of all its files."""

    folder: Path
    court: str
    hosts: tuple[Host, ...]
    sha256: str
    matching: Callable[[str], set[str]]

    @property
    def estate(self) -> dict[str, list[str]]:
        """Every managed host with its groups: what an audit is due for."""
        return {host.name: sorted(host.groups) for host in self.hosts}

    def select(self, limit: str | None) -> tuple[Host, ...]:
        """The hosts of an Ansible pattern (``app:backup``, ``servers``); all without one."""
        if not limit:
            return self.hosts
        names = self.matching(limit)
        chosen = tuple(host for host in self.hosts if host.name in names)
        if not chosen:
            known = ", ".join(host.name for host in self.hosts)
            raise BadInput.at(self.folder, 0, f"no host matches {limit}; it has: {known}")
        return chosen


def load(folder: Path) -> Inventory:
    """Read an inventory folder. Raises BadInput.

    No vault password is asked for: secrets are no business of an audit, and stay unread.
    """
    if not (folder / "hosts.yml").is_file():
        raise BadInput.at(folder / "hosts.yml", 0, "missing: the inventory's hosts and groups")
    _find_plugins()
    loader = DataLoader()
    try:
        # The file, not the folder: Ansible would take court.yml and waivers.yml for hosts.
        manager = InventoryManager(loader, sources=[str(folder / "hosts.yml")])
        return of(folder, manager, VariableManager(loader, manager))
    except AnsibleError as exc:
        raise BadInput.at(folder, 0, f"not an inventory: {exc}") from None


def of(folder: Path, manager: InventoryManager, variables: VariableManager) -> Inventory:
    """The same from what Ansible has read already: a playbook's inventory, without its limit."""
    loader = manager._loader  # it has no other name
    found = manager.get_hosts(MANAGED, ignore_limits=True, ignore_restrictions=True)
    if not found:
        raise BadInput.at(folder / "hosts.yml", 0, f"no host in the group {MANAGED}")

    def matching(pattern: str) -> set[str]:
        return {str(host.name) for host in manager.get_hosts(pattern=pattern, ignore_limits=True)}

    @functools.cache
    def reader(name: str) -> Callable[[str], Any]:
        known = variables.get_vars(host=manager.get_host(name))
        return _reader(Templar(loader, variables=known), folder)

    groups = {
        str(group): [str(h) for h in hosts] for group, hosts in manager.get_groups_dict().items()
    }

    @functools.cache
    def matrix() -> network.Matrix:
        read = reader(str(found[0].name))
        zones, flows = read("network_zones") or {}, read("network_flows") or []
        # Each flow asks for those of all its hosts, and each answer is a template.
        addresses = functools.cache(lambda name: reader(name)("network_addresses") or [])
        return network.Matrix.of(zones, flows, groups, addresses)

    if (folder / network.FILE).exists():
        names = {*groups, *groups["all"]}
        network.check(folder, reader(str(found[0].name)), names, court.load(folder).people)
    hosts = tuple(
        Host(
            str(host.name),
            frozenset(str(group.name) for group in host.get_groups()),
            reader(str(host.name)),
            matrix,
        )
        for host in sorted(found, key=lambda h: str(h.name))
    )
    return Inventory(folder, paths.court_id(folder), hosts, _sha256(folder), matching)


@functools.cache
def _find_plugins() -> None:
    """Once a process: without it no lookup plugin is found, ansible.builtin's neither."""
    init_plugin_loader()


def _reader(templar: Templar, folder: Path) -> Callable[[str], Any]:
    def read(name: str) -> Any:
        if name not in templar.available_variables:
            return None
        try:
            return plain(templar.template(templar.available_variables[name]))
        except AnsibleError as exc:
            raise BadInput.at(folder, 0, f"the variable {name}: {exc}") from None

    return read


def plain(value: Any) -> Any:
    """Without Ansible's tagged types, which neither JSON nor an assertion's message wants."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
