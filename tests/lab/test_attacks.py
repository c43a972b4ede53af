"""Attacks by real tools and real packets, from hosts of the lab to hosts of the lab, each bounded:
every one is blocked or seen, warned of and counted, and who scans or guesses is shut out; normal
use raises nothing. Prints a table."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.lab.watching import DOOR, NET, ROOT, WRONG, forget, guess_at_website, month, on, until

LAB = [sys.executable, "-m", "cli", "lab"]
APP, MONITOR = f"{NET}.10.10", f"{NET}.10.12"
GATEWAY, STRANGER = f"{NET}.0.2", f"{NET}.0.66"
BANNING = ("gateway", "app")
WITHIN = 60  # seconds from an attack's last packet to a warning that an audit can measure
BANNED_WITHIN = 10  # seconds from its last packet
# Packets as no kernel would send them: {"tcp": [source, target, port, flags]}, {"name": target},
# {"router": interface}.
SENDER = r"""
import ipaddress, random, socket, struct

def checked(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def tcp(source, target, port, flags):
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    head = [random.randrange(20000, 60000), port, random.getrandbits(32), 0, 0x50, flags, 1024]
    bare = struct.pack(">HHIIBBHHH", *head, 0, 0)
    sum_ = checked(ends + struct.pack(">BBH", 0, 6, len(bare)) + bare)
    line = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 6, 0) + ends
    raw.sendto(line + struct.pack(">HHIIBBHHH", *head, sum_, 0), (target, 0))

def name(target):
    labels = b"".join(b"\x28%040x" % random.getrandbits(160) for _ in range(3))
    question = labels + b"\3com\0" + struct.pack(">HH", 16, 1)
    udp.sendto(struct.pack(">HHHHHH", random.getrandbits(16), 0x100, 1, 0, 0, 0) + question,
               (target, 53))

def router(interface):
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as out:
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        said = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
        out.sendto(said, ("ff02::1", 0, 0, socket.if_nametoindex(interface)))

raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for packet in PACKETS:
    for kind, said in packet.items():
        globals()[kind](*(said if isinstance(said, list) else [said]))
