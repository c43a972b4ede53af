"""What the gateway's rules cost: packets per second from the staff's zone to the outside, in one
run through no rules, through connection tracking with NAT alone, and through the lab gateway's.

    sudo ./tameng lab up && ./tameng apply
    sudo .venv/bin/python -m benchmarks.ruleset.measure [--rounds 5] [--packets 20000]

Each batch runs in a network namespace of its own on this machine: two zones, and this kernel
between them. *new* packets each begin a connection (the dear case: every rule is walked), *known*
ones belong to a connection that was answered. Sender, gateway and receiver share a processor.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compliance.suites.crossing import ETHERNET, NEIGHBOUR, packet, run, source_of
from inputs import paths

INSIDE, OUTSIDE, TARGET = "staff", "wan", "9.9.9.9"
TRACKING = f"""
table inet only {{
    chain passing {{ type filter hook forward priority filter; ct state new accept; }}
    chain leaving {{ type nat hook postrouting priority srcnat; oifname {OUTSIDE} masquerade; }}
}}
"""


def batch(rules: Path, subnet: str, packets: int) -> dict[str, float]:
    """In a fresh namespace: build it, and send; packets per second that came out."""
    lines = ["link set lo up"]
    for name, address in ((INSIDE, f"{subnet}.20.1/24"), (OUTSIDE, f"{subnet}.0.2/24")):
        lines += [f"link add {name} type veth peer name far_{name}", f"link set far_{name} up"]
        lines += [f"link set {name} up", f"address add {address} dev {name}"]
    lines.append(f"route add default dev {OUTSIDE}")
    lines.append(f"neighbour add {TARGET} lladdr {NEIGHBOUR} dev {OUTSIDE} nud permanent")
    people = [f"{subnet}.20.{last}" for last in range(2, 252)]
    lines += [f"neighbour add {p} lladdr {NEIGHBOUR} dev {INSIDE} nud permanent" for p in people]
    run("ip", "-batch", "-", stdin="\n".join(lines))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run("nft", "-f", str(rules))
    inner = far(INSIDE)
    to_inner = head(INSIDE)
    new = [
        to_inner + packet(people[n % len(people)], TARGET, "udp/53", 1024 + n, b"new")
        for n in range(packets)
    ]
    rates = {"new": rate(inner, new)}
    known = to_inner + packet(people[0], TARGET, "udp/53", 1000, b"known")
    with far(OUTSIDE) as outer:  # only now: its queue would be full
        inner.send(known)
        outer.send(head(OUTSIDE) + answer(outer))
    rates["known"] = rate(inner, [known] * packets)
    return rates


def far(zone: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    end.bind((f"far_{zone}", 3))
    return end


def head(zone: str) -> bytes:
    link = json.loads(run("ip", "-j", "link", "show", zone))[0]
    macs = bytes.fromhex((link["address"] + NEIGHBOUR).replace(":", ""))
    return macs + struct.pack("!H", ETHERNET[4])


def answer(outer: socket.socket) -> bytes:
    """To the address and port under which the outside sees the first packet that comes out."""
    outer.settimeout(2)
    frame = outer.recv(2048)
    while not frame.endswith(b"known"):
        frame = outer.recv(2048)
    port = struct.unpack_from("!H", frame, 34)[0]
    return packet(TARGET, source_of(frame), f"udp/{port}", 53, b"answer")


def rate(end: socket.socket, frames: list[bytes]) -> float:
    """Packets per second that left by the outer interface; none may be lost on the way."""
    before, began = left(), time.monotonic()
    for frame in frames:
        end.send(frame)
    while (out := left() - before) < len(frames) and time.monotonic() - began < 30:
        time.sleep(0.001)
    took = time.monotonic() - began
    if out < len(frames):
        sys.exit(f"only {out} of {len(frames)} packets came out")
    return len(frames) / took


def left() -> int:
    link = json.loads(run("ip", "-j", "-s", "link", "show", OUTSIDE))[0]
    return int(link["stats64"]["tx"]["packets"])


def measure(rounds: int, packets: int) -> None:
    name = os.environ.get("TAMENG_LAB", "lab")
    subnet = Path(f"/var/lib/tameng/{name}/subnet").read_text().strip()
    asked = [sys.executable, "-m", "cli", "lab", "ssh", "--name", name, "gateway"]
    show = "sudo nft list table inet tameng_gateway"
    ours = subprocess.run(
        [*asked, show], capture_output=True, text=True, check=True, cwd=paths.ROOT
    )
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        unlimited = re.sub(r".* ct count over .*\n", "", ours.stdout)
        texts = {
            "no rules": "",
            "tracking and NAT": TRACKING,
            "the gateway's, without its limit of connections": unlimited,
            "the gateway's": ours.stdout,
        }
        for number, (kind, text) in enumerate(texts.items()):
            Path(folder, str(number)).write_text(text)
            found[kind] = {"new": [], "known": []}
        for _ in range(rounds):
            for number, kind in enumerate(texts):
                done = subprocess.run(
                    ["unshare", "--net", sys.executable, "-m", "benchmarks.ruleset.measure",
                     "--batch", str(Path(folder, str(number))), "--subnet", subnet,
                     "--packets", str(packets)],
                    capture_output=True, text=True, check=False, cwd=paths.ROOT,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(f"{kind}: {done.stderr}")
                for case, value in json.loads(done.stdout).items():
                    found[kind][case].append(value)
    print(f"load {os.getloadavg()[0]:.1f}; {len(ours.stdout.splitlines())} lines of rules\n")
    print("| rules | new, packets/s | against none | known, packets/s | against none |")
    print("|---|---|---|---|---|")
    none = {case: statistics.median(v) for case, v in found["no rules"].items()}
    for kind, cases in found.items():
        cells = []
        for case, values in cases.items():
            middle = statistics.median(values)
            cells += [f"{middle:,.0f} ({min(values):,.0f}-{max(values):,.0f})"]
            cells += [f"{middle / none[case]:.2f}"]
        print(f"| {kind} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--packets", type=int, default=20000, choices=range(1000, 60001), metavar="N"
    )
    parser.add_argument("--batch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--subnet", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.batch:
        print(json.dumps(batch(args.batch, args.subnet, args.packets)))
    else:
        measure(args.rounds, args.packets)


if __name__ == "__main__":
    main()
