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
MACHINES = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}  # lab/vm
ROOM = 6 << 30  # two trees, six hosts and what is installed on them
VENV = Path(__file__).resolve().parent.parent / ".venv"
VENV_ROOM = 1 << 30  # 300 MB in the end, and what pip has downloaded meanwhile
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
        _check_free(folder, ROOM, "the lab")


def check_venv() -> None:
    """Raise CannotBegin when there is no .venv yet and no room to build it."""
    if not (VENV / "lock").exists():
        _check_free(VENV, VENV_ROOM, ".venv")


def _check_free(folder: Path, room: int, what: str) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < room:
        raise CannotBegin(
            f"{what} needs {room >> 30} GiB of disk under {folder.parent}, "
            f"and {free / (1 << 30):.1f} GiB are free"
        )


def missing_packages(tools: dict[str, str]) -> list[str]:
    """The packages of those tools that are not there."""
    return sorted({package for tool, package in tools.items() if not shutil.which(tool)})


def wants_lab(words: list[str]) -> bool:
    """Whether this command line touches real hosts on this machine."""
    verbs = _verbs(words)
    if verbs[:1] == ["test"]:
        return len(verbs) == 1 or bool({"lab", "disasters", "kernel"} & {*verbs})
    return verbs[:1] in (["lab"], ["demo"])


def raises_lab(words: list[str]) -> bool:
    """Whether it puts hosts up: what takes a lab down must work on a full disk too."""
    verbs = _verbs(words)
    return wants_lab(words) and (verbs[0] != "lab" or verbs[1:2] == ["up"])


def _verbs(words: list[str]) -> list[str]:
    """The words that are neither options nor what ``-k`` selects; none where help is wanted."""
    if {"-h", "--help"} & set(words):
        return []
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before != "-k" and not word.startswith("-")
    ]


def main(words: list[str]) -> int:
    """Print what is missing; exit 2 with a sentence when the verb can't work here at all."""
    missing = missing_packages(EVERYWHERE)
    if not importlib.util.find_spec("ensurepip"):
        missing.append("python3-venv")
    if not Path("/usr/share/zoneinfo/Asia/Makassar").exists():
        missing.append("tzdata")
    try:
        if wants_lab(words):
            check_root()
            missing += missing_packages(TOOLS)
            # Nobody else boots a kernel of its own.
            missing += missing_packages(MACHINES) if "kernel" in _verbs(words) else []
        if raises_lab(words):
            check_room()
        check_venv()
    except CannotBegin as exc:
        print(f"tameng: {exc}", file=sys.stderr)
        return 2
    print(" ".join(dict.fromkeys(missing)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
