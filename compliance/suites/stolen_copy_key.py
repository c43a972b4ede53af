"""What a backup server's key can do at the second site: sent to it as it is, prints the outcome.

The command that is forced on each key is let loose, as its account, on a folder that only this
process sees: something is brought, then written over, unlisted and ordered away.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

DOOR = "/etc/tameng/second_site/sshd_config"
ACCOUNT = "second-site"
TEXT, OTHER = "an archive", "noise here"
TOLD = hashlib.sha256(TEXT.encode()).hexdigest()


def run(*argv: str, stdin: str = "", asked: str = "") -> str:
    """What it says on either stream."""
    env = {**os.environ, "SSH_ORIGINAL_COMMAND": asked}
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, env=env)
    return done.stdout + done.stderr


def keys() -> list[str]:
    """The lines by which sshd lets somebody in at that door."""
    said = run("sshd", "-T", "-f", DOOR, "-C", f"user={ACCOUNT},host=x,addr=192.0.2.1")
    files = re.findall(r"(?m)^authorizedkeysfile (.+)$", said)[0].split()
    there = [Path(file) for file in files if Path(file).exists()]
    return [key for file in there for key in file.read_text().splitlines() if key]


def rehearse(key: str) -> dict[str, Any]:
    """What the key's owner could make of what he brought."""
    option = re.match(r'(?:[^" ]*,)?command="((?:[^"\\]|\\.)*)"', key)
    if not option:
        return {"name": "", "command": ""}
    command = option[1].replace('\\"', '"')  # sshd knows no other escape
    folder = Path(command.split()[-1])

    def order(asked: str, stdin: str = "") -> str:
        argv = ("runuser", "-u", ACCOUNT, "--", "sh", "-c", command)
        return run(*argv, stdin=stdin, asked=asked).strip()

    run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", str(folder))
    run("chown", f"{ACCOUNT}:{ACCOUNT}", str(folder))
    said = order("echo at$((20+3))")[:200]
    said += order("put x", f"{TOLD} {len(TEXT)}\n{TEXT}")
    listed = order("close x", f"{TOLD}  repository/config\n")
    order("put x", f"{TOLD} {len(OTHER)}\n{OTHER}")
    for harm in ("close x", f"rm -rf {folder}", "delete x"):
        order(harm)
    options, _, _ = key.replace(option[0], "").partition(" ssh-")
    return {
        "name": folder.name,
        "command": command,
        "restricted": "restrict" in options.split(","),
        "said": said,
        "listed": listed,
        "left": order(f"get x {listed}").endswith(TEXT),
    }


print(json.dumps([rehearse(key) for key in keys()]))
