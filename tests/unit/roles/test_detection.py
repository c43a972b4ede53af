"""The detection's rules, and who listens to what they say: the early warning, and fail2ban."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.unit.roles.test_warnings import program

__all__ = ["program"]  # a fixture

ROLES = Path(__file__).parents[3] / "roles"
RULES = ROLES / "detection/templates/etc/suricata/tameng/tameng.rules.j2"
FILTER = ROLES / "bans/templates/etc/fail2ban/filter.d/tameng-zone.conf"
GUESTS = {"key": "guest", "value": {"networks": ["10.0.40.0/24", "fd00:40::/64"]}}
# As Suricata 7.0.10 of Debian 13 wrote it.
ALERT = (
    'gateway suricata[77]: {"timestamp":"2026-11-23T11:57:52.166777+0000","flow_id":1,"in_iface":'
    '"%s","event_type":"alert","src_ip":"10.0.40.9","src_port":4,"dest_ip":"10.0.10.5","dest_port"'
    ':9,"proto":"TCP","pkt_src":"wire/pcap","alert":{"action":"allowed","gid":1,"signature_id":'
    '1710001,"rev":1,"signature":"TAMENG port scan","category":"","severity":2,"metadata":{"tameng"'
    ':["%s"]}},"app_proto":"failed","direction":"to_server"}'
)


@pytest.fixture
def rules() -> list[str]:
    """As a gateway with one isolated zone gets them."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - no HTML
    environment.filters["difference"] = lambda one, other: [x for x in one if x not in other]
    text = environment.from_string(RULES.read_text()).render(
        detection_inner=["10.0.10.0/24", *GUESTS["value"]["networks"]],  # type: ignore[index]
        detection_spared=["10.0.50.0/24"],
        detection_isolated=[GUESTS],
    )
    return [line for line in text.splitlines() if line.startswith("alert ")]


def test_each_rule_has_a_number_of_its_own_and_a_kind_that_is_known(
    rules: list[str], program: Any
) -> None:
    """In the range for local rules; and no kind is without a rule."""
    numbers = [int(found[1]) for rule in rules if (found := re.search(r"sid:(\d+);", rule))]
    assert len(set(numbers)) == len(rules)
    assert all(1_000_000 <= number < 2_000_000 for number in numbers)
    kinds = {found[1] for rule in rules if (found := re.search(r"metadata:tameng (\w+);", rule))}
    assert kinds == program.events.SEEN | {"self_test"}


def test_guests_are_looked_at_on_the_way_to_others_only(rules: list[str]) -> None:
    (rule,) = [rule for rule in rules if "lateral_seen" in rule]
    assert rule.startswith("alert tcp [10.0.40.0/24,fd00:40::/64] any -> [10.0.10.0/24] [135,")


@pytest.mark.parametrize(
    ("interface", "kind", "banned"),
    [
        ("guest", "scan_seen", True),
        ("guest", "guesses_seen", True),
        ("staff", "scan_seen", False),
        ("guest", "lateral_seen", False),
        ("guest", "self_test", False),
    ],
)
def test_a_ban_follows_a_scan_on_its_own_interface(interface: str, kind: str, banned: bool) -> None:
    """The filter's own pattern, with what fail2ban puts for an address."""
    found = re.search(r"^failregex = (.*)$", FILTER.read_text(), re.MULTILINE)
    assert found
    pattern = found[1].replace("<interface>", "guest").replace("<ADDR>", r"(?P<ip>[0-9a-fA-F.:]+)")
    match = re.search(pattern, ALERT % (interface, kind))
    assert bool(match) is banned
    assert not match or match["ip"] == "10.0.40.9"
