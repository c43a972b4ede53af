"""Questions that several tests of a family ask; the transport sends each of them once a host."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.suite import Ask, broken, not_applicable


@pytest.fixture
def own_kernel(ask: Ask) -> None:
    """For what belongs to the kernel: a container shows its host's, about which it decides nothing.

    Not for ``net.*`` settings, which a container has of its own.
    """
    kind = ask("systemd-detect-virt --container", exits=(0, 1)).strip()
    if kind != "none":
        not_applicable(f"the kernel is not this machine's own: it is a container ({kind})")


@pytest.fixture
def sshd(ask: Ask) -> dict[str, str]:
    """What sshd makes of all its configuration files, for an unknown user from elsewhere."""
    text = ask("sshd -T -C user=nobody,host=example.invalid,addr=192.0.2.1")
    lines = [line.partition(" ") for line in text.splitlines()]
    values: dict[str, str] = {}
    for key, _, value in lines:
        values[key] = f"{values[key]} {value}" if key in values else value
    return values


@pytest.fixture
def ssh_offer(host: Any) -> dict[str, Any]:
    """What the running sshd offers to a client that has shown nothing yet: from a real handshake.

    ``kex``, ``host_keys``, ``ciphers``, ``macs``, ``methods`` are lists; ``banner`` is text.
    """
    done = host.run(
        "ssh -vv -F none -o BatchMode=yes -o StrictHostKeyChecking=no"
        " -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=none -o ConnectTimeout=5"
        " nobody@127.0.0.1 true || true"  # it always ends in a refusal
    )
    text = str(done.stderr)
    proposal = text.partition("peer server KEXINIT proposal")[2]
    if not proposal:
        broken(f"no handshake with the local sshd: {text.strip().splitlines()[-1:]}")

    def listed(name: str) -> list[str]:
        found = re.search(rf"debug2: {name}: (\S+)", proposal)
        return found[1].split(",") if found else broken(f"the handshake shows no {name}")

    methods = re.search(r"Authentications that can continue: (\S+)", text)
    shown = [ln for ln in text.splitlines() if not re.match(r"(debug\d:|OpenSSH_|Warning:)", ln)]
    return {
        "kex": listed("KEX algorithms"),
        "host_keys": listed("host key algorithms"),
        "ciphers": listed("ciphers stoc"),
        "macs": listed("MACs stoc"),
        "methods": methods[1].split(",") if methods else [],
        "banner": "\n".join(ln for ln in shown if "Permission denied" not in ln).strip(),
    }


@pytest.fixture
def table(host: Any) -> list[dict[str, Any]]:
    """The loaded rules of our nftables table, as nft's JSON objects; none if not loaded."""
    done = host.run("nft -j list table inet tameng")
    return list(json.loads(done.stdout)["nftables"]) if done.rc == 0 else []


@pytest.fixture
def input_rules(table: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The expressions of each rule of the chain hooked to input, in order."""
    chains = {c["chain"]["name"] for c in table if c.get("chain", {}).get("hook") == "input"}
    return [r["rule"]["expr"] for r in table if r.get("rule", {}).get("chain") in chains]


@pytest.fixture
def open_ports(matrix: Any, target: Any) -> set[tuple[str, int]]:
    """(protocol, port) of all that the court's matrix of flows lets in to this host."""
    found: set[tuple[str, int]] = set()
    for service in (s for flow in matrix.lets_in(target.name) for s in flow["services"]):
        protocol, _, ports = service.partition("/")  # tcp/443, udp/60000-60010; or ping
        first, _, last = ports.partition("-")
        found |= {(protocol, p) for p in range(int(first or 1), int(last or first or 0) + 1)}
    return found


@pytest.fixture
def apt(ask: Ask) -> dict[str, list[str]]:
    """apt's effective configuration; a list option has all its values under its name."""
    values: dict[str, list[str]] = {}
    for line in ask("apt-config dump").splitlines():
        found = re.match(r'([\w:/.-]+?)(?:::)? "(.*)";$', line)
        if found and found[2]:
            values.setdefault(found[1], []).append(found[2])
    return values


@pytest.fixture
def mounts(ask: Ask) -> dict[str, list[str]]:
    """The flags that the kernel enforces, by mount point; of several at one place the top one."""
    lines = ask("findmnt -rno TARGET,VFS-OPTIONS").splitlines()
    return {path: flags.split(",") for path, _, flags in (ln.partition(" ") for ln in lines)}


BROWSER = Path(__file__).with_name("browser.py").read_text()
Browse = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def browse(ask: Ask, public: Callable[[str], Any]) -> Browse:
    """Asks the host's web server for paths, by the website's name; returns of each its status,
    headers (names in small letters) and text."""

    def asked(*paths: str, method: str = "GET", form: str = "", tls: bool = True) -> Any:
        name = public("web_server_name")
        wanted = {"name": name, "paths": paths, "method": method, "form": form, "tls": tls}
        told = json.loads(ask("python3 -c %s %s", BROWSER, json.dumps(wanted)))
        mute = [one["text"] for one in told.values() if not one["status"]]
        assert not mute, f"the web server doesn't answer: {mute[0]}"
        return told

    return asked


# One walk over every local disk, once where it is mounted in several places. Looking up an owner is
# slow, and what is root's needs none. A service with a user of the moment (DynamicUser) keeps its
# files under …/private, and the user has no name while it is stopped.
WALK = r"""find $(findmnt -rnuo MAJ:MIN,TARGET -t ext2,ext3,ext4,xfs,btrfs,f2fs,zfs,overlay |
awk '$2 !~ "^/run/" && !seen[$1]++ { print $2 }') -xdev ! -type l \( \
-type f -perm -0002 -printf 'open %p\n' , \
-type d -perm -0002 ! \( -perm -1000 -uid 0 \) -printf 'loose %p\n' , \
! \( -uid 0 -gid 0 \) ! -path '/var/*/private/*' \( -nouser -o -nogroup \) -printf 'lost %p\n' , \
-type f -perm /6000 -printf 'privileged %p\n' , \
\( ! -uid 0 -o -perm /022 \) -path '/usr/*' -printf 'program %p\n' , \
-perm /022 -path '/etc/*' -printf 'setting %p\n' \)"""


@pytest.fixture
def found(ask: Ask) -> dict[str, list[str]]:
    """What lies on the disks that may be wrong, by kind."""
    kinds: dict[str, list[str]] = {
        kind: [] for kind in ("open", "loose", "lost", "privileged", "program", "setting")
    }
    for kind, _, path in (line.partition(" ") for line in ask(WALK).splitlines()):
        kinds.setdefault(kind, []).append(path)
    return kinds


@pytest.fixture
def packages(ask: Ask) -> set[str]:
    """Names of the packages of which anything but settings is on the disk."""
    said = ask("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'")
    gone = {"config-files", "not-installed"}
    return {name for name, status in map(str.split, said.splitlines()) if status not in gone}
