"""The gateway in a lab with strangers in it: packets through the real machine, between real
interfaces of every zone, its start without rules, and what it takes back.

The audit rehearses packets in a double of the gateway (docs/adr/0051). Here the same cells go
through the gateway itself: what the double says must be so.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from tests.lab.watching import ROOT, ansible_playbook

NAME, SUBNET = "tmflows", "10.229"
ENVIRONMENT = {**os.environ, "TAMENG_LAB": NAME, "TAMENG_LAB_SUBNET": SUBNET}
ZONES = {"wan": 0, "servers": 10, "staff": 20, "public": 30, "guest": 40, "management": 50}
SERVICES = ["tcp/22", "tcp/80", "tcp/443", "tcp/7", "udp/53", "udp/123", "udp/443", "udp/7"]
# What the lab's inventory means, said once more by hand; from and to hosts with the last number 99.
TO_WAN = {
    **{zone: {"tcp/80", "tcp/443", "udp/53"} for zone in ("servers", "staff", "management")},
    **{zone: {"tcp/80", "tcp/443", "udp/443", "udp/53"} for zone in ("public", "guest")},
}
# Put into a zone: a machine that stands for any of it, and that only lies in wait and sends.
STAND_IN = """
import json, select, socket, sys, time
cells, seconds = json.loads(sys.stdin.read()), float(sys.argv[1])
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
time.sleep(max(0, float(sys.argv[2]) - time.time()))
for target, service, mark in cells:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    protocol, port = service.split("/")
    if protocol == "udp":
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.sendto(mark.encode(), (target, int(port)))
    else:  # the mark of a connection is the port that it comes from
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setblocking(False)
        one.bind(("", int(mark)))
        one.connect_ex((target, int(port)))
        globals().setdefault("open_ones", []).append(one)
seen, until = set(), time.time() + seconds
while (left := until - time.time()) > 0:
    if select.select([wire], [], [], left)[0]:
        frame, address = wire.recvfrom(2048)
        if address[2] == socket.PACKET_OUTGOING:
            continue
        at = (frame[0] & 15) * 4 if frame[0] >> 4 == 4 else 40
        kind = frame[9] if frame[0] >> 4 == 4 else frame[6]
        if kind == 6 and frame[at + 13] & 0x12 == 2:
            seen.add(str(int.from_bytes(frame[at : at + 2], "big")))
        elif kind == 17:
            seen.add(frame[at + 8 :].decode(errors="replace"))
print(json.dumps(sorted(seen)))
"""


def lab(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    place = ["--subnet", SUBNET] if verb == "up" else []
    return subprocess.run(
        [sys.executable, "-m", "cli", "lab", verb, "--name", NAME, *place, *words],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def on(host: str, command: str) -> str:
    done = lab("ssh", host, f"sudo sh -c '{command}'")
    assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout


def play(*words: str, **variables: Any) -> str:
    done = ansible_playbook(
        "playbooks/site.yml", "-e", json.dumps(variables), *words,
        environment=ENVIRONMENT, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def apply_gateway() -> None:
    told = play("--limit", "gateway", "--tags", "firewall,gateway,kernel")
    assert "failed=0" in told, told


@pytest.fixture(scope="module", autouse=True)
def gateway() -> Iterator[None]:
    """A gateway of its own, as its roles make it, a guest and a stranger outside."""
    if os.geteuid() != 0:
        pytest.fail("the lab's tests boot real hosts: run them as root (sudo ./tameng test)")
    assert lab("down").returncode == 0  # of a killed run, if any
    up = lab("up", "--limit", "guest,attacker")
    assert up.returncode == 0, up.stdout + up.stderr
    apply_gateway()
    yield
    assert lab("down").returncode == 0
    shutil.rmtree(ROOT / "var" / NAME)


def six(address: str) -> str:
    a, b, c, d = address.split(".")
    return str(ipaddress.ip_address(f"fd00:{a}:{b}:{c}::{d}"))


@pytest.fixture(scope="module")
def stand_ins(gateway: None) -> Iterator[dict[str, list[str]]]:
    """In each zone a namespace with a cable of its own; returns the command that enters it. They go
    with the lab's namespace of bridges, to which their cables are bound."""
    bones = f"/var/lib/tameng/{NAME}/net/backbone"
    spaces = {}
    for zone, third in ZONES.items():
        router = f"{SUBNET}.{third}.{2 if zone == 'wan' else 1}"
        here = f"{SUBNET}.{third}.99"
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        time.sleep(0.2)
        into = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        script = (
            f"ip link add s{third} type veth peer name eth0 netns {holder.pid} &&"
            f" ip link set s{third} master {zone} up"
        )
        subprocess.run(["nsenter", f"--net={bones}", "sh", "-c", script], check=True)
        script = (
            "ip link set lo up && ip link set eth0 up &&"
            f" ip address add {here}/24 dev eth0 && ip address add {six(here)}/64 dev eth0 nodad &&"
            f" ip route add default via {router} && ip -6 route add default via {six(router)}"
        )
        subprocess.run([*into, "sh", "-c", script], check=True)
        spaces[zone] = (holder, into)
    yield {zone: into for zone, (_, into) in spaces.items()}
    for holder, _ in spaces.values():
        holder.kill()
        holder.wait()


