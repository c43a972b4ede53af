"""What can go wrong while asking: each fault has its own state, and none of them is ever a pass.

Every host gets another fault, and one audit asks them all; so it is also seen that one host's fault
is nobody else's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from compliance import chain, evidence, inventory
from compliance.signing import Signer
from compliance.transport import CONNECT_SECONDS, Shell
from compliance.verdict import State
from inputs import paths

MACHINES = paths.ROOT / "lab/roles/machines/files/machines"
# Programs of this name that come first in the asking shell's PATH.
BEFORE = "/usr/local/sbin"
# These end in `chronyc`, which two of the faults replace; the others never call it.
BY_CHRONYC = "time_sources_as_declared"
NOT_BY_CHRONYC = ["firewall_default_deny", "ssh_few_tries", "updates_timers_active"]
# Fault by host: a line of shell that causes it, run as root on that host.
CAUSES = {
    "app": f"printf '#!/bin/sh\\nexec sleep 4321\\n' >{BEFORE}/chronyc; chmod +x {BEFORE}/chronyc",
    "monitor": (
        f"printf '#!/bin/sh\\necho half an\\npkill -KILL -u tameng sshd\\n' >{BEFORE}/chronyc;"
        f" chmod +x {BEFORE}/chronyc"
    ),
    "backup": "echo 'tameng ALL=(ALL) !ALL' >/etc/sudoers.d/zz-fault",
    "gateway": (
        "for d in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o size=64k fault $d;"
        " head -c 1M /dev/zero >$d/full; done; true"
    ),
    "pc-1": (
        "rm /etc/ssh/ssh_host_ed25519_key*;"
        " ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh"
    ),
}
DEAD = "pc-2"


@dataclass(frozen=True)
class Audited:
    """One audit from outside: how it ended, what it printed, and its evidence."""

    status: int
    output: str
    seconds: float
    run: evidence.Run

    def states(self, host: str) -> dict[str, State]:
        return {v.control: v.state for v in self.run.verdicts() if v.host == host}

    def messages(self, host: str) -> str:
        return " ".join(v.message for v in self.run.verdicts() if v.host == host)


def command() -> list[str]:
    wanted = [word for c in [BY_CHRONYC, *NOT_BY_CHRONYC] for word in ("--control", c)]
    return [sys.executable, "-m", "cli", "audit", *wanted]


def audit() -> Audited:
    began = time.monotonic()
    done = subprocess.run(
        command(), cwd=paths.ROOT, capture_output=True, text=True, check=False, timeout=180
    )
    folder = [ln for ln in done.stdout.splitlines() if ln.startswith("evidence: ")]
    assert folder, done.stdout + done.stderr
    run = evidence.Run(Path(folder[0].removeprefix("evidence: ")))
    return Audited(done.returncode, done.stdout, time.monotonic() - began, run)


@pytest.fixture(scope="module")
def faulty(lab: str) -> Iterator[Audited]:
    """The lab with its faults, audited once; afterwards the hosts are as before."""
    estate = {host.name: host for host in inventory.load(paths.inventory("lab")).hosts}
    for name, cause in CAUSES.items():
        shell = Shell(estate[name], lambda _: None)
        assert shell.run(cause).rc == 0, name
        shell.close()
    subprocess.run([MACHINES, "kill", lab, DEAD], check=True)
    try:
        yield audit()
    finally:
        hosts = ",".join([*CAUSES, DEAD])
        subprocess.run(
            [sys.executable, "-m", "cli", "lab", "reset", "--limit", hosts],
            cwd=paths.ROOT, check=True, capture_output=True,
        )  # fmt: skip


def test_the_audit_says_that_it_could_not_judge(faulty: Audited) -> None:
    """Exit 2, and still a whole, sealed run: what could be asked was asked."""
    assert faulty.status == 2, faulty.output
    assert faulty.run.complete


def test_a_dead_host_is_unreachable_and_costs_one_time_out(faulty: Audited) -> None:
    """All its controls are unreachable, by one attempt to connect."""
    assert set(faulty.states(DEAD).values()) == {State.UNREACHABLE}
    asked = [a for a in faulty.run.answers() if a.host == DEAD]
    assert len([a for a in asked if a.seconds > 0.5]) <= 1
    assert sum(a.seconds for a in asked) < CONNECT_SECONDS + 2


def test_a_changed_host_key_is_an_error(faulty: Audited) -> None:
    """Somebody answers who may be anybody: nothing that he says is taken."""
    assert set(faulty.states("pc-1").values()) == {State.ERROR}
    assert "host key" in faulty.messages("pc-1")


def test_denied_sudo_is_an_error(faulty: Audited) -> None:
    """Without rights nothing can be asked; the message says whose fault it is."""
    assert set(faulty.states("backup").values()) == {State.ERROR}
    assert "privileged" in faulty.messages("backup")


def test_a_hung_command_is_an_error_for_its_control_only(faulty: Audited) -> None:
    """The other controls of that host are judged, and the command does not go on there."""
    states = faulty.states("app")
    assert states.pop(BY_CHRONYC) is State.ERROR
    assert set(states.values()) == {State.PASS}
    assert "in time" in faulty.messages("app")
    app = next(h for h in inventory.load(paths.inventory("lab")).hosts if h.name == "app")
    shell = Shell(app, lambda _: None)
    assert shell.run("pgrep -f '[s]leep 4321'").rc == 1, "the hung command still runs"
    shell.close()


def test_a_stream_cut_within_an_answer_is_an_error_for_its_control_only(faulty: Audited) -> None:
    """Half an answer is none; the host is asked on over a new connection."""
    states = faulty.states("monitor")
    assert states.pop(BY_CHRONYC) is State.ERROR
    assert set(states.values()) == {State.PASS}
    assert "StreamBroken" in faulty.messages("monitor")


def test_a_full_disk_on_the_host_changes_no_answer(faulty: Audited) -> None:
    """The transport writes nothing on the host."""
    assert set(faulty.states("gateway").values()) == {State.PASS}


def test_a_full_disk_here_makes_the_run_incomplete(lab: str) -> None:
    """Evidence that can't be written is no evidence: exit 2, and the run counts for nothing."""
    runs = paths.var(lab) / "runs"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "fault", runs], check=True)
    try:
        done = subprocess.run(
            command(), cwd=paths.ROOT, capture_output=True, text=True, check=False, timeout=180
        )
        left = evidence.runs(paths.var(lab))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "cannot be written" in done.stderr
        assert [run.complete for run in left] == [False]
    finally:
        subprocess.run(["umount", runs], check=True)


def test_a_killed_audit_is_incomplete(lab: str) -> None:
    """SIGKILL after the first verdict: no manifest, no pass, no process left behind."""
    before = {run.id for run in evidence.runs(paths.var(lab))}
    process = subprocess.Popen(
        command(), cwd=paths.ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    new: list[evidence.Run] = []
    while time.monotonic() < deadline:
        new = [run for run in evidence.runs(paths.var(lab)) if run.id not in before]
        if new and (new[0].folder / "verdicts.jsonl").exists():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert new
    assert not new[0].complete
    signer = Signer.of(paths.var(lab), paths.inventory("lab"))
    defects, _, incomplete = chain.verify(paths.var(lab), signer)
    assert new[0].id in {run.id for run in incomplete}
    assert not defects
    # The processes that ask die with it; an ssh that was logging in ends once it is in.
    deadline = time.monotonic() + 4 * CONNECT_SECONDS
    while (left := _children_of_group(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left, "an asking process outlived its audit"


def _children_of_group(group: int) -> list[str]:
    """Processes of the audit's own session that are still there (workers and their ssh)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if int(fields[2]) == group and int(stat.parent.name) != os.getpid():
            found.append(stat.parent.name)
    return found
