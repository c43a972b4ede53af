"""A rollback returns a host to what it was: files, accounts, units, and what the kernel was told.

Own hosts, Debian 13 and 12, on which no role has run: they have every role's packages (a rollback
leaves packages) and none of its settings. Each role is applied and taken back by itself, then all
of them by one rollback to before the first of several runs.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME, SUBNET = "tmback", "10.221"
TAMENG = [sys.executable, "-m", "cli"]
ENVIRONMENT = {**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET}
TREE = yaml.safe_load((ROOT / "lab/roles/trees/defaults/main.yml").read_text())
HISTORY = "config_history"  # records the others' changes, so it stays
DEEDS = ("restore_drill", "offline_copy")  # they set nothing that could be taken back
HOSTS = {
    "managed": ["pc-1", "pc-2"],
    "endpoints": ["pc-1", "pc-2"],
    "servers": ["app", "backup", "monitor"],
    "backup_servers": ["backup"],
    "second_sites": ["monitor"],
    "file_servers": ["app"],
    "backup_clients": ["app", "gateway", "monitor", "pc-2"],
    "log_servers": ["monitor"],
    "antivirus_mirrors": ["monitor"],
    "websites": ["app"],
    "gateways": ["gateway"],
    "drills": ["monitor"],  # where others' archives are tried, with what they hold
}
ROLES = {
    role["role"]: sorted({host for group in groups for host in HOSTS[group]})
    for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    if (groups := HOSTS.keys() & re.findall(r"\w+", play["hosts"]))
    for role in play.get("roles", [])
    if role["role"] not in (HISTORY, *DEEDS)
}
ALL = sorted({host for hosts in HOSTS.values() for host in hosts})
# The gate shows the certificate that the role before it brings; both use its script.
TAGS = {
    "log_server": "logging,log_server",
    "warnings": "logging,warnings",
    "detection": "logging,detection",
    "antivirus": "logging,antivirus",
    "antivirus_mirror": "logging,antivirus,antivirus_mirror",
    "backup": "logging,backup",
    "backup_server": "logging,backup,backup_server",
    "file_share": "logging,file_share",
    "second_copy": "logging,backup,backup_server,second_copy",
    "second_site": "logging,second_site",
}


def packages(host: str) -> list[str]:
    """What the roles install on a host."""
    groups = ["managed", *(group for group, hosts in HOSTS.items() if host in hosts)]
    return sorted({name for group in groups for name in TREE["trees_prefetch"].get(group, [])})


# What a host is, as far as a role can change it. What is left out is no configuration:
NOT_OURS = [
    "/etc/.git", "/etc/.etckeeper",  # the history of the rest; a rollback is an entry in it
    # The last lists but one, which each tool that changes an account leaves, and its lock.
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/sub?id-",
    "/etc/.pwd.lock",
    "/home/*/.ansible", "/root/.ansible",  # Ansible's own, while it works
    "/home/*/.sudo_as_admin_successful",  # made by sudo when an administrator uses it
]  # fmt: skip
TREES = (
    "/etc /usr/local /home /root /var/spool/cron"
    " /var/lib/aide /var/lib/apache2 /var/lib/dpkg/statoverride /var/lib/pam /var/lib/wordpress"
)
LEFT_OUT = " -o ".join(f"-path {shlex.quote(path)}" for path in NOT_OURS)
FILES = f"find {TREES} -xdev \\( {LEFT_OUT} \\) -prune -o"
FINGERPRINT = {
    "modes": f"{FILES} -printf '%M %u:%g %p %l\n'",
    "contents": f"{FILES} -type f -exec sha256sum {{}} +",
    # Others begin and end with what is logged; it stays.
    "logs": "stat -c '%A %U:%G %n' /var/log /var/log/dpkg.log",
    "programs": "find /usr /opt /srv -xdev ! -type l -perm /7022 -printf '%M %u:%g %p\n'",
    "units": "systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}'"
    " | grep -v transient",
    "running": "systemctl list-units --no-legend --plain --state=active"
    " --type=service,timer,socket,mount,path | awk '{print $1}'",
    "network": "sysctl -a 2>/dev/null | grep ^net | grep -v conntrack_count",
    "rules": "nft -s list ruleset",
    "mounts": "findmnt -rno TARGET,OPTIONS",
    "packages": "dpkg --get-selections",
}


@pytest.fixture(scope="module")
def now() -> Iterator[dict[str, set[str]]]:
    """How the hosts are: fresh, with every role's packages and none of its settings. Each test
    puts in how it left them, so that one role's trace isn't held against the next."""
    tameng("lab", "up", "--limit", ",".join(ALL))
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends"
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: on_each([host], f"{install} {' '.join(packages(host))}"), ALL))
    apply(ALL, HISTORY)
    yield fingerprint(ALL)
    tameng("lab", "down")
    shutil.rmtree(ROOT / "var" / NAME)


def tameng(*words: str) -> str:
    done = subprocess.run(
        [*TAMENG, *words], cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


def apply(hosts: list[str], *tags: str, more: Collection[str] = ()) -> str:
    """The run's id."""
    words = [word for tag in tags for word in ("--tags", tag)]
    tameng("apply", "--limit", ",".join(hosts), *words, "--", *more)
    return max(path.name for path in (ROOT / "var" / NAME / "runs").glob("*-apply-*"))