def test_packets_pass_the_real_gateway_as_the_matrix_says(
    stand_ins: dict[str, list[str]],
) -> None:
    """Each pair of zones and each service, IPv4 and IPv6: what the far machine sees arrive."""
    ports = iter(range(20000, 60000))
    cells: dict[str, tuple[str, str, str, str]] = {}
    jobs: dict[str, list[tuple[str, str, str]]] = {zone: [] for zone in ZONES}
    for a, b in permutations(ZONES, 2):
        for service in SERVICES:
            for target in (f"{SUBNET}.{ZONES[b]}.99", six(f"{SUBNET}.{ZONES[b]}.99")):
                mark = str(next(ports)) if service.startswith("tcp") else secrets.token_hex(8)
                cells[mark] = (a, b, service, target)
                jobs[a].append((target, service, mark))
    began = time.time() + 1.5
    running = {
        zone: subprocess.Popen(
            [*into, sys.executable, "-c", STAND_IN, "3", str(began)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for zone, into in stand_ins.items()
    }  # fmt: skip
    for zone, process in running.items():
        assert process.stdin
        process.stdin.write(json.dumps(jobs[zone]))
        process.stdin.close()
    arrived = set()
    for zone, process in running.items():
        assert process.stdout
        for mark in json.loads(process.stdout.read()):
            if mark in cells and cells[mark][1] == zone:
                arrived.add(cells[mark])
        process.wait()
    wanted = {c for c in cells.values() if c[1] == "wan" and c[2] in TO_WAN.get(c[0], ())}
    assert sorted(arrived - wanted) == []
    assert sorted(wanted - arrived) == []


def test_a_guest_reaches_no_machine_of_the_court() -> None:
    """From the lab's own guest and stranger, by what they have: ping and TCP."""
    for host in ("guest", "attacker"):
        for target in (f"{SUBNET}.50.1", six(f"{SUBNET}.50.1"), six(f"{SUBNET}.10.1")):
            knock = f'timeout 2 bash -c "exec 3<>/dev/tcp/{target}/22" 2>/dev/null && echo in'
            assert "in" not in on(host, f"{knock}; true").split(), f"{host} reaches {target}"


def test_without_its_rules_it_starts_as_no_router() -> None:
    """The file is lost, the gateway starts anew: nothing is passed on, the operator gets in, and a
    run of the role mends it. The same for a file that is wrong."""
    started = "systemctl show -p UserspaceTimestamp --value"
    asked = "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding"
    for fault in ("rm", "sed -i 1,20d"):
        since = on("gateway", started)
        on("gateway", f"{fault} /etc/tameng/gateway.nft; nft delete table inet tameng_gateway")
        lab("ssh", "gateway", "sudo systemctl reboot")
        for _ in range(60):
            said = lab("ssh", "gateway", started)
            if said.returncode == 0 and said.stdout != since:
                break
            time.sleep(1)
        assert on("gateway", f"{asked}; systemctl is-active tameng-firewall").split() == [
            "0", "0", "active",
        ]  # fmt: skip
        apply_gateway()
        assert on("gateway", asked).split() == ["1", "1"]


def test_rules_that_shut_the_operator_out_are_taken_back() -> None:
    """The management zone under another interface's name: no packet of the operator's is his."""
    before = on("gateway", "nft -s -t list table inet tameng_gateway")
    zones = {
        name: {
            "interface": name,
            "networks": [f"{SUBNET}.{third}.0/24"] if name != "management" else [],
        }
        for name, third in ZONES.items()
    }
    zones["staff"] = {"interface": "management", "networks": [f"{SUBNET}.20.0/24"]}
    zones["management"] = {"interface": "staff", "networks": [f"{SUBNET}.50.0/24"]}
    words = ("--limit", "gateway", "--tags", "gateway")
    told = " ".join(play(*words, network_zones=zones, gateway_confirm_seconds=8).split())
    assert "the host took it back by itself and is as it was before" in told, told
    assert on("gateway", "nft -s -t list table inet tameng_gateway") == before


def test_other_programs_tables_survive() -> None:
    """A reload replaces our table and no other."""
    on("gateway", "nft add table inet other; nft add chain inet other bans")
    on("gateway", "systemctl reload tameng-gateway.service")
    assert "bans" in on("gateway", "nft list table inet other")
