"""The contract with Ansible's insides, and how a broken inventory is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance import inventory
from inputs import paths
from inputs.errors import BadInput

HOSTS = """\
all:
  vars:
    ansible_user: tameng
    ansible_ssh_common_args: -o UserKnownHostsFile=/nowhere
    net: "10.1"
  children:
    managed:
      children:
        servers: {hosts: {app: {ansible_host: "{{ net }}.2", ansible_port: 2222}, backup: {}}}
    unmanaged: {hosts: {switch: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    return tmp_path


def test_hosts_groups_and_templated_variables(folder: Path) -> None:
    """Only managed hosts are asked; variables come templated and plain."""
    found = inventory.load(folder)
    assert [host.name for host in found.hosts] == ["app", "backup"]
    assert found.estate["app"] == ["all", "managed", "servers"]
    app = found.hosts[0]
    assert app.address == "10.1.2"
    assert type(app.address) is str
    assert app.ssh_arguments == [
        "-o", "UserKnownHostsFile=/nowhere", "-p", "2222", "-l", "tameng",
    ]  # fmt: skip
    assert app.var("no_such_variable") is None


def test_a_limit_is_an_ansible_pattern(folder: Path) -> None:
    """Groups, hosts and exclusions; what matches nothing is said."""
    found = inventory.load(folder)
    assert [h.name for h in found.select("servers:!app")] == ["backup"]
    with pytest.raises(BadInput, match="no host matches switch"):
        found.select("switch")


def test_the_hash_follows_every_file(folder: Path) -> None:
    """What a run was made from can be told by it."""
    before = inventory.load(folder).sha256
    (folder / "court.yml").write_text("name: x\n")
    assert inventory.load(folder).sha256 != before


@pytest.mark.parametrize("text", ["", "all: [", "all:\n  hosts: {app: {}}\n"])
def test_a_broken_inventory_is_named(tmp_path: Path, text: str) -> None:
    """No file, no YAML, or nobody to ask."""
    with pytest.raises(BadInput, match=r"hosts\.yml"):
        inventory.load(tmp_path)
    (tmp_path / "hosts.yml").write_text(text)
    with pytest.raises(BadInput):
        inventory.load(tmp_path)


def test_an_unknown_court_lists_the_known_ones() -> None:
    """The message says what would have been right."""
    with pytest.raises(BadInput, match="lab, penajam"):
        paths.inventory("atlantis")
