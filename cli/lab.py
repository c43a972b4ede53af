"""``./tameng lab``: a court of real hosts on this machine, and its end."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.footing import CACHE, STATE, CannotBegin, check_machine, check_room, subnet_of
from cli.options import Verbs, add_verb
from cli.steps import run_playbook

ROOT = Path(__file__).resolve().parent.parent
MACHINES = ROOT / "lab/roles/machines/files/machines"

EXAMPLES = """examples:
  sudo ./tameng lab up                               the whole court
  sudo ./tameng lab up --limit pc-1                  one host, and the gateway it needs
  sudo ./tameng lab up --name two --subnet 10.78     a second lab beside the first
  sudo ./tameng lab ssh app                          look around
  sudo ./tameng lab ssh app uptime                   run one command
  sudo ./tameng lab snapshot                         keep the hosts as they are
  sudo ./tameng lab reset                            back to that
  sudo ./tameng lab down                             nothing left but the cached trees
"""
# verb: (playbook, what it does, what to do next)
CHANGES = {
    "up": (
        "create.yml",
        "raise the hosts; those that run are left alone",
        "next: ./tameng apply, or ./tameng lab ssh app",
    ),
    "down": (
        "destroy.yml",
        "remove the lab and leave nothing of it",
        "the cached trees stay under /var/cache/tameng, evidence under var/",
    ),
    "reset": ("reset.yml", "bring the hosts back to the last snapshot", "all hosts answer"),
    "snapshot": (
        "snapshot.yml",
        "keep the hosts as they are now",
        "./tameng lab reset returns here",
    ),
}


def add(subparsers: Verbs) -> None:
    """Add the verb ``lab`` and its own verbs."""
    parser = add_verb(
        subparsers,
        "lab",
        help="a court of real hosts on this machine",
        description="Raise, reset and remove a court of real Debian hosts on this machine.",
        examples=EXAMPLES,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=os.environ.get("TAMENG_LAB", "lab"), help="default: lab")
    common.add_argument(
        "--subnet",
        help="first two octets of a private network; default: where the lab stands, or 10.77",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, (_, text, _) in CHANGES.items():
        verb = verbs.add_parser(name, parents=[common], help=text, description=text)
        if name in ("up", "reset", "snapshot"):
            verb.add_argument("--limit", metavar="HOST[,HOST]", help="only these, and the gateway")
        verb.set_defaults(run=run, act=change, lab_verb=name)
    text = "one line a host"
    verb = verbs.add_parser("status", parents=[common], help=text, description=text)
    verb.set_defaults(run=run, act=status, lab_verb="status")
    text = "log in to a host, or run a command there"
    verb = verbs.add_parser("ssh", parents=[common], help=text, description=text)
    verb.add_argument("host")
    verb.add_argument("command", nargs=argparse.REMAINDER)
    verb.set_defaults(run=run, act=ssh, lab_verb="ssh")


def run(args: argparse.Namespace) -> int:
    """Do one of the lab's verbs."""
    try:
        if not args.subnet and args.name == os.environ.get("TAMENG_LAB", "lab"):
            args.subnet = os.environ.get("TAMENG_LAB_SUBNET")  # of that lab, and of no other
        args.subnet = subnet_of(args.name, args.subnet, raising=args.lab_verb == "up")
        return int(args.act(args))
    except CannotBegin as exc:
        print(f"tameng: {exc}", file=sys.stderr)
        return 2


def change(args: argparse.Namespace) -> int:
    """Run the playbook of a verb that changes the lab."""
    check_machine()
    began = time.monotonic()
    playbook, _, next_step = CHANGES[args.lab_verb]
    limit = [host for host in (getattr(args, "limit", None) or "").split(",") if host]
    if args.lab_verb == "up":
        check_room()
    if args.lab_verb in ("reset", "snapshot") and not plan(args.name):
        raise CannotBegin(f"lab {args.name} is not up; ./tameng lab up raises it")
    if args.lab_verb in ("reset", "snapshot"):  # a host that was never raised is not waited for
        limit = limit or [host for host in plan(args.name) if (STATE / args.name / host).is_dir()]
    print(f"lab {args.name} ({args.subnet}): {args.lab_verb}", flush=True)
    log = ROOT / "var" / args.name / "lab.log"
    with locked(args.name) as lock:
        code = run_playbook(
            ROOT / "lab" / playbook,
            ["-i", str(ROOT / "inventory/lab/hosts.yml"), "-e", json.dumps({"lab_limit": limit})],
            log=log,
            environment={"TAMENG_LAB": args.name, "TAMENG_LAB_SUBNET": args.subnet},
            keep_open=[lock],
        )
    if code:
        return 2
    if args.lab_verb == "down":
        log.unlink()
        for folder in (log.parent / "keys", log.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    seconds = time.monotonic() - began
    print(f"lab {args.name}: {args.lab_verb} took {seconds:.0f} s; {next_step}")
    return 0


def status(args: argparse.Namespace) -> int:
    """Print which hosts run."""
    known = plan(args.name)
    if not known:
        print(f"lab {args.name} is not up")
        return 1
    said = subprocess.run(
        [MACHINES, "status", args.name], check=True, capture_output=True, text=True
    ).stdout
    for host, state, *_ in (line.split() for line in said.splitlines()):
        print(f"{host:<12} {state:<8} {', '.join(known[host].values())}")
    return 0


def ssh(args: argparse.Namespace) -> int:
    """Become ssh, as the operator on the host; returns only when it cannot."""
    links = plan(args.name).get(args.host)
    if links is None:
        raise CannotBegin(f"lab {args.name} has no host {args.host}, or is not up")
    folder = ROOT / "var" / args.name
    key = folder / "keys/operator_ed25519"
    if not os.access(key, os.R_OK):
        raise CannotBegin(f"the operator's key {key} cannot be read: use sudo")
    options = {
        "UserKnownHostsFile": folder / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
    }
    command = ["ssh", "-F", "none", "-i", str(key)]
    for option, value in options.items():
        command += ["-o", f"{option}={value}"]
    address = links.get("management") or next(iter(links.values()))
    os.execvp("ssh", [*command, f"tameng@{address}", *args.command])  # noqa: S606 - no shell


def plan(name: str) -> dict[str, dict[str, str]]:
    """The lab's hosts and their addresses by zone; empty when there is no such lab."""
    path = STATE / name / "plan"
    hosts = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        host, _, *links, _ = line.split()
        pairs = (link.split("=") for link in links)
        hosts[host] = {zone: address.partition("/")[0] for zone, address in pairs}
    return hosts


@contextmanager
def locked(name: str) -> Iterator[int]:
    """One change of a lab at a time. The playbook holds the lock too: it may outlive us."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for what else works on lab {name}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
