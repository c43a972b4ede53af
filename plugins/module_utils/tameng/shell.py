"""Running a command on the host, always in the C locale."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Refused(Exception):
    """The change can't or must not be made; the message is for the operator."""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    command: str
    status: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    def said(self) -> str:
        """One line of what it said, errors first."""
        lines = (self.err.strip() or self.out.strip() or "it said nothing").splitlines()
        return " / ".join(line.strip() for line in lines[-6:])


def run(command: str | list[str], **environment: str) -> Done:
    """Run a list as it is, a string by ``/bin/sh``. Ansible's language settings stay out of it."""
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    shown = command if isinstance(command, str) else " ".join(command)
    env = {**os.environ, "LC_ALL": "C", "LANGUAGE": "", **environment}
    env["PATH"] = PATH
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return Done(shown, 127, "", f"{argv[0]}: not found")
    return Done(shown, done.returncode, done.stdout, done.stderr)


def must(command: str | list[str], **environment: str) -> Done:
    """Run it, and refuse to go on when it fails."""
    done = run(command, **environment)
    if not done.ok:
        raise Refused(f"`{done.command}` failed with {done.status}: {done.said()}")
    return done
