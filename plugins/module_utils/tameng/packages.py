"""Packages: asked of dpkg in one question, installed or purged by apt-get in one go."""

from __future__ import annotations

import re
import time
from pathlib import Path

from .shell import Refused, must, run

LISTS = Path("/var/lib/apt/lists")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}


def missing(names: list[str]) -> list[str]:
    """Which of them dpkg doesn't hold as installed and configured."""
    there = installed(names)
    return [name for name in names if name not in there]


def installed(names: list[str]) -> list[str]:
    """Which packages of these names or patterns are installed and configured."""
    if not names:
        return []
    said = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]).out
    return [line.split()[0] for line in said.splitlines() if line.endswith(" installed")]


def refuse(needless: list[str], protected: list[str]) -> None:
    """Where purging would take along what holds this host."""
    if not needless or not protected:
        return
    said = must(["apt-get", "-s", "-q", "purge", *needless]).out
    lost = re.findall(r"^(?:Purg|Remv) (\S+)", said, re.MULTILINE)
    if taken := sorted(set(lost) & set(protected)):
        raise Refused(
            f"to purge {' '.join(needless)} would take {' '.join(taken)} along, which is protected"
        )


def purge(names: list[str]) -> None:
    """Take them away, settings and all."""
    must(["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "purge", *names], **QUIET)


def install(names: list[str], lists_max_age: int) -> None:
    """Install them; asks for new lists first when those at hand are too old, or of no use."""
    argv = [
        "apt-get",
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
        "-o",
        "DPkg::Lock::Timeout=120",
        "install",
        *names,
    ]
    fresh = _age() < lists_max_age
    if not fresh:
        _refresh()
    done = run(argv, **QUIET)
    if not done.ok and fresh:
        _refresh()  # the lists were young, but name versions that the archive no longer has
    if not done.ok:
        must(argv, **QUIET)


def _refresh() -> None:
    must(["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "update"])


def _age() -> float:
    stamps = [path.stat().st_mtime for path in LISTS.glob("*_Packages*")]
    return time.time() - max(stamps, default=0)
