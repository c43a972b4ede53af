"""The whole court that ships with the project: readable, sound, and without a secret in clear."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from compliance import catalogue, inventory, waivers
from inputs import court

ROOT = Path(__file__).parents[3]
PENAJAM = ROOT / "inventory" / "penajam"
SECRET = re.compile(
    r"^\s*-?\s*(\w*(?:secret|passw|passphrase|community|token|private_key)\w*)\s*:(.*)$"
)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Every host with its variables, as ansible-inventory lists them without any password."""
    program = Path(sys.executable).with_name("ansible-inventory")
    command = [str(program), "-i", str(PENAJAM / "hosts.yml"), "--list"]
    env = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path_factory.mktemp("ansible"))}
    env.pop("ANSIBLE_VAULT_PASSWORD_FILE", None)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    hosts: dict[str, dict[str, object]] = json.loads(done.stdout)["_meta"]["hostvars"]
    return hosts


def test_it_lists_without_the_vaults_password(listed: dict[str, dict[str, object]]) -> None:
    """A whole court: gateway, three servers, thirty desks, and what hangs between them."""
    kinds = {re.sub(r"-\d+$", "", host) for host in listed}
    assert kinds >= {
        "gw",
        "app",
        "backup",
        "monitor",
        "pc",
        "wpc",
        "kiosk",
        "sw",
        "ap",
        "ups",
        "tv",
    }
    assert sum(h.startswith(("pc-", "wpc-", "kiosk-")) for h in listed) == 30


def test_each_address_is_private_and_given_once(listed: dict[str, dict[str, object]]) -> None:
    addresses = [ipaddress.ip_address(str(v["ansible_host"])) for v in listed.values()]
    assert len(set(addresses)) == len(addresses)
    assert all(address.is_private for address in addresses)


def test_only_what_is_managed_is_due(listed: dict[str, dict[str, object]]) -> None:
    managed = set(inventory.load(PENAJAM).estate)
    assert len(managed) == 17
    assert managed < set(listed)
    assert not any(host.startswith(("wpc-", "sw-", "ap-", "ups-", "tv-")) for host in managed)


def test_its_waivers_stand_against_the_catalogue() -> None:
    estate = inventory.load(PENAJAM).estate
    loaded = waivers.load(PENAJAM, catalogue.load(), court.load(PENAJAM), estate)
    assert len(loaded.all) == 2


@pytest.mark.parametrize("folder", ["lab", "penajam"])
def test_no_secret_stands_in_clear(folder: str) -> None:
    """Whatever is named like a secret is encrypted, or points to what is."""
    for path in sorted((ROOT / "inventory" / folder).rglob("*")):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        assert "PRIVATE KEY" not in text, path
        for number, line in enumerate(text.splitlines(), 1):
            if (found := SECRET.match(line)) and path.suffix == ".yml":
                value = found[2].strip()
                safe = value.startswith("!vault") or re.fullmatch(r'"\{\{ \w+ \}\}"', value)
                assert safe or found[1].endswith("_file"), f"{path}:{number}: {found[1]} in clear"


def test_every_secret_is_ansible_vault_text() -> None:
    """And nothing but secrets is in the vault."""

    class Loader(yaml.SafeLoader):
        """Knows the tag !vault, as what it is: text."""

    Loader.add_constructor("!vault", lambda _, node: node.value)
    vault = yaml.load((PENAJAM / "group_vars/all/vault.yml").read_text(), Loader)  # noqa: S506 (a SafeLoader)
    assert vault
    for name, value in vault.items():
        assert name.startswith("vault_")
        assert re.fullmatch(r"\$ANSIBLE_VAULT;1\.1;AES256\n[0-9a-f\n]+", value), name
