"""The operator's way in, seen from the host: who logged in, from where, and would that still do?"""

from __future__ import annotations

import os
import pwd
import re
import time
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from .shell import Refused, run

# What `ssh-keygen -l` prints: bits, fingerprint, comment, (TYPE).
KEY = re.compile(r"^(\d+) \S+ .*\((\S+)\)$", re.MULTILINE)
RSA_BITS = 3072
NO_SHELLS = ("nologin", "false")
SHADOW = Path("/etc/shadow")
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Login:
    """The SSH login that this module runs under."""

    user: str
    address: str


def present() -> Login | None:
    """The login, or None when no SSH connection brought us here. sudo drops SSH_CONNECTION from the
    environment, so it is read from the processes above us."""
    pid = os.getpid()
    while pid > 1:
        process = Path("/proc") / str(pid)
        pairs = (
            item.partition("=")[::2]
            for item in (process / "environ").read_text(errors="replace").split("\0")
        )
        environment = dict(pairs)
        if "SSH_CONNECTION" in environment:
            address = environment["SSH_CONNECTION"].split()[0].removeprefix("::ffff:")
            return Login(environment["USER"], address)
        status = (process / "status").read_text()
        pid = int(next(line for line in status.splitlines() if line.startswith("PPid:")).split()[1])
    return None


def refuse(wanted: dict[str, Any], login: Login | None) -> None:
    """Refuse what would lock the operator out. `groups`: the login user must be in one of them and
    hold a usable key. `networks`: the login, and every one of `sources`, must come from them.
    `users`: the login user must be one of them, and his account one that nobody has to close."""
    complaints = []
    if wanted.get("networks") is not None:
        complaints += _outside(wanted["networks"], wanted.get("sources") or [], login)
    if wanted.get("groups") is not None and login is not None:
        complaints += _locked_out(wanted["groups"], login)
    if wanted.get("users") is not None and login is not None:
        complaints += _shut(wanted["users"], login)
    if complaints:
        told = "; ".join(complaints)
        raise Refused(f"this would lock the operator out, nothing was changed: {told}")


def _outside(networks: list[str], sources: list[str], login: Login | None) -> list[str]:
    inside = [ip_network(network) for network in networks]
    coming = [(f"operator source {source}", ip_network(source)) for source in sources]
    if login is not None:
        coming.append((f"this login from {login.address}", ip_network(ip_address(login.address))))
    return [
        f"{name} is in none of: {', '.join(networks)}"
        for name, network in coming
        if not any(_within(network, other) for other in inside)
    ]


def _within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _locked_out(groups: list[str], login: Login) -> list[str]:
    if login.user == "root":
        return ["the login user is root, whom sshd will no longer let in"]
    complaints = []
    member_of = run(["id", "-nG", login.user]).out.split()
    if not set(groups) & set(member_of):
        complaints.append(
            f"{login.user} is in none of the groups {', '.join(groups)}"
            f" (he is in {', '.join(member_of)})"
        )
    keys = Path(pwd.getpwnam(login.user).pw_dir) / ".ssh/authorized_keys"
    found = KEY.findall(run(["ssh-keygen", "-l", "-f", str(keys)]).out)
    if not any(
        kind not in ("RSA", "DSA") or (kind == "RSA" and int(bits) >= RSA_BITS)
        for bits, kind in found
    ):
        complaints.append(f"{login.user} has no usable key in {keys}")
    return complaints


def _shut(users: list[str], login: Login) -> list[str]:
    complaints = []
    if login.user not in users:
        complaints.append(f"{login.user} is none of the operators {', '.join(users)}")
    account = pwd.getpwnam(login.user)
    if not os.access(account.pw_shell, os.X_OK) or Path(account.pw_shell).name in NO_SHELLS:
        complaints.append(f"{login.user} has no shell: {account.pw_shell}")
    if others := {a.pw_name for a in pwd.getpwall() if a.pw_uid == account.pw_uid} - {login.user}:
        complaints.append(f"{login.user} shares his id with {', '.join(others)}")
    shadow = (line.split(":") for line in SHADOW.read_text().splitlines())
    ends = {row[0]: row[7] for row in shadow}.get(login.user, "")
    if ends and int(ends) <= time.time() // 86400:
        complaints.append(f"the account of {login.user} has expired")
    return complaints
