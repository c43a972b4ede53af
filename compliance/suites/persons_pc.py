"""What a person's PC gets of the shares: sent to the file server as it is, prints what came of it.

A person of the first share has a password that only lives here, where the same daemon runs by the
same settings. His PC asks for no encryption, and the daemon says how it came in; then he goes to
shares that are not his. In the end somebody guesses at his password.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOST_GUESSES = 12
POLICIES = Path("/var/lib/samba/account_policy.tdb")


def run(*argv: str, stdin: str = "") -> str:
    """What it says on either stream."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def client(who: str, share: str, *more: str) -> list[str]:
    """Samba's own, which takes the password from PASSWD."""
    argv = ["smbclient", f"//127.0.0.1/{share}", "-s", "/dev/null", "-U", who, "-m", "SMB3"]
    return [*argv, "--client-protection=off", *more]


def visit(who: str, share: str) -> str:
    return run(*client(who, share, "-c", "ls"))


def sessions(conf: str, who: str, share: str) -> dict[str, Any]:
    """What the daemon says of a PC that is connected to a share."""
    seen: dict[str, Any] = {}
    with subprocess.Popen(
        client(who, share),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as pc:
        for _ in range(50):
            told = run("smbstatus", "-s", conf, "--json")
            seen = json.loads(told[told.find("{") : told.rfind("}") + 1] or "{}")
            if seen.get("tcons"):  # from here on he gets at files
                break
            time.sleep(0.1)
        if pc.stdin:
            pc.stdin.close()
    return dict(seen.get("sessions", {}))


def guesses(who: str, share: str, word: str) -> dict[str, Any]:
    """How many wrong passwords are answered as such, and what the right one opens then."""
    os.environ["PASSWD"] = secrets.token_hex(12)
    tries = 0
    while tries < MOST_GUESSES and "LOCKED_OUT" not in visit(who, share):
        tries += 1
    os.environ["PASSWD"] = word
    return {"answered": tries, "then": visit(who, share)[-100:]}


def main(conf: str, shares: dict[str, list[str]]) -> None:
    policies = POLICIES.read_bytes() if POLICIES.exists() else b""
    for at in ("/var/lib/samba", "/var/cache/samba", "/var/log/samba", "/run"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", at)
    for folder in ("/run/samba", "/var/lib/samba/private"):
        Path(folder).mkdir()
    if policies:  # the host's own, which no settings name
        POLICIES.write_bytes(policies)
    run("ip", "link", "set", "lo", "up")
    first = next(iter(shares))
    who, word = shares[first][0], secrets.token_hex(12)
    os.environ["PASSWD"] = word
    made = run("smbpasswd", "-c", conf, "-s", "-a", who, stdin=f"{word}\n{word}\n")
    daemon = ["smbd", "--foreground", "-s", conf]
    with subprocess.Popen(
        daemon, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            for _ in range(50):
                if "REFUSED" not in visit(who, first):
                    break
                time.sleep(0.1)
            others = [name for name, people in shares.items() if who not in people]
            came = sessions(conf, who, first).values()
            told = {
                "who": who,
                "made": made[-200:],
                "listed": visit(who, first)[-100:],
                "sealed": [one["encryption"] for one in came],
                "others": {name: visit(who, name)[-100:] for name in others},
                "guesses": guesses(who, first, word),
            }
            print(json.dumps(told))
        finally:
            it.terminate()


main(sys.argv[1], json.loads(sys.argv[2]))
