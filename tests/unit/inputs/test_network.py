"""The matrix of flows: what is refused in it, and what follows for a host and the gateway."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compliance import inventory
from inputs import network
from inputs.errors import BadInput
from inputs.network import Matrix

INVENTORIES = Path(__file__).parents[3] / "inventory"
ZONES = {
    "wan": {"interface": "w", "networks": []},
    "servers": {"interface": "s", "networks": ["10.9.10.0/24", "fd00:9:10::/64"]},
    "guest": {"interface": "g", "isolated": True, "networks": ["10.9.40.0/24"]},
}
HOSTS = {
    "gw": ["10.9.10.1"],
    "app": ["10.9.10.10", "fd00:9:10::10"],
    "kiosk": ["10.9.40.5"],
}
GROUPS = {"all": list(HOSTS), "gateways": ["gw"], "desks": ["kiosk"], "empty": []}


def matrix(sources: list[str], targets: list[str]) -> Matrix:
    flow = {
        "id": "web",
        "from": sources,
        "to": targets,
        "services": ["tcp/443"],
        "why": "because of a test",
        "owner": "dimas",
        "review": "2027-01-01",
    }
    return Matrix.of(ZONES, [flow], GROUPS, HOSTS.__getitem__)


@pytest.mark.parametrize("name", ["lab", "penajam", "vm"])
def test_each_court_of_this_checkout_lets_its_operator_in(name: str) -> None:
    """Its file is sound, and every managed host has a way in."""
    for host in inventory.load(INVENTORIES / name).hosts:
        assert "ssh" in [row["id"] for row in host.matrix().lets_in(host.name)], host.name


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("10.164.20.0/24", "10.164.20.1/24", 7, "expected a network"),
        ("10.164.20.0/24", "10.164.10.128/25", 7, "overlaps the zone servers"),
        ("eno2.20", "eno2.10", 7, "the interface of servers already"),
        ("  wan: {", "  wan2: {", 4, "expected a zone wan"),
        ("id: time", "id: ssh", 25, "the id of another flow"),
        ("tcp/19532", "tcp/99999", 35, "tcp/PORT"),
        ("to: [websites]", "to: [app-9]", 69, "app-9 is no zone"),
        ("owner: nurul", "owner: nobody", 65, "nobody is not among the people"),
        ("from: [staff, management, kiosk-1]", "from: [public]", 69, "which is isolated"),
        ('review: "2027-05-31"', "review: soon", 24, "valid date"),
        ("    why: Surat", "    whi: Surat", 88, "why: Field required"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    """With the file, the line, and what was expected there; before any host is asked."""
    folder = tmp_path / "penajam"
    shutil.copytree(INVENTORIES / "penajam", folder)
    file = folder / network.FILE
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput) as refused:
        inventory.load(folder)
    told = [c for c in refused.value.complaints if says in c.what]
    assert told, refused.value
    assert (told[0].file, told[0].line) == (file, line), told[0]


def test_a_host_lets_in_what_leads_to_it() -> None:
    """By its name, its group or its zone; the gateway stands in no zone."""
    assert matrix(["guest"], ["app"]).lets_in("app")[0]["networks"] == ["10.9.40.0/24"]
    assert matrix(["desks"], ["servers"]).lets_in("app")[0]["networks"] == ["10.9.40.5"]
    assert matrix(["guest"], ["servers"]).lets_in("gw") == []
    assert matrix(["servers"], ["gateways"]).lets_in("gw")
    assert matrix(["guest"], ["app"]).lets_in("kiosk") == []


def test_what_comes_from_outside_comes_from_anywhere() -> None:
    """The outer zone is whatever no other one is, so no list of networks tells it."""
    nets = matrix(["wan", "guest"], ["app"]).lets_in("app")[0]["networks"]
    assert nets == ["0.0.0.0/0", "::/0"]


def test_a_flow_from_nobody_opens_nothing() -> None:
    """A group without hosts, or hosts without addresses, must not come to mean everybody; and a
    name that is none is refused even where nobody has checked the file."""
    assert matrix(["empty"], ["app"]).lets_in("app")[0]["networks"] == []
    assert matrix(["empty"], ["servers"]).crossings() == []
    with pytest.raises(ValueError, match="web: nobody is no zone"):
        matrix(["nobody"], ["app"])


def test_crossings_name_hosts_only_where_a_flow_does() -> None:
    """A whole zone is told by its interface; nothing crosses within a zone, or to the gateway."""
    row = matrix(["desks"], ["servers"]).crossings()
    assert [(r["from"], r["sources"], r["to"], r["destinations"]) for r in row] == [
        ("guest", ["10.9.40.5"], "servers", [])
    ]
    assert matrix(["servers"], ["app"]).crossings() == []
    assert matrix(["guest"], ["gateways"]).crossings() == []
