"""Packets really sent through the gateway's rules, without a trace: sent to the gateway as it is,
prints what came out where.

In a network namespace of its own stand the gateway's interfaces, with their addresses, its settings
for passing on, and all rules that its kernel has loaded at the moment. Behind each interface
packets are made as they would come from that zone, each with a mark that nobody can guess; what
leaves by another interface was passed on. So zones that have no machine of ours can be judged too:
guests, and the world outside.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import time
from ipaddress import ip_address
from typing import Any

CLONE_NEWNET = 0x40000000
ETHERNET = {4: 0x0800, 6: 0x86DD}
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
SYN, RST = 0x02, 0x04
NEIGHBOUR = "02:00:00:00:00:01"
QUIET = 0.4  # seconds without a packet of ours, after which none is awaited
LAST = 8.0  # seconds, whatever comes
MARK = struct.Struct("!8sI")
SETTINGS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter")


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def build(zones: dict[str, Any]) -> dict[str, socket.socket]:
    """Put the gateway's double up; returns each zone's far end."""
    rules = run("nft", "list", "ruleset")
    addresses = {
        link["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]]
        for link in json.loads(run("ip", "-j", "address"))
    }
    settings = {name: pathlib.Path("/proc/sys", name).read_text() for name in SETTINGS}
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    lines = ["link set lo up"]
    for number, zone in enumerate(zones.values()):
        name, far = zone["interface"], f"far{number}"
        lines += [f"link add {name} type veth peer name {far}", f"link set {far} up"]
        lines += [f"link set {name} up"]
        for address in addresses.get(name, ()):
            lines.append(f"address add {address} dev {name}{' nodad' if ':' in address else ''}")
        lines += [
            f"neighbour replace {target} lladdr {NEIGHBOUR} dev {name} nud permanent"
            for target in zone["targets"]
        ]
    outer = zones["wan"]["interface"]
    lines += [f"route replace default dev {outer}", f"route replace ::/0 dev {outer}"]
    run("ip", "-batch", "-", stdin="\n".join(lines))
    for name, value in settings.items():
        pathlib.Path("/proc/sys", name).write_text(value)
    run("nft", "-f", "-", stdin=rules)
    ends = {}
    for number, name in enumerate(zones):
        ends[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        ends[name].bind((f"far{number}", 3))
        ends[name].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    return ends


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: str, target: str, service: str, sport: int, mark: bytes) -> bytes:
    """The first packet of a connection: an IP packet with right checksums."""
    one, other = ip_address(source), ip_address(target)
    protocol, _, port = service.partition("/")
    dport = int(port.partition("-")[0] or 0)
    if protocol == "tcp":
        number, at = TCP, 16
        body = struct.pack("!HHIIBBHHH", sport, dport, sport, 0, 0x50, SYN, 64240, 0, 0)
    elif protocol == "udp":
        number, at = UDP, 6
        body = struct.pack("!HHHH", sport, dport, 8 + len(mark), 0)
    else:
        number, at = (ICMP, 2) if one.version == 4 else (ICMP6, 2)
        body = struct.pack("!BBHHH", 8 if number == ICMP else 128, 0, 0, sport, 1)
    body += mark
    pseudo = one.packed + other.packed + struct.pack("!II", len(body), number)
    total = checksum(body if number == ICMP else pseudo + body)
    body = body[:at] + struct.pack("!H", total) + body[at + 2 :]
    if one.version == 6:
        return (
            struct.pack("!IHBB", 6 << 28, len(body), number, 64) + one.packed + other.packed + body
        )
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), sport, 0, 64, number, 0)
    head += one.packed + other.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def source_of(frame: bytes) -> str:
    return str(ip_address(frame[26:30] if frame[14] >> 4 == 4 else frame[22:38]))


def send_all(
    zones: dict[str, Any], ends: dict[str, socket.socket], probes: list[list[str]]
) -> dict[int, tuple[str, str]]:
    """Send each probe (from zone, source, target, service); returns {number: (zone, source seen)}
    of those that came out."""
    nonce, found, heard = os.urandom(8), {}, time.monotonic()
    by_number = {end.fileno(): name for name, end in ends.items()}

    def take(patience: float) -> bool:
        nonlocal heard
        ready = select.select(list(by_number), [], [], patience)[0]
        for number in ready:
            name = by_number[number]
            frame, address = ends[name].recvfrom(2048)
            at = frame.find(nonce)
            if address[2] != socket.PACKET_OUTGOING and at >= 0:
                found[MARK.unpack_from(frame, at)[1]] = (name, source_of(frame))
                heard = time.monotonic()
        return bool(ready)

    # Not from /sys: that shows the namespace in which it was mounted.
    macs = {link["ifname"]: link["address"] for link in json.loads(run("ip", "-j", "link"))}
    heads = {
        name: bytes.fromhex((macs[zone["interface"]] + NEIGHBOUR).replace(":", ""))
        for name, zone in zones.items()
    }
    for number, (zone, source, target, service) in enumerate(probes):
        kind = struct.pack("!H", ETHERNET[ip_address(source).version])
        body = packet(source, target, service, 1024 + number % 64000, MARK.pack(nonce, number))
        ends[zone].send(heads[zone] + kind + body)
        while number % 16 == 0 and take(0):
            pass  # before the queues are full
    began = heard = time.monotonic()
    # The kernel's own talk on new interfaces goes on for seconds: it is nothing to wait for.
    while (now := time.monotonic()) < min(heard + QUIET, began + LAST):
        take(heard + QUIET - now)
    return found


def main(task: dict[str, Any]) -> dict[str, Any]:
    zones, services = task["zones"], task["services"]
    ends = build(zones)
    cells = [
        [a, source, target, service]
        for a, b in itertools.permutations(zones, 2)
        for source in zones[a]["sources"]
        for target in zones[b]["targets"]
        for service in services
        if (":" in source) == (":" in target)
    ]
    passed = send_all(zones, ends, cells)
    spoofed = send_all(zones, ends, task["spoofs"])
    crowd = send_all(zones, ends, [task["crowd"]] * task["times"])
    return {
        "cells": len(cells),
        "passed": [[*cells[n], *passed[n]] for n in sorted(passed)],
        "spoofed": [[*task["spoofs"][n], spoofed[n][0]] for n in sorted(spoofed)],
        "crowd": len(crowd),
    }


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
