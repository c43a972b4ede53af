"""What this machine must offer before a lab can stand on it. Nothing here changes anything."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

STATE = Path("/var/lib/tameng")
CACHE = Path("/var/cache/tameng")

# command: the Debian package that has it
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


def check_machine() -> None:
    """Raise CannotBegin unless a lab can be raised here."""
    if os.geteuid() != 0:
        raise CannotBegin("the lab boots real systemd hosts, which only root may: use sudo")
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
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