"""
SYN, XMAS = 0x02, 0x29


@dataclass(frozen=True)
class Attack:
    """From a host, some packets or what another tool does; the warning that must come, the kind of
    event counted, and the address and jail of the ban, with the host that bans."""

    name: str
    host: str
    does: list[dict[str, object]] | Callable[[], object]
    warning: str
    event: str
    banned: tuple[str, str] = ("", "")
    by: str = "gateway"


def nmap(host: str, words: str) -> Callable[[], object]:
    return lambda: on(host, f"nmap -n --max-retries 0 --host-timeout 40s {words}")


def guess(host: str, target: str) -> Callable[[], object]:
    """By ssh, with a key that nobody knows, until he is refused: guesses that sshd noted after the
    ban, and connections that hung when it came, would be held against him once he is released."""
    key = "rm -f /run/wrong-key*; ssh-keygen -q -t ed25519 -N '' -f /run/wrong-key"
    once = f"{WRONG} admin$i@{target} 2>&1 | grep -q 'Permission denied' || break"
    tries = f"for i in $(seq 8); do {once}; sleep 1; done"
    return lambda: on(host, f"{key}; {tries}; rm -f /run/wrong-key*")


def syns(source: str, target: str, ports: range, flags: int = SYN) -> list[dict[str, object]]:
    return [{"tcp": [source, target, port, flags]} for port in ports]


ATTACKS = [
    Attack(
        "port scan from outside, nmap -sS", "attacker",
        nmap("attacker", f"-Pn -sS -p 1000-1200 {GATEWAY}"), "scan", "scan_seen",
        (STRANGER, "zone-wan"),
    ),
    Attack(
        "scan by FIN from outside, nmap -sF", "attacker",
        nmap("attacker", f"-Pn -sF -p 1000-1050 {GATEWAY}"), "scan", "scan_seen",
        (STRANGER, "zone-wan"),
    ),
    Attack(
        "scan by FIN, PSH and URG", "pc-2",
        syns(f"{NET}.20.12", APP, range(1000, 1050), XMAS), "scan", "scan_seen",
        (f"{NET}.20.12", "zone-staff"),
    ),
    Attack(
        "sweep by ping, nmap -sn", "guest",
        nmap("guest", f"-sn -PE {NET}.10.0/25"), "sweep", "sweep_seen",
        (f"{NET}.40.11", "zone-guest"),
    ),
    Attack(
        "guesses at SSH", "pc-2", guess("pc-2", f"{NET}.20.1"), "login_refused", "login_refused",
        (f"{NET}.20.12", "sshd"),
    ),
    Attack(
        "guesses at the website", "pc-1", lambda: guess_at_website("pc-1", 10),
        "web_login_refused", "web_login_refused", (f"{NET}.20.11", "tameng-website"), by="app",
    ),
    Attack(
        "sweep for SSH", "pc-2",
        [{"tcp": [f"{NET}.20.12", f"{NET}.10.{n}", 22, SYN]} for n in range(1, 90)],
        "sweep", "sweep_seen", (f"{NET}.20.12", "zone-staff"),
    ),
    Attack(
        "many log-ins at one machine", "pc-1",
        [{"tcp": [f"{NET}.20.11", MONITOR, 22, SYN]}] * 35, "guessing", "guesses_seen",
        (f"{NET}.20.11", "zone-staff"),
    ),
    Attack(
        "flood of SYN", "pc-1",
        [{"tcp": [f"{NET}.20.{n % 200 + 20}", APP, 443, SYN]} for n in range(4000)],
        "flood", "flood_seen",
    ),
    Attack(
        "another zone's address", "guest",
        [{"tcp": [f"{NET}.20.77", APP, 443, SYN]}] * 6, "spoofed", "spoofed",
    ),
    Attack(
        "a guest at a server's shares", "guest",
        [{"tcp": [f"{NET}.40.11", APP, 445, SYN]}] * 4, "lateral", "lateral_seen",
    ),
    Attack(
        "data in names", "guest",
        [{"name": STRANGER}] * 50, "tunnel", "tunnel_seen",
    ),
    Attack(
        "a guest says that he is a router", "guest",
        [{"router": "guest"}] * 2, "router", "router_seen",
    ),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def strangers(lab: str) -> Iterator[None]:
    """Attacker and guest, with their tools, and a door at the gateway that is ajar."""
    for host in ("attacker", "guest"):
        subprocess.run([*LAB, "up", "--limit", host], cwd=ROOT, check=True, capture_output=True)
        on(host, "command -v nmap || apt-get install -qq --no-install-recommends nmap")
    on("gateway", DOOR)
    yield
    on("gateway", "systemctl reload tameng-firewall.service")


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, ...]]]:
    """A row for each attack; printed at the end, also where all went well."""
    rows: list[tuple[str, ...]] = [("attack", "expected", "seen", "warned after", "banned after")]
    yield rows
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print()
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def send(host: str, packets: list[dict[str, object]]) -> None:
    on(host, f"python3 - <<'END'\nPACKETS = {packets!r}\n{SENDER}\nEND")


def warned() -> set[str]:
    return {warning["kind"] for warning in month()["warnings"]}


def bans(host: str = "gateway") -> set[tuple[str, str]]:
    """Address and jail, as the host's fail2ban has them."""
    jails = ast.literal_eval(on(host, "fail2ban-client banned"))
    return {(address, name) for jail in jails for name, held in jail.items() for address in held}