def on_each(hosts: list[str], command: str) -> dict[str, str]:
    def on(host: str) -> str:
        return tameng("lab", "ssh", host, f"sudo sh -c {shlex.quote(command)} </dev/null")

    with ThreadPoolExecutor() as pool:
        return dict(zip(hosts, pool.map(on, hosts), strict=True))


def fingerprint(hosts: list[str]) -> dict[str, set[str]]:
    """{host: lines}"""
    parts = "; ".join(f"{how} | sed 's/^/{name}: /'" for name, how in FINGERPRINT.items())
    return {host: set(said.splitlines()) for host, said in on_each(hosts, parts).items()}


def nothing_is_left(now: dict[str, set[str]], hosts: list[str]) -> None:
    was = {host: now[host] for host in hosts}
    now |= fingerprint(hosts)
    for host in hosts:
        left, gone = sorted(now[host] - was[host]), sorted(was[host] - now[host])
        assert not left + gone, f"{host}: +{left} -{gone}"


def goes_back(now: dict[str, set[str]], hosts: list[str], run: str, roles: Collection[str]) -> None:
    """To before that run, with something to undo for each role, and nothing left of it."""
    said = tameng("rollback", run, "--limit", ",".join(hosts))
    nothing_is_left(now, hosts)
    for role in roles:
        assert said.count(f"Z-{role}:") >= len(ROLES[role]), f"nothing of {role} was undone"


def test_a_rollback_undoes_a_run_and_all_later_ones(now: dict[str, set[str]]) -> None:
    """Every role in the second of two runs, and back to before the first of them."""
    first = apply(ALL, "time_sync")
    apply(ALL)
    goes_back(now, ALL, first, ROLES)


def test_who_came_since_a_run_stays(now: dict[str, set[str]]) -> None:
    """Lists of accounts go back by their lines: a person is not lost with our settings."""
    hosts = ROLES["accounts"]
    run = apply(hosts, "accounts")
    on_each(hosts, "useradd -m budi && echo budi:rahasia-sekali-4711 | chpasswd -e")
    tameng("rollback", run, "--limit", ",".join(hosts))
    lists = "passwd shadow group gshadow"
    there = on_each(hosts, f"for list in {lists}; do grep -c ^budi: /etc/$list; done; id -u budi")
    assert {host: said.split()[:4] for host, said in there.items()} == dict.fromkeys(
        hosts, ["1"] * 4
    )
    on_each(hosts, "userdel -r budi 2>/dev/null")
    nothing_is_left(now, hosts)


def test_who_is_at_work_keeps_no_account(now: dict[str, set[str]]) -> None:
    """A client that sends its archive, or a program of ours, in the account that goes."""
    hosts = ["app", "backup"]
    run = apply(hosts, TAGS["backup_server"])
    # What goes back to an earlier run of ours shuts nobody out.
    later = apply(["backup"], "backup_server", more=["-e", "backup_server_surge_mib=2"])
    tameng("rollback", later, "--limit", "backup")
    on_each(["backup"], "systemctl is-active tameng-backup-door.service; getent passwd backup-app")
    on_each(["backup"], "setsid runuser -u backup-app -- sleep 600 >/dev/null 2>&1 &")
    on_each(["backup"], "sleep 1; pgrep -u backup-app sleep")
    goes_back(now, hosts, run, ["backup_server"])


@pytest.mark.parametrize("role", ROLES)
def test_a_rolled_back_role_leaves_no_trace(now: dict[str, set[str]], role: str) -> None:
    """Of the role by itself."""
    run = apply(ROLES[role], TAGS.get(role, role))
    goes_back(now, ROLES[role], run, [role])
