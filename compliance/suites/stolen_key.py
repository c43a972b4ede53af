"""What a client's key can do on the backup server: sent to it as it is, prints what came of it.

As sshd would: for each key that lets a client in, the command that is forced on it, let loose on
repositories of no worth, which only this process sees at the place of the real ones. Borg itself
asks, but is loaded once: started for each question it would cost more than all of them.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Nobody answers borg's own questions; and that its ciphers work is none here.
os.environ |= {
    "BORG_BASE_DIR": "/srv/backup/base",
    "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING": "YES",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_SELFTEST": "disabled",
    "LC_ALL": "C.UTF-8",
}
archiver = importlib.import_module("borg.archiver")
DOOR = "/etc/tameng/backup/sshd_config"
HOME = Path("/srv/backup")
STRANGER = "somebody-else"


def run(*argv: str, **more: Any) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more
    )
    return str(done.stdout + done.stderr)


def keys_of(name: str) -> list[str]:
    """The lines of all files that sshd would look into for this client's keys."""
    user = f"backup-{name}"
    said = run("sshd", "-T", "-f", DOOR, "-C", f"user={user},host=x,addr=192.0.2.1")
    files = re.search(r"^authorizedkeysfile (.+)$", said, re.MULTILINE)
    home = run("getent", "passwd", user).split(":")[5:6]
    paths = [Path(*home, file) for file in files[1].split()] if files and home else []
    return [key for path in paths if path.exists() for key in path.read_text().splitlines() if key]


def borg(*argv: str) -> str:
    """What the command says. It is run in a process of its own, which needn't load it again."""
    with tempfile.TemporaryFile() as said:
        if not (child := os.fork()):
            for stream in (sys.stdout, sys.stderr):
                os.dup2(said.fileno(), stream.fileno())
            sys.argv = ["borg", *argv]
            try:
                archiver.main()
            finally:
                sys.stdout.flush()
                os._exit(0)
        os.waitpid(child, 0)
        said.seek(0)
        return said.read().decode(errors="replace")


def stage(names: list[str]) -> None:
    """A repository for each client, and a stranger's, which everybody could read."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(HOME))
    borg("init", "-e", "none", str(HOME / "model"))
    for name in [*names, STRANGER]:
        place = HOME / name
        place.mkdir()
        run("cp", "-a", str(HOME / "model"), str(place / "repository"))
        run("chown", "-R", "nobody" if name == STRANGER else f"backup-{name}", str(place))
        place.chmod(0o755)
    run("chmod", "-R", "a+rX", str(HOME / STRANGER))


def rehearse(name: str, keys: list[str]) -> list[dict[str, Any]]:
    found = []
    for number, key in enumerate(keys):
        option = re.match(r'(?:[^" ]*,)?command="((?:[^"\\]|\\.)*)"', key)
        if not option:
            found.append({"command": "", "restricted": False})
            continue
        forced = HOME / f"{name}.{number}"
        command = option[1].replace('\\"', '"')  # sshd knows no other escape
        forced.write_text(
            f"#!/bin/sh\nexec runuser -u backup-{name} -- sh -c {shlex.quote(command)}\n"
        )
        forced.chmod(0o755)
        os.environ |= {"BORG_RSH": str(forced), "BORG_BASE_DIR": f"{HOME}/base-{name}"}
        # What is asked for in place of borg shows in what borg then says of its server.
        os.environ["SSH_ORIGINAL_COMMAND"] = "echo at$((20+3))"
        foreign = borg("list", f"ssh://x{HOME}/{STRANGER}/repository")
        os.environ["SSH_ORIGINAL_COMMAND"] = "borg serve"
        told = {
            "command": command,
            "restricted": "restrict" in key.split(" ssh-")[0].replace(option[0], "").split(","),
            "ran": "at23" in foreign,
            "foreign": foreign[-400:],
            "destroy": borg("delete", f"ssh://x{HOME}/{name}/repository")[:4000],
            "left": (HOME / name / "repository/config").exists(),
        }
        found.append(told)
    return found


def main(names: list[str]) -> dict[str, Any]:
    keys = {name: keys_of(name) for name in names}
    stage(names)
    with multiprocessing.get_context("fork").Pool(min(4, len(names))) as pool:
        return dict(zip(names, pool.starmap(rehearse, keys.items()), strict=True))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
