"""What this machine must offer before a verb can begin. Nothing here changes anything.

``./tameng`` asks before there is a .venv, so only the standard library is imported:
``python3 -m cli.footing VERB …`` prints the Debian packages that are still missing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

STATE = Path("/var/lib/tameng")
CACHE = Path("/var/cache/tameng")

# command: the Debian package that has it; for any verb, and for a lab
EVERYWHERE = {"ssh": "openssh-client", "ssh-keygen": "openssh-client"}
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ssh-keygen": "openssh-client",
    "sysctl": "procps",
}
ROOM = 6 << 30  # two trees, seven hosts and what is installed on them
NAME = re.compile(r"[a-z][a-z0-9]{0,7}")
SUBNET = re.compile(r"10\.(\d{1,3})|172\.(1[6-9]|2\d|3[01])|192\.168")


class CannotBegin(Exception):
    """Something is missing or in the way; nothing was changed."""


def subnet_of(name: str, wanted: str | None, *, raising: bool) -> str:
    """The subnet of lab ``name``: the one it stands on, else the one that is wanted.

    ``raising``: the lab is about to be raised, so no other may stand on the same.
    """
    if not NAME.fullmatch(name):
        raise CannotBegin(
            f"a lab's name is one to eight small letters and digits, not {name!r}: "
            "interface names have no room for more"
        )
    standing = {path.parent.name: path.read_text().strip() for path in STATE.glob("*/subnet")}
    subnet = wanted or standing.get(name, "10.77")
    found = SUBNET.fullmatch(subnet)
    if not found or int(found[1] or 0) > 255:
        raise CannotBegin(
            f"expected the first two octets of a private network, such as 10.77, not {subnet!r}"
        )
    if standing.get(name, subnet) != subnet:
        raise CannotBegin(f"lab {name} stands on {standing[name]}; take it down first")
    for other, its in standing.items():
        if raising and other != name and its == subnet:
            raise CannotBegin(
                f"{subnet} belongs to the lab {other}; choose another --subnet, or take that one "
                f"down: ./tameng lab down --name {other}"
            )
    return subnet


def check_root() -> None:
    """Raise CannotBegin unless we are root."""
    if os.geteuid() != 0:
        raise CannotBegin("the lab boots real systemd hosts, which only root may: use sudo")


def check_machine() -> None:
    """Raise CannotBegin unless a lab can be raised here."""
    check_root()
    if missing := missing_packages(TOOLS):
        raise CannotBegin(f"packages are missing: apt-get install {' '.join(missing)}")
    if "overlay" not in Path("/proc/filesystems").read_text() and not shutil.which("modprobe"):
        raise CannotBegin("this kernel has no overlay file system")


def check_room() -> None:
    """Raise CannotBegin when a disk is too full for trees and hosts."""
    for folder in (STATE, CACHE):
        free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
        if free < ROOM:
            raise CannotBegin(
                f"the lab needs {ROOM >> 30} GiB of disk under {folder.parent}, "
                f"and {free / (1 << 30):.1f} GiB are free"
            )


def missing_packages(tools: dict[str, str]) -> list[str]:
    """The packages of those tools that are not there."""
    return sorted({package for tool, package in tools.items() if not shutil.which(tool)})


def wants_lab(words: list[str]) -> bool:
    """Whether this command line raises real hosts."""
    verbs = [word for word in words if not word.startswith("-")]
    if {"-h", "--help"} & set(words) or not verbs:
        return False
    if verbs[0] == "test":
        return not set(verbs[1:]) or "lab" in verbs[1:]
    return verbs[0] in ("lab", "demo")


def main(words: list[str]) -> int:
    """Print what is missing; exit 2 with a sentence when the verb can't work here at all."""
    missing = missing_packages(EVERYWHERE)
    if not importlib.util.find_spec("ensurepip"):
        missing.append("python3-venv")
    if not Path("/usr/share/zoneinfo/Asia/Makassar").exists():
        missing.append("tzdata")
    if wants_lab(words):
        try:
            check_root()
            check_room()
        except CannotBegin as exc:
            print(f"tameng: {exc}", file=sys.stderr)
            return 2
        missing += missing_packages(TOOLS)
    print(" ".join(dict.fromkeys(missing)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