@pytest.fixture(autouse=True)
def released(strangers: None) -> Iterator[None]:
    """Nobody is banned, and nothing is known, before and after each test."""
    forget()
    for host in BANNING:
        on(host, "fail2ban-client unban --all")
    yield
    for host in BANNING:
        on(host, "fail2ban-client unban --all")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_an_attack_is_warned_of_and_counted(attack: Attack, table: list[tuple[str, ...]]) -> None:
    """Within a minute of its end; who scans or guesses is shut out within ten seconds of it, nobody
    else is; and the documents' figures have it."""
    if isinstance(attack.does, list):
        send(attack.host, attack.does)
    else:
        attack.does()
    ended = time.monotonic()
    banned = "-"
    if attack.banned != ("", ""):
        banned = f"{until(BANNED_WITHIN, lambda: attack.banned in bans(attack.by)):.0f} s"
    until(WITHIN, lambda: attack.warning in warned())
    took = time.monotonic() - ended
    seen = ", ".join(sorted(warned()))
    table.append((attack.name, attack.warning, seen, f"{took:.0f} s", banned))
    counted = {row["kind"]: row["count"] for row in month()["events"]}
    assert counted.get(attack.event), f"not counted: {counted}"
    assert set().union(*map(bans, BANNING)) <= {attack.banned}


def test_who_is_shut_out_gets_nowhere_and_is_let_in_by_one_command() -> None:
    """A desk is banned: it reaches nothing beyond the gateway; then it is released."""
    desk, reach = (
        f"{NET}.20.11",
        f"timeout 5 bash -c '</dev/tcp/{MONITOR}/19532' && echo in || echo",
    )
    assert on("pc-1", reach) == "in"
    on("gateway", f"fail2ban-client set zone-staff banip {desk}")
    assert on("pc-1", reach) == ""
    on("gateway", f"fail2ban-client unban {desk}")
    assert on("pc-1", reach) == "in"


def test_a_made_up_sender_has_nobody_banned_but_himself() -> None:
    """A guest scans in the name of a desk: the desk works on."""
    desk = f"{NET}.20.11"
    send("guest", syns(desk, APP, range(1000, 1200)))
    until(BANNED_WITHIN, lambda: bool(bans()))
    assert bans() == {(desk, "zone-guest")}
    assert on("pc-1", f"timeout 5 bash -c '</dev/tcp/{MONITOR}/19532' && echo in") == "in"


def test_a_rogue_router_changes_no_way() -> None:
    """The gateway's own ways are as before; nor has it an address of the announcement's."""
    routes = "ip -6 route show proto ra"
    before = on("gateway", routes)
    send("guest", [{"router": "guest"}] * 3)
    time.sleep(2)
    assert on("gateway", routes) == before


def test_traffic_goes_on_without_it() -> None:
    """Suricata is killed, and stays away: a connection between zones is made, and names pass."""
    reach = f"timeout 5 bash -c '</dev/tcp/{MONITOR}/19532' && echo in"
    assert on("pc-1", reach) == "in"
    on("gateway", "systemctl stop tameng-detection.service")
    try:
        assert on("pc-1", reach) == "in"
    finally:
        on("gateway", "systemctl start tameng-detection.service")
    on("gateway", "systemctl kill -s KILL tameng-detection.service")
    back = "systemctl is-active tameng-detection.service || true"
    until(60, lambda: on("gateway", back) == "active")


def test_normal_use_raises_nothing() -> None:
    """A desk works with the log server and asks for names; the operator visits every machine."""
    connect = f"timeout 3 bash -c '</dev/tcp/{MONITOR}/19532'"
    ask = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    query = r'b"\0\1\1\0\0\1\0\0\0\0\0\0\3www\5court\7example\0\0\1\0\1"'
    on(
        "pc-1",
        f"""for n in $(seq 20); do {connect}; done
        python3 -c '{ask}
for _ in range(30): s.sendto({query}, ("{STRANGER}", 53))'
        ping -q -c 3 {NET}.20.1""",
    )
    for host in ("app", "backup", "pc-1", "pc-2", "gateway", "monitor"):
        on(host, "true")
    time.sleep(20)
    assert warned() == set()
    assert bans() == set()
