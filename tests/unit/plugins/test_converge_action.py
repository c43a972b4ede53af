"""The controller's half: what it renders, and what it makes of a host that doesn't answer."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from plugins.action import converge as action
from plugins.modules import converge as module

ROLES = Path(__file__).resolve().parents[3] / "roles"
GONE = AnsibleConnectionFailure("no route")
FIREWALL = {
    "firewall_lets_in": [
        {
            "id": "ssh",
            "review": "D",
            "services": ["tcp/22", "ping"],
            "networks": ["10.7.50.0/24", "fd07:50::/64"],
        },
        {"id": "web", "review": "D", "services": ["tcp/80", "tcp/8000-8010"], "networks": ["::/0"]},
        {"id": "time", "review": "D", "services": ["udp/123"], "networks": ["10.7.40.0/24"]},
    ],
    "firewall_ping_limit": "10/second",
    "firewall_log_limit": "10/minute",
}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The action without a task; its clock is one that nobody waits for."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    it = action.ActionModule.__new__(action.ActionModule)
    it._templar = Templar(loader=DataLoader())
    it._connection = type("Connection", (), {"reset": lambda self: None})()
    return it


def script(path: str) -> ModuleType:
    """A role's script for the host, as a module."""
    loader = SourceFileLoader("script", str(ROLES / path))
    spec = importlib.util.spec_from_loader("script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def answers(plugin: Any, *results: Any) -> list[dict[str, Any]]:
    """Makes the host answer so, in this order; returns what it was asked."""
    asked: list[dict[str, Any]] = []
    left = list(results)

    def module(args: dict[str, Any], _variables: dict[str, Any]) -> dict[str, Any]:
        asked.append(args)
        result = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(result, Exception):
            raise result
        return dict(result)

    plugin._module = module
    return asked


def test_a_tree_is_rendered_by_target_path(plugin: Any, tmp_path: Path) -> None:
    """`.j2` is rendered and dropped, the rest is sent as it is; modes follow the source."""
    (tmp_path / "etc/a.d").mkdir(parents=True)
    (tmp_path / "etc/a.d/b.conf.j2").write_text("{% if on %}\n  x={{ x }}\n{% endif %}\n")
    (tmp_path / "etc/raw").write_text("{{ not ours }}\n")
    (tmp_path / "etc/raw").chmod(0o755)
    (tmp_path / "etc/gone").write_text("")
    attributes = {"/etc/a.d/b.conf": {"mode": "0600"}, "/etc/key": {"mode": "0400"}}
    found = plugin._files(tmp_path, attributes, ["/etc/gone"], {"on": True, "x": 1})
    assert [(item["path"], item["content"], item["mode"]) for item in found] == [
        ("/etc/a.d/b.conf", "  x=1\n", "0600"),
        ("/etc/raw", "{{ not ours }}\n", "0755"),
        ("/etc/key", None, "0400"),
    ]
    with pytest.raises(AnsibleActionFail, match="unknown"):
        plugin._files(tmp_path, {"/etc/key": {"colour": "red"}}, [], {})


def test_what_is_asked_is_checked_before_the_host_is() -> None:
    """With defaults; what nobody knows is named."""
    checked = action._valid({"name": "change", "units": [{"name": "a.service"}]})
    assert (checked["packages"], checked["confirm"], checked["units"][0]["by"]) == (
        [],
        None,
        "restart",
    )
    with pytest.raises(AnsibleActionFail, match="packges"):
        action._valid({"name": "change", "packges": []})
    with pytest.raises(AnsibleActionFail, match="restart, reload"):
        action._valid({"name": "change", "units": [{"name": "a.service", "by": "stop"}]})


def test_the_documentation_has_every_parameter() -> None:
    """The page that `ansible-doc` prints has no code of its own to keep it true."""
    told = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert told.keys() - {"templates", "attributes"} == action.SPEC.keys()
    for name, spec in action.SPEC.items():
        same = {key: told[name].get(key) for key in ("type", "elements")}
        assert same == {key: spec.get(key) for key in ("type", "elements")}, name
        inner = spec.get("options", {})
        assert told[name].get("suboptions", {}).keys() == dict(inner).keys(), name  # type: ignore[call-overload]


def test_the_host_s_half_travels_whole(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers on a machine that has nothing but Python; what doesn't answer fails in words."""

    def command(argv: str, in_data: bytes) -> dict[str, Any]:
        done = subprocess.run(
            argv.split(), input=in_data, capture_output=True, cwd="/", check=False, env={}
        )
        return {
            "rc": done.returncode,
            "stdout": done.stdout.decode(),
            "stderr": done.stderr.decode(),
        }

    plugin._low_level_execute_command = command
    plugin._task = SimpleNamespace(check_mode=False, environment=None)
    monkeypatch.setattr(plugin, "_compute_environment_string", str)
    variables = {"ansible_python_interpreter": f"{sys.executable} -I"}
    asked = {"phase": "status", "saved": "no such 'change' \u2026"}
    assert plugin._module(asked, variables) == {"changed": False, "state": "unknown"}
    lost = plugin._module({"phase": "status"}, variables)
    assert (lost["failed"], lost["msg"]) == (True, "no answer (1): KeyError: 'saved'")


def test_a_new_login_confirms(plugin: Any) -> None:
    """The kept connection is dropped first: it was let in before the change."""
    resets: list[int] = []
    plugin._connection.reset = lambda: resets.append(1)
    asked = answers(plugin, {"changed": False})
    assert plugin._confirm("saved", 45, {"changed": True}, {}) == {"changed": True}
    assert (resets, asked) == ([1], [{"phase": "confirm", "saved": "saved"}])


@pytest.mark.parametrize(
    ("results", "told", "back"),
    [
        ([GONE, {"state": "restored"}], "took it back by itself and is as it was before", True),
        ([GONE, GONE, {"state": "pending"}, {"state": "restored"}], "took it back", True),
        ([GONE, {"state": "unknown"}], "never began it", True),
        ([GONE], "go there", False),
        ([{"failed": True, "msg": "sudo: no"}, {"state": "restored"}], "sudo: no", True),
    ],
)
def test_a_host_that_shut_us_out_is_waited_for(
    plugin: Any, results: list[Any], told: str, back: bool
) -> None:
    """Every end is told apart, and none of them is a success."""
    answers(plugin, *results)
    result = plugin._confirm("saved", 45, {"changed": True}, {})
    assert (result["failed"], result["rolled_back"]) == (True, back)
    assert told in result["msg"]
    assert result.get("changed") is not True


@pytest.mark.parametrize("reached", [False, True])
def test_only_a_host_that_was_there_was_cut_off(
    plugin: Any, monkeypatch: pytest.MonkeyPatch, *, reached: bool
) -> None:
    """One that never answered is unreachable at once; one that is lost meanwhile is waited for."""

    def command(*_: Any, **__: Any) -> None:
        if not reached:
            raise GONE

    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    plugin._low_level_execute_command = command
    arguments = {"name": "change", "confirm": {"seconds": 45}}
    plugin._task = SimpleNamespace(args=arguments, _role=None, check_mode=False)
    asked = answers(plugin, GONE, {"state": "restored"})
    if reached:
        assert plugin.run()["rolled_back"]
    else:
        with pytest.raises(AnsibleConnectionFailure):
            plugin.run()
        assert asked == []


def test_the_firewall_lists_each_flow_by_family(plugin: Any) -> None:
    """A flow without networks of a family must not open that family to everybody."""
    found = plugin._files(ROLES / "firewall/templates", {}, [], FIREWALL)
    text = next(item["content"] for item in found if item["path"].endswith("firewall.nft"))
    rules = [line.strip() for line in text.splitlines() if re.search('"(ssh|web|time) D"', line)]
    assert rules == [
        'ip saddr { 10.7.50.0/24 } tcp dport { 22 } accept comment "ssh D"',
        'ip6 saddr { fd07:50::/64 } tcp dport { 22 } accept comment "ssh D"',
        'ip6 saddr { ::/0 } tcp dport { 80, 8000-8010 } accept comment "web D"',
        'ip saddr { 10.7.40.0/24 } udp dport { 123 } accept comment "time D"',
    ]
    assert "flush ruleset" not in text


def test_the_gateway_opens_a_family_only_to_hosts_that_have_it(plugin: Any) -> None:
    """A host without an IPv6 address must not open IPv6 to its whole zone."""
    flow = {"id": "web", "review": "D", "from": "staff", "to": "wan", "sources": ["10.7.20.5"]}
    variables = {
        "network_zones": {
            "wan": {"interface": "w", "networks": []},
            "staff": {"interface": "s", "networks": ["10.7.20.0/24", "fd07:20::/64"]},
        },
        "gateway_inner": [{"key": "staff", "value": {"networks": ["10.7.20.0/24"]}}],
        "gateway_crossings": [{**flow, "destinations": [], "services": ["udp/53", "ping"]}],
        "gateway_bogons": ["10.0.0.0/8"],
        "gateway_connections": 512,
        "gateway_log_limit": "10/minute",
    }
    found = plugin._files(ROLES / "gateway/templates", {}, [], variables)
    text = next(item["content"] for item in found if item["path"].endswith("gateway.nft"))
    rules = [line.strip() for line in text.splitlines() if '"web D"' in line]
    ends = "meta nfproto ipv4 ip saddr { 10.7.20.5 }"
    assert rules == [
        ends + ' udp dport { 53 } counter goto admit comment "web D"',
        ends + ' icmp type echo-request counter goto admit comment "web D"',
    ]
    assert 'log group 7 prefix "tameng staff>wan: "' in text


def test_lines_that_beat_our_sshd_settings_are_found(tmp_path: Path) -> None:
    """First value wins, and a Match block beats even that; the same value does no harm."""
    precedence = script("ssh_server/templates/usr/local/lib/tameng/sshd_precedence")
    ours = {"permitrootlogin": ["no"], "maxauthtries": ["3"]}
    other = tmp_path / "other.conf"
    other.write_text(
        "# PermitRootLogin yes\npermitrootlogin yes\nMaxAuthTries=3\nPort 22\n"
        "Match User backup\n  PermitRootLogin  yes\n  PermitRootLogin no\n"
    )
    assert [line for line, _ in precedence.beating(other, ours, True)] == [2, 6]
    assert [line for line, _ in precedence.beating(other, ours, False)] == [6]


def test_waiting_updates_are_read_from_apts_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """New packages are no updates; where an update comes from says whether it is security, and a
    security fix has waited since it was first seen."""
    waiting = script("updates/templates/usr/local/lib/tameng/updates_waiting")
    said = (
        "Inst openssl [3.0.15-1] (3.0.17-1 Debian:12.11/stable, Debian-Security:12/stable-security"
        " [amd64])\n"
        "Inst tzdata [2024a] (2025b Debian:12.11/stable [all]) []\n"
        "Inst new-one (1.0 Debian:12.11/stable [amd64])\nConf openssl (3.0.17-1 ...)\n"
    )
    monkeypatch.setattr(
        waiting, "run", lambda program, *_: "tzdata\n" if program == "apt-mark" else said
    )
    monkeypatch.setattr(waiting, "moment", lambda _: "now")
    before = [{"name": "openssl", "security": True, "since": "three days ago"}]
    assert waiting.waiting(before) == [
        {"name": "openssl", "current": "3.0.15-1", "candidate": "3.0.17-1",
         "security": True, "held": False, "since": "three days ago"},
        {"name": "tzdata", "current": "2024a", "candidate": "2025b",
         "security": False, "held": True, "since": "now"},
    ]  # fmt: skip
