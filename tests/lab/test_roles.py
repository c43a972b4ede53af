"""The roles on fresh hosts of both Debians: what check mode promises, what a second run leaves,
what they refuse, how a host takes back what cut the operator off, and what they heal.

A lab of its own, because only a fresh host shows what check mode is worth.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.watching import ROOT, ansible_playbook

NAME, SUBNET = "tmroles", "10.219"
HOSTS = ["pc-1", "pc-2"]  # Debian 13 and 12
LAB = [sys.executable, "-m", "cli", "lab"]
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
SITE = "playbooks/site.yml"
ENVIRONMENT = {**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET}
CONFIRM = 8  # seconds; 45 in real life
# What no role may touch: another program's table, as fail2ban or a container engine would have it.
FOREIGN = "add table inet other; add chain inet other bans; add rule inet other bans counter"
ELSEWHERE = [
    {
        "id": "ssh",
        "from": ["management"],
        "to": ["managed"],
        "services": ["tcp/2222"],
        "why": "nobody listens there",
        "owner": "dimas",
        "review": "2027-01-01",
    }
]
STRANGE_ZONES = {
    "wan": {"interface": "w", "networks": []},
    "management": {"interface": "m", "networks": ["203.0.113.0/24"]},
}
HELPER = {
    "who": "loket",
    "as": "_chrony",
    "command": "/usr/bin/chronyc burst 4/8",
    "why": "because of a test",
    "owner": "nurul",
    "review": "2027-05-31",
}
STATE = (  # all that the ways back below must bring back
    "nft -s list table inet tameng; sshd -T; find /etc/ssh/sshd_config.d /etc/tameng /etc/pam.d"
    " /etc/sudoers.d /etc/sudoers /etc/passwd /etc/shadow /etc/group /etc/login.defs -type f"
    " -exec sha256sum {} + | sort; stat -c %a:%G /usr/bin/sudo"
)
# Changes that no preflight can see through, for which no role has a variable.
BAD = {
    "PAM": "sed -i '1i session required pam_deny.so' /etc/pam.d/common-session",
    "the operator's account": "usermod -e 1970-01-02 tameng",
    "sudo's rules": "echo 'tameng ALL=(ALL) ALL' >/etc/sudoers.d/zzzz",
}


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
    shutil.rmtree(ROOT / "var" / NAME)  # the evidence of runs that were only tests


def lab(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    place = ["--subnet", SUBNET] if verb == "up" else []
    return subprocess.run(
        [*LAB, verb, "--name", NAME, *place, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
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


def play(*words: str, hosts: list[str] = HOSTS, playbook: str = SITE, **variables: Any) -> Play:
    """Run the site's playbook on these hosts; the variables beat the inventory's."""
    # The backup server isn't up here, so nobody has pinned its key.
    key = (ROOT / "var" / NAME / "keys/operator_ed25519.pub").read_text().split()[:2]
    variables = {"backup_server_key": " ".join(key)} | variables
    done = ansible_playbook(
        playbook, "--limit", ",".join(hosts), "-e", json.dumps(variables), *words,
        environment=ENVIRONMENT, check=False,
    )  # fmt: skip
    result, task = Play(done.stdout + done.stderr), ""
    for line in done.stdout.splitlines():
        if found := re.match(r"TASK \[(.*)\]", line):
            task = found[1]
        elif found := re.match(r"changed: \[([\w-]+)\]", line):
            result.changed.setdefault(found[1], set()).add(task)
        elif found := re.match(r"([\w-]+) +: (ok=.*)", line):
            counts = (pair.split("=") for pair in found[2].split())
            result.recap[found[1]] = {name: int(count) for name, count in counts}
    assert set(result.recap) == set(hosts), result.text
    return result


def refused(role: str, why: str, variables: dict[str, Any]) -> None:
    """The role must fail on both hosts for this reason, before it changed anything."""
    result = play("--tags", role, **variables)
    assert result.failed == set(HOSTS), result.text
    assert " ".join(result.text.split()).count(why) >= len(HOSTS), result.text
    assert result.changed == {}, result.text


def taken_back(host: str, *words: str, playbook: str = SITE, **variables: Any) -> None:
    """The change must cut the operator off, and the host must heal itself within a minute."""
    before, began = on(host, STATE), time.monotonic()
    result = play(*words, hosts=[host], playbook=playbook, **variables)
    seconds = time.monotonic() - began
    told = " ".join(result.text.split())
    assert result.failed == {host}, result.text
    assert "the host took it back by itself and is as it was before" in told, result.text
    assert seconds < 60, f"reachable after {seconds:.0f} s"
    assert on(host, STATE) == before
    left = on(host, "sleep 1; systemctl list-units --all --no-legend tameng-way-back*")
    assert left == "", left


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
    assert set(done.changed) == set(HOSTS)
    for host in HOSTS:
        surprises = promised.changed[host] ^ done.changed[host]
        # The operator's machine signs what the host asks for, once the host has asked; no archive
        # is made as long as no backup server is there.
        known = ("certificate : ", "backup : There is an archive")
        assert all(task.startswith(known) for task in surprises), f"{host}: {surprises}"
    again = play()
    assert (again.changed, again.failed) == ({}, set()), again.text


def test_what_would_lock_the_operator_out_is_refused() -> None:
    """Before anything changes, with the reason."""
    why = "this would lock the operator out, nothing was changed"
    strangers = ["203.0.113.0/24"]
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("ssh_server", f"{why}: tameng is in none of", {"ssh_server_allow_groups": ["nobodys"]}),
        ("ssh_server", "must name at least one group", {"ssh_server_allow_groups": []}),
        ("ssh_server", "would be invalid, nothing was changed", {"ssh_server_ciphers": ["rot13"]}),
        ("accounts", f"{why}: tameng is none of", {"accounts_operators": ["budi"]}),
        ("accounts", "none of accounts_leavers", {"accounts_leavers": ["tameng"]}),
        ("accounts", "would be invalid, nothing was changed", {"accounts_sudo_exec": ["a(b"]}),
        (
            "accounts",
            "1. as: root may do",
            {"accounts_sudo_delegations": [HELPER | {"as": "root"}]},
        ),
        (
            "accounts",
            "1. command: /usr/bin/vim is an editor",
            {"accounts_sudo_delegations": [HELPER | {"command": "/usr/bin/vim /etc/motd"}]},
        ),
        ("firewall", f"{why}: operator source", {"operator_sources": strangers}),
        (
            "firewall",
            f"{why}: operator source",
            {"network_zones": STRANGE_ZONES, "network_flows": ELSEWHERE},
        ),
        ("firewall", "must hold a flow called ssh", {"network_flows": []}),
    ]
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(refused, *case) for case in cases]:
            done.result()


def test_an_operator_without_a_usable_key_is_refused() -> None:
    """He came in by a key that sshd will no longer look for."""
    settings = "/etc/ssh/sshd_config.d/00-tameng.conf"
    move = f'sed -i "s|^AuthorizedKeysFile .*|AuthorizedKeysFile {{}}|" {settings};'
    move += "mv /home/tameng/{} /home/tameng/{}; systemctl reload ssh"
    everywhere(move.format(".ssh/elsewhere", ".ssh/authorized_keys", ".ssh/elsewhere"))
    try:
        refused("ssh_server", "tameng has no usable key", {})
    finally:
        everywhere(move.format(".ssh/authorized_keys", ".ssh/elsewhere", ".ssh/authorized_keys"))


def test_what_cut_the_operator_off_is_taken_back() -> None:
    """Changes that no preflight can see through: an sshd that shares no key exchange with the
    operator's client, a firewall that opens another port than sshd's, PAM that opens no session,
    an account that has expired, and a sudo that asks for a password nobody has."""
    weak: dict[str, Any] = {"ssh_server_key_exchanges": ["diffie-hellman-group14-sha1"]}
    shut: dict[str, Any] = {"network_flows": ELSEWHERE}

    def by_hand(host: str, what: str) -> None:
        on(host, "rm -f /run/tameng-broken")
        taken_back(host, playbook="tests/lab/lockout.yml", bad=BAD[what], seconds=CONFIRM)

    def first() -> None:
        taken_back("pc-1", "--tags", "ssh_server", ssh_server_confirm_seconds=CONFIRM, **weak)
        by_hand("pc-1", "PAM")

    def second() -> None:
        taken_back("pc-2", "--tags", "firewall", firewall_confirm_seconds=CONFIRM, **shut)
        by_hand("pc-2", "the operator's account")
        by_hand("pc-2", "sudo's rules")

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()


def test_a_restart_goes_back_too() -> None:
    """The host starts anew before anybody has confirmed: it comes up with its old state."""
    started = "systemctl show -p UserspaceTimestamp --value"  # boot_id is the build machine's
    before, since = on("pc-1", STATE), on("pc-1", started)
    armed = "systemctl is-active --quiet tameng-way-back-firewall.timer"
    restart = f"until {armed}; do sleep 0.1; done; sleep 2; sudo systemctl reboot"
    watch = subprocess.Popen([*LAB, "ssh", "--name", NAME, "pc-1", restart], cwd=ROOT)
    variables: dict[str, Any] = {"network_flows": ELSEWHERE, "firewall_confirm_seconds": 45}
    result = play("--tags", "firewall", hosts=["pc-1"], **variables)
    watch.wait(timeout=60)
    told = " ".join(result.text.split())
    assert "the host took it back by itself and is as it was before" in told, result.text
    assert on("pc-1", STATE) == before
    assert on("pc-1", started) != since, "it has not restarted"


def test_a_host_heals_without_its_controller() -> None:
    """The playbook is killed between the change and its confirmation."""
    before = on("pc-1", STATE)
    armed = "systemctl is-active --quiet tameng-way-back-firewall.timer"
    # Logged in before the change, as nobody is let in after it.
    watch = subprocess.Popen(
        [*LAB, "ssh", "--name", NAME, "pc-1", f"until {armed}; do sleep 0.1; done"], cwd=ROOT
    )
    variables = {"network_flows": ELSEWHERE, "firewall_confirm_seconds": CONFIRM}
    controller = subprocess.Popen(
        [PLAYBOOK, SITE, "--limit", "pc-1", "--tags", "firewall", "-e", json.dumps(variables)],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watch.wait(timeout=60) == 0
    os.killpg(controller.pid, 9)
    controller.wait()
    on("pc-1", f"while {armed}; do sleep 0.1; done")  # ssh asks until it is let in
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
        'printf "Match all\\n PermitRootLogin yes\\n" >/etc/ssh/sshd_config.d/99-other.conf;'
        'sed -i "1i PasswordAuthentication yes" /etc/ssh/sshd_config;'
        "chmod 0644 /etc/ssh/ssh_host_ed25519_key;"
        "systemctl disable -q ssh.service; systemctl enable -q ssh.service;"
        "systemctl mask -q --now chrony.service;"
        "ln -sfn /usr/share/zoneinfo/UTC /etc/localtime;"
        "systemctl stop tameng-firewall.service; nft delete table inet tameng;"
        "mkdir -p /etc/systemd/system/apt-daily.timer.d;"
        'printf "[Timer]\\nOnCalendar=hourly\\n" >/etc/systemd/system/apt-daily.timer.d/zzz.conf;'
        'echo "APT::Periodic::Enable 0;" >/etc/apt/apt.conf.d/zzz-other;'
        "systemctl mask -q apt-daily-upgrade.timer"
    )
    mended = play()
    assert mended.failed == set(), mended.text
    assert set(mended.changed) == set(HOSTS)
    effective = "sshd -T -C user=root,host=x,addr=192.0.2.1 | grep -e ^permitroot -e ^passwordauth"
    assert everywhere(effective) == dict.fromkeys(
        HOSTS, "permitrootlogin no\npasswordauthentication no\n"
    )
    again = play()
    assert (again.changed, again.failed) == ({}, set()), again.text
