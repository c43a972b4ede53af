"""What only a kernel of one's own shows, in a virtual machine (lab/vm/vm) that is a managed host.

It is as it should be, also after a restart; a second run changes nothing; what no container can
answer is broken and healed; with its audit rules locked it is still as it should be, and nobody
opens them; an outside judge is content. The processor is emulated, so few rounds break all.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from compliance import inventory
from compliance.evidence import Verdict
from compliance.verdict import State
from inputs import paths
from tests.lab.proving import CATALOGUE, PROOFS, Outcome, ask, expect, prove, waived
from tests.lab.watching import ansible_playbook

VM = paths.ROOT / "lab/vm/vm"
NAME = os.environ.setdefault("TAMENG_VM", "test-vm")
HARDENING_INDEX = 90
RIGHT = (State.PASS, State.NOT_APPLICABLE)
OURS = [c.id for c in CATALOGUE if c.applies({"managed", "servers", "endpoints"})]
OF_A_KERNEL = [name for name in OURS if PROOFS[name].own_kernel]
LOCKED = {"TAMENG_VM_LOCKED": "yes"}  # to inventory/vm: audit rules as a court has them


@dataclass(frozen=True)
class Seen:
    """What the machine went through, once for the module."""

    outcomes: dict[str, Outcome]
    blocked_devices: str
    recap_of_second_run: str
    after_restart: dict[str, Verdict]
    audit_status: str
    taking_rules_away: str
    hardening_index: int


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Boot, apply, restart, break and heal, lock, restart, audit; then pull the plug."""
    if os.geteuid() != 0:
        pytest.fail("the virtual machine needs root (sudo ./tameng test)")
    _vm("up", NAME)
    try:
        _apply()
        _vm("restart", NAME)
        outcomes = prove(inventory.load(paths.inventory("vm")), OF_A_KERNEL, few_rounds=True)
        _vm("plug", NAME, "usb-mouse")
        blocked = _vm("ssh", NAME, "sleep 5; sudo usbguard list-devices --blocked")
        index = _lynis()
        os.environ.update(LOCKED)
        _apply()
        _vm("restart", NAME)
        after = ask(inventory.load(paths.inventory("vm")), OURS)
        yield Seen(
            outcomes=outcomes,
            blocked_devices=blocked,
            recap_of_second_run=_apply(),
            after_restart={control: verdict for (control, _), verdict in after.items()},
            audit_status=_vm("ssh", NAME, "sudo auditctl -s"),
            taking_rules_away=_vm("ssh", NAME, "sudo auditctl -D 2>&1; true"),
            hardening_index=index,
        )
    finally:
        for name in LOCKED:
            os.environ.pop(name, None)
        _vm("down", NAME)


@pytest.mark.parametrize("control", OF_A_KERNEL)
def test_breaking_it_is_seen_and_its_role_heals_it(control: str, seen: Seen) -> None:
    """As test_sabotage.py does it on the lab's hosts; there these say that they don't apply."""
    expect(control, seen.outcomes[control])


def test_all_is_right_after_a_restart(seen: Seen) -> None:
    """What was set lasts, and the command line is that of the new start."""
    wrong = {
        c: v.message
        for c, v in seen.after_restart.items()
        if v.state not in RIGHT and not waived(c, "vm")
    }
    assert not wrong


def test_a_second_run_changes_nothing(seen: Seen) -> None:
    """Also after a restart, and with locked audit rules."""
    assert re.search(r"changed=0 .*failed=0", seen.recap_of_second_run)


def test_locked_audit_rules_stay(seen: Seen) -> None:
    """Root can't take them away until the next start."""
    assert "enabled 2" in seen.audit_status
    assert "Operation not permitted" in seen.taking_rules_away


def test_a_strange_usb_device_stays_shut(seen: Seen) -> None:
    """Plugged in while the machine runs; the keyboard that was there when it was set up is not."""
    assert len(seen.blocked_devices.splitlines()) == 1
    assert "Mouse" in seen.blocked_devices


def test_an_outside_judge_is_content(seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    """Lynis knows nothing of our roles."""
    with capsys.disabled():
        print(f"\nLynis: hardening index {seen.hardening_index}")
    assert seen.hardening_index >= HARDENING_INDEX


def _lynis() -> int:
    """What its report says; it writes one for programs. It starts thousands of them: while the
    kernel notes each, the emulated machine takes three times as long."""
    report = _vm(
        *("ssh", NAME, "sudo sh -c 'auditctl -e 0; lynis audit system --quick --quiet >/dev/null;"),
        "auditctl -e 1; cat /var/log/lynis-report.dat'",
    )
    found = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    assert found, report[-1000:]
    return int(found[1])


def _vm(*words: str) -> str:
    done = subprocess.run(
        [str(VM), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(words)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def _apply() -> str:
    return ansible_playbook("-i", "inventory/vm/hosts.yml", "playbooks/site.yml").stdout
