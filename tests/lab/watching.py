"""What tests on hosts share: a shell, playbooks, guesses at log-ins, patience, an empty book."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NET = os.environ.get("TAMENG_LAB_SUBNET", "10.77")
LETTERS = "/var/mail/lab/new"
# At the gateway: desks get as far as its sshd, so that only bans count.
DOOR = "nft insert rule inet tameng input iifname staff tcp dport 22 accept"
WRONG = (
    "timeout 5 ssh -F none -i /run/wrong-key -o IdentitiesOnly=yes -o BatchMode=yes"
    " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=3"
)


def on(host: str, command: str) -> str:
    """What a command says on a host of the lab, as root."""
    lab = [sys.executable, "-m", "cli", "lab", "ssh", host, "sudo sh"]
    done = subprocess.run(lab, input=command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def ansible_playbook(
    *words: str, environment: Mapping[str, str] = os.environ, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a playbook; unless it is told not to ``check``, one that fails fails the test."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), *words],
        cwd=ROOT, env={**environment, "ANSIBLE_FORCE_COLOR": "0"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        pytest.fail(f"{' '.join(words)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return done


def guess_at_website(host: str, times: int) -> None:
    """So many wrong log-ins from this host at the website, until it no longer answers."""
    name = on("app", "sed -n 's/^ServerName //p' /etc/apache2/sites-available/tameng.conf")
    on(
        host,
        f"""python3 - <<'END'
import ssl, urllib.parse, urllib.request
careless = ssl._create_unverified_context()
for number in range({times}):
    form = urllib.parse.urlencode({{"log": f"admin{{number}}", "pwd": "wrong"}}).encode()
    try:
        urllib.request.urlopen("https://{name}/wp-login.php", form, timeout=10, context=careless)
    except OSError as exc:
        print(exc)
        break
END""",
    )


def until(seconds: float, true: Callable[[], bool]) -> float:
    """How long it took to become true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + seconds, f"not within {seconds} s"
        time.sleep(1)
    return time.monotonic() - began


def forget() -> None:
    """An empty folder of letters, and a book that knows of no event."""
    past = """DELETE FROM events; DELETE FROM warnings WHERE kind != 'test';
        DELETE FROM letters WHERE warning NOT IN (SELECT id FROM warnings)"""
    on(
        "monitor",
        f"""systemctl stop tameng-warnings.service; rm -f {LETTERS}/*
        python3 -c 'import sqlite3, sys
with sqlite3.connect("/var/lib/tameng-warnings/book.sqlite") as b: b.executescript(sys.argv[1])' \
            "{past}"
        systemctl start tameng-warnings.service""",
    )


def month() -> dict[str, Any]:
    """The month's figures, as an audit measures them for C2 and D1."""
    found: dict[str, Any] = json.loads(on("monitor", "/usr/local/sbin/warnings facts"))["month"]
    return found
