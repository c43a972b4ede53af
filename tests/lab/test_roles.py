"""The roles on fresh hosts of both Debians: what check mode promises, what a second run leaves alone,
what they refuse, how a host takes back what cut the operator off, and what they heal.

A lab of its own, because only a fresh host shows what check mode is worth.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME, SUBNET = "tmroles", "10.219"
HOSTS = ["pc-1", "pc-2"]  # Debian 13 and 12
CONFIRM = 8  # seconds; 45 in real life
# What no role may touch: another program's table, as fail2ban or a container engine would have it.
FOREIGN = "add table inet other; add chain inet other bans; add rule inet other bans counter"
STATE = (  # all that the ways back below must bring back
    "nft -s list table inet tameng; sshd -T; sha256sum /etc/ssh/sshd_config.d/* /etc/tameng/*"
)


@dataclass
class Play:
    """What ``ansible-playbook`` printed, by host."""

    text: str
    changed: dict[str, set[str]] = field(default_factory=dict)
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def failed(self) -> set[str]:
        return {host for host, told in self.recap.items() if told["failed"] + told["unreachable"]}


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """Two hosts that nobody has configured yet (and the gateway that they need)."""
    if os.geteuid() != 0:
        pytest.fail("the lab's tests boot real hosts: run them as root (sudo ./tameng test)")
    assert lab("down").returncode == 0  # of a killed run, if any
    up = lab("up", "--limit", ",".join(HOSTS))
    assert up.returncode == 0, up.stdout + up.stderr
    yield
    assert lab("down").returncode == 0


def lab(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    place = [] if verb == "ssh" else ["--subnet", SUBNET] if verb == "up" else []
    return subprocess.run(
        [sys.executable, "-m", "cli", "lab", verb, "--name", NAME, *place, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def on(host: str, command: str) -> str:
    """What a command says on a host, as root."""
    done = lab("ssh", host, f"sudo sh -c '{command}'")
    assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout


def everywhere(command: str) -> dict[str, str]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(HOSTS, pool.map(lambda host: on(host, command), HOSTS), strict=True))


def play(*words: str, **variables: Any) -> Play:
    """Run the site's playbook on the two hosts; the variables beat the inventory's."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("playbooks/site.yml", "--limit", ",".join(HOSTS)),
            *("-e", json.dumps(variables), *words),
        ],
        cwd=ROOT,
        env={**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET},
        capture_output=True,
        text=True,
        check=False,
    )
    result, task = Play(done.stdout + done.stderr), ""
    for line in done.stdout.splitlines():
        if found := re.match(r"TASK \[(.*)\]", line):
            task = found[1]
        elif found := re.match(r"changed: \[([\w-]+)\]", line):
            result.changed.setdefault(found[1], set()).add(task)
        elif found := re.match(r"([\w-]+) +: (ok=.*)", line):
            counts = (pair.split("=") for pair in found[2].split())
            result.recap[found[1]] = {name: int(count) for name, count in counts}
    assert set(result.recap) == set(HOSTS), result.text
    return result


def refused(why: str, *words: str, **variables: Any) -> None:
    """The play must fail on both hosts for this reason, before it changed anything."""
    result = play(*words, **variables)
    assert result.failed == set(HOSTS), result.text
    assert " ".join(result.text.split()).count(why) >= len(HOSTS), result.text
    assert result.changed == {}, result.text


def taken_back(*words: str, **variables: Any) -> None:
    """The play must cut the operator off, and both hosts must heal themselves within a minute."""
    before, began = everywhere(STATE), time.monotonic()
    result = play(*words, **variables)
    seconds = time.monotonic() - began
    assert result.failed == set(HOSTS), result.text
    told = " ".join(result.text.split())
    assert told.count("the host took it back by itself and is as it was before") >= 2, result.text
    assert seconds < 60, f"reachable after {seconds:.0f} s"
    assert everywhere(STATE) == before
    assert everywhere("systemctl list-units --all --no-legend tameng-way-back*") == dict.fromkeys(
        HOSTS, ""
    )


def test_check_mode_names_what_a_run_changes() -> None:
    """`--check` on a host without any of the packages changes nothing and promises exactly what
    the run then does; a second run has nothing left to do."""
    packages = "dpkg-query -W -f=\\${Package},; ls -A /etc/ssh/sshd_config.d /etc/apt/apt.conf.d"
    before = everywhere(packages)
    promised = play("--check", "--diff")
    assert everywhere(packages) == before
    assert "PermitRootLogin no" in promised.text
    assert promised.failed == set(), promised.text
    done = play()
    assert done.failed == set(), done.text
    assert {host: len(tasks) for host, tasks in done.changed.items()} == dict.fromkeys(HOSTS, 4)
    assert promised.changed == done.changed
    again = play()
    assert (again.changed, again.failed) == ({}, set()), again.text


