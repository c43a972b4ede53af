"""A rollback returns a host to what it was: files, units, and what the kernel was told.

Own hosts, on which no role has run: Debian 13 and 12. Every role's packages are installed first (a
rollback leaves packages), then each role is applied and rolled back by itself.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME, SUBNET = "tmback", "10.221"
HOSTS = ["pc-1", "pc-2"]
TAMENG = [sys.executable, "-m", "cli"]
ENVIRONMENT = {**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET}
HISTORY = "config_history"  # records the others' changes, so it stays
ROLES = [
    role["role"]
    for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    if not {"managed", "endpoints"}.isdisjoint(re.findall(r"\w+", play["hosts"]))
    for role in play["roles"]
    if role["role"] != HISTORY
]
# What a host is, as far as a role can change it. Runtime noise is left out, each for its reason.
FINGERPRINT = {
    "files": "cd /etc && git add -A && git write-tree && git ls-files -s",
    "programs": "find /usr/local -xdev -type f -exec sha256sum {} + | sort -k2",
    "unit files": "systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}'"
    " | grep -v '^session' | sort",
    # Sessions come and go with our own log-ins; a oneshot that ran once is no state.
    "running": "systemctl list-units --no-legend --plain --state=active"
    " --type=service,timer,socket,mount,path | awk '{print $1}'"
    # The sender of logs comes and goes where no log server is up.
    " | grep -v -e upload -e '^user' -e '^session' -e '^run-user' -e '^apt-daily' | sort",
    "network settings": "sysctl -a 2>/dev/null | grep -E '^net.*(forward|redirect|rp_filter|source|"
    "martian|syncookies|accept_ra|icmp_)' | sort",
    "rules": "nft -s list ruleset",
    "mounts": "findmnt -rno TARGET,OPTIONS | grep -v '^/run' | sort",
}


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[None]:
    """Fresh hosts with every role's packages, but none of its settings."""
    tameng("lab", "up", "--limit", ",".join(HOSTS))
    first = last_run(tameng("apply", "--limit", ",".join(HOSTS)))
    tameng("rollback", first, "--limit", ",".join(HOSTS), "--roles", ",".join(ROLES))
    yield
    tameng("lab", "down")
    shutil.rmtree(ROOT / "var" / NAME)


def tameng(*words: str) -> str:
    done = subprocess.run(
        [*TAMENG, *words], cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


def last_run(_: str) -> str:
    return tameng("rollback").split()[-1]


def fingerprint() -> dict[str, dict[str, str]]:
    """{host: {what: text}}"""

    def of(host: str) -> dict[str, str]:
        parts = "; ".join(
            f"echo '== {name}'; {{ {how}; }} || :" for name, how in FINGERPRINT.items()
        )
        said = tameng("lab", "ssh", host, f"sudo sh -c {shlex.quote(parts)}")
        blocks = [block.partition("\n") for block in said.split("== ")[1:]]
        return {name: text for name, _, text in blocks}

    with ThreadPoolExecutor() as pool:
        return dict(zip(HOSTS, pool.map(of, HOSTS), strict=True))


# Seen to leave no trace. The others' ways back are written, but were not all seen to the end yet:
# issue 3 stays open for it. They are tried and reported, without stopping a landing.
SEEN = {"time_sync", "firewall", "desktop"}
NOT_SEEN = pytest.mark.xfail(reason="its rollback was not yet seen to leave no trace (issue 3)")


@pytest.mark.parametrize(
    "role", [role if role in SEEN else pytest.param(role, marks=NOT_SEEN) for role in ROLES]
)
def test_a_rolled_back_role_leaves_no_trace(role: str) -> None:
    """And says that there was something to undo."""
    before = fingerprint()
    run = last_run(tameng("apply", "--limit", ",".join(HOSTS), "--tags", role))
    applied = fingerprint()
    assert all(applied[host] != before[host] for host in HOSTS), "nothing was applied"
    tameng("rollback", run, "--limit", ",".join(HOSTS))
    after = fingerprint()
    for host in HOSTS:
        for what, text in before[host].items():
            was, now = set(text.splitlines()), set(after[host][what].splitlines())
            assert now == was, f"{host}, {what}: +{sorted(now - was)} -{sorted(was - now)}"
