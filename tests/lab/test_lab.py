"""The lab leaves nothing behind, recovers from any death, and stands beside another.

Real hosts, so root and the lab's tools; two hosts a lab (the gateway and one behind it).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME, SUBNET = "tmlab1", "10.217"
BESIDE, BESIDE_SUBNET = "tmlab2", "10.218"

Snapshot = dict[str, set[str]]


def tameng(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``./tameng lab …`` as a user would and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "lab", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def up(name: str, subnet: str) -> subprocess.CompletedProcess[str]:
    return tameng("up", "--name", name, "--subnet", subnet, "--limit", "pc-1")


def on(name: str, host: str, command: str) -> subprocess.CompletedProcess[str]:
    return tameng("ssh", "--name", name, host, command)


def says(*command: str) -> set[str]:
    return set(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    )


def lab_processes(name: str) -> set[str]:
    """Every process that belongs to a lab: by its cgroup, or by a word of its command line."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            groups = (entry / "cgroup").read_text()
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if not words:
            continue  # it has ended, and its parent (here: init) has yet to take note
        if f"tameng-{name}" in groups or f"/var/lib/tameng/{name}/" in words:
            found.add(f"{entry.name} {words}")
    return found


def machine(name: str) -> Snapshot:
    """What a lab could leave on this machine, and what it must not touch."""
    roots = [Path("/var/lib/tameng"), Path("/run/netns"), Path("/run/systemd"), ROOT / "var"]
    roots += [Path("/etc/systemd"), Path("/var/lib/machines")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "others": other_labs(),
        "processes": lab_processes(name),
        "mounts": {line.split()[4] for line in mounts},
        "links": {line.split(":")[1] for line in says("ip", "-o", "link")},
        "routes": says("ip", "route", "show", "table", "all"),
        "rules": says("ip", "rule"),
        "tables": says("nft", "list", "tables"),
        "settings": says("sysctl", "net.ipv4.ip_forward", "fs.inotify.max_user_instances"),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob("**/*tameng*")},
        "files": {
            str(path)
            for root in roots
            for path in root.glob(f"**/*{name}*")
            if f"/{BESIDE}/" not in str(path)
        },
    }


def changed(before: Snapshot, name: str) -> dict[str, tuple[set[str], set[str]]]:
    """What came and what went since ``before``; empty when the machine is as it was."""
    now = machine(name)
    others = before.pop("others") | now.pop("others")

    def ours(lines: set[str]) -> set[str]:
        return {line for line in lines if not any(word in line for word in others)}

    parts = {what: (ours(now[what] - was), ours(was - now[what])) for what, was in before.items()}
    return {what: (came, went) for what, (came, went) in parts.items() if came or went}


def other_labs() -> set[str]:
    """Words by which lines of labs that someone else raised here are known: they come and go."""
    words = set()
    for path in Path("/var/lib/tameng").glob("*/subnet"):
        name = path.parent.name
        if name not in (NAME, BESIDE):
            words |= {f"tm-{name}-", f"tameng-{name}-", f"tameng_{name}", f"/{name}/"}
            words.add(f" {path.read_text().strip()}.")
    return words


@pytest.fixture(scope="module", autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.fail("the lab's tests boot real hosts: run them as root (sudo ./tameng test)")


@pytest.fixture(scope="module")
def beside() -> Iterator[None]:
    """Another lab, up all the while; what is done to the first must not reach it."""
    before = machine(BESIDE)
    assert up(BESIDE, BESIDE_SUBNET).returncode == 0
    yield
    assert on(BESIDE, "pc-1", "true").returncode == 0, "the lab beside suffered"
    assert tameng("down", "--name", BESIDE).returncode == 0
    assert changed(before, BESIDE) == {}


@pytest.fixture
def lab(beside: None) -> Iterator[Snapshot]:
    """The machine as it was before the lab; afterwards nothing of the lab may be left."""
    before = machine(NAME)
    yield before
    down = tameng("down", "--name", NAME)
    assert down.returncode == 0, down.stderr
    assert changed(before, NAME) == {}


def killed_at(step: str, *words: str) -> None:
    """Start ``./tameng lab …`` and, in the middle of ``step``, kill it and all of its session."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "lab", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = b""
    while step.encode() not in said:
        more = os.read(process.stdout.fileno(), 4096)
        assert more, f"never came to the step {step!r}: {said.decode()}"
        said += more
    time.sleep(0.6)  # Ansible needs about this long to start a step's command
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_hosts_are_real_and_fenced_in(lab: Snapshot) -> None:
    """A lab's host is a whole Debian that gets packages, and reaches nothing else: not the other
    lab, not this machine, not the world. What it writes to its console never makes it wait. Reset
    forgets what was written and keeps the keys."""
    raised = up(NAME, SUBNET)
    assert raised.returncode == 0, raised.stderr
    probe = "! timeout 1 bash -c '</dev/tcp/{}' 2>/dev/null || echo reached {}; "
    closed = (f"{BESIDE_SUBNET}.20.11/22", f"{SUBNET}.0.1/22", "192.0.2.1/80")
    said = on(
        NAME,
        "pc-1",
        "systemctl is-system-running; sudo apt-get update -qq && echo updated; "
        + "".join(probe.format(target, target) for target in (*closed, f"{SUBNET}.20.1/22"))
        + "seq 20000 | sudo timeout 5 tee /dev/console >/dev/null; "
        + "sudo touch /etc/left-behind; echo written",
    )
    assert said.stdout.split("\n")[:-1] == [
        "running",
        "updated",
        f"reached {SUBNET}.20.1/22",
        "written",
    ], said.stderr
    console = Path("/var/lib/tameng", NAME, "pc-1/console.log").read_text()
    assert "20000" in console, "the console was full"
    began = time.monotonic()
    assert tameng("reset", "--name", NAME, "--limit", "pc-1").returncode == 0
    assert time.monotonic() - began < 15
    assert on(NAME, "pc-1", "test ! -e /etc/left-behind").returncode == 0


def test_up_recovers_from_a_killed_up(lab: Snapshot) -> None:
    """Whatever a killed ``up`` left, the next one ends with hosts that let the operator in."""
    raise_it = ("up", "--name", NAME, "--subnet", SUBNET, "--limit", "pc-1")
    for step in ("Put up the fence", "Start the hosts"):
        killed_at(step, *raise_it)
    again = tameng(*raise_it)
    assert again.returncode == 0, again.stderr
    assert on(NAME, "pc-1", "true").returncode == 0


def test_down_recovers_from_a_killed_up_and_a_killed_down(lab: Snapshot) -> None:
    """``down`` clears away what is half there; the fixture looks that nothing is left."""
    killed_at("log in to every host", "up", "--name", NAME, "--subnet", SUBNET, "--limit", "pc-1")
    killed_at("End the hosts …", "down", "--name", NAME)
    killed_at("Take down", "down", "--name", NAME)


def test_up_takes_over_what_another_checkout_forgot(lab: Snapshot) -> None:
    """A lab whose key another checkout holds is that one's while a host runs, nobody's after."""
    assert up(NAME, SUBNET).returncode == 0
    for key in (ROOT / "var" / NAME / "keys").iterdir():
        key.unlink()
    refused = up(NAME, SUBNET)
    assert refused.returncode == 2
    assert f"lab {NAME} runs for another checkout" in refused.stderr
    subprocess.run([ROOT / "lab/roles/machines/files/machines", "kill", NAME], check=True)
    assert up(NAME, SUBNET).returncode == 0
    assert on(NAME, "pc-1", "true").returncode == 0