def test_what_would_lock_the_operator_out_is_refused() -> None:
    """Before anything changes, with the reason."""
    ssh, firewall = ("--tags", "ssh_server"), ("--tags", "firewall")
    why = "this would lock the operator out, nothing was changed"
    refused(f"{why}: tameng is in none of the groups", *ssh, ssh_server_allow_groups=["nobodys"])
    refused("must name at least one group", *ssh, ssh_server_allow_groups=[])
    refused("would be invalid, nothing was changed", *ssh, ssh_server_ciphers=["rot13"])
    refused(f"{why}: operator source", *firewall, operator_sources=["203.0.113.0/24"])
    refused(f"{why}: operator source", *firewall, firewall_zones={"management": ["203.0.113.0/24"]})
    refused("must hold one named ssh", *firewall, firewall_services=[])


def test_an_ssh_server_that_nobody_can_log_in_to_is_taken_back() -> None:
    """A valid configuration that shares no key exchange with the operator's client."""
    taken_back(
        *("--tags", "ssh_server"),
        ssh_server_key_exchanges=["diffie-hellman-group14-sha1"],
        ssh_server_confirm_seconds=CONFIRM,
    )


def test_a_firewall_that_shuts_the_operator_out_is_taken_back() -> None:
    """The port is another one than the server's: nothing that a preflight could see."""
    taken_back(
        *("--tags", "firewall"),
        firewall_services=[{"name": "ssh", "ports": [2222], "zones": ["management"]}],
        firewall_confirm_seconds=CONFIRM,
    )


def test_a_host_heals_without_its_controller() -> None:
    """The playbook is killed between the change and its confirmation."""
    before = on("pc-1", STATE)
    controller = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("playbooks/site.yml", "--limit", "pc-1", "--tags", "firewall", "-e"),
            json.dumps(
                {
                    "firewall_services": [{"name": "ssh", "ports": [2222], "zones": ["management"]}],
                    "firewall_confirm_seconds": CONFIRM,
                }
            ),
        ],
        cwd=ROOT,
        env={**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while lab("ssh", "pc-1", "true").returncode == 0:
        assert controller.poll() is None, "the change did not cut the line"
    os.killpg(controller.pid, 9)
    controller.wait()
    deadline = time.monotonic() + 60
    while lab("ssh", "pc-1", "true").returncode:
        assert time.monotonic() < deadline, "the host did not come back"
    assert on("pc-1", STATE) == before


def test_other_programs_tables_survive() -> None:
    """A reload replaces our table and no other; one that somebody emptied with everything else
    comes back."""
    everywhere(f'nft "{FOREIGN}"')
    foreign = everywhere("nft list table inet other")
    everywhere("nft insert rule inet tameng input tcp dport 4444 accept")
    mended = play("--tags", "firewall")
    assert set(mended.changed) == set(HOSTS), mended.text
    everywhere("systemctl reload tameng-firewall.service")
    assert everywhere("nft list table inet other") == foreign
    everywhere("nft flush ruleset")
    assert set(play("--tags", "firewall").changed) == set(HOSTS)


def test_what_was_broken_by_hand_is_mended() -> None:
    """Faults that leave every one of our files as it is, all at once; one run mends them."""
    everywhere(
        "printf \"Match all\\n PermitRootLogin yes\\n\" >/etc/ssh/sshd_config.d/99-other.conf;"
        "sed -i \"1i PasswordAuthentication yes\" /etc/ssh/sshd_config;"
        "chmod 0644 /etc/ssh/ssh_host_ed25519_key;"
        "systemctl disable -q ssh.service; systemctl enable -q ssh.service;"
        "systemctl mask -q --now chrony.service;"
        "ln -sfn /usr/share/zoneinfo/UTC /etc/localtime;"
        "systemctl stop tameng-firewall.service; nft delete table inet tameng;"
        "mkdir -p /etc/systemd/system/apt-daily.timer.d;"
        "printf \"[Timer]\\nOnCalendar=hourly\\n\" >/etc/systemd/system/apt-daily.timer.d/zzz.conf;"
        "echo \"APT::Periodic::Enable 0;\" >/etc/apt/apt.conf.d/zzz-other;"
        "systemctl mask -q apt-daily-upgrade.timer"
    )
    mended = play()
    assert mended.failed == set(), mended.text
    assert {host: len(tasks) for host, tasks in mended.changed.items()} == dict.fromkeys(HOSTS, 4)
    effective = "sshd -T -C user=root,host=x,addr=192.0.2.1 | grep -e ^permitroot -e ^passwordauth"
    assert everywhere(effective) == dict.fromkeys(
        HOSTS, "permitrootlogin no\npasswordauthentication no\n"
    )
    again = play()
    assert (again.changed, again.failed) == ({}, set()), again.text
