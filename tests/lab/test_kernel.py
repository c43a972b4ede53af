"""What only a kernel of one's own shows, in a virtual machine (lab/vm/vm) that is a managed host.

It is as it should be, also after a restart; a second run changes nothing; what no container can
answer is broken and healed; an outside judge is content. The processor is emulated, so one round
breaks all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from compliance import inventory
from compliance.evidence import Verdict
from compliance.verdict import State
from inputs import paths
from tests.lab.proving import CATALOGUE, PROOFS, ask, heal, sabotage

VM = paths.ROOT / "lab/vm/vm"
NAME = os.environ.get("TAMENG_VM", "vm")
HARDENING_INDEX = 90
RIGHT = (State.PASS, State.NOT_APPLICABLE)
OF_A_KERNEL = [c.id for c in CATALOGUE if PROOFS[c.id].own_kernel and c.applies({"servers"})]


@dataclass(frozen=True)
class Seen:
    """What the machine went through, once for the module."""

    recap_of_second_run: str
    after_restart: dict[str, Verdict]
    not_broken: dict[str, str]
    red: dict[str, Verdict]
    not_healed: str
    green: dict[str, Verdict]
    hardening_index: int


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """Boot, apply, restart, audit, apply again, break, heal; then pull the plug."""
    if os.geteuid() != 0:
        pytest.fail("the virtual machine needs root (sudo ./tameng test)")
    estate = inventory.load(paths.inventory("vm"))
    _vm("up", NAME)
    try:
        _apply()
        _vm("restart", NAME)
        all_of_it = [c.id for c in CATALOGUE if c.applies({"managed", "servers"})]
        after = {c: v for (c, _), v in ask(estate, all_of_it).items()}
        again = _apply()
        chosen = dict.fromkeys(OF_A_KERNEL, "vm")
        failed = sabotage(estate, chosen)
        red = {c: v for (c, _), v in ask(estate, chosen).items()}
        trouble = heal(estate, chosen)
        green = {c: v for (c, _), v in ask(estate, chosen).items()}
        said = _vm("ssh", NAME, "sudo lynis audit system --quick --no-colors 2>/dev/null")
        found = re.search(r"Hardening index : (\d+)", said)
        yield Seen(again, after, failed, red, trouble, green, int(found[1]) if found else 0)
    finally:
        _vm("down", NAME)


def test_all_is_right_after_a_restart(seen: Seen) -> None:
    """What was set lasts, and the command line is that of the new start."""
    wrong = {c: v.message for c, v in seen.after_restart.items() if v.state not in RIGHT}
    assert not wrong


def test_a_second_run_changes_nothing(seen: Seen) -> None:
    """Also after a restart."""
    assert re.search(r"changed=0 .*failed=0", seen.recap_of_second_run)


@pytest.mark.parametrize("control", OF_A_KERNEL)
def test_breaking_it_is_seen_and_its_role_heals_it(control: str, seen: Seen) -> None:
    """As test_sabotage.py does it on the lab's hosts; there these say that they don't apply."""
    assert control not in seen.not_broken, seen.not_broken[control]
    red, green = seen.red[control], seen.green[control]
    assert red.state is State.FAIL, f"{red.state}: {red.message}"
    assert PROOFS[control].says in red.message
    assert green.state is State.PASS, f"not healed: {green.message}; {seen.not_healed}"


def test_an_outside_judge_is_content(seen: Seen) -> None:
    """Lynis knows nothing of our roles."""
    print(f"Lynis: hardening index {seen.hardening_index}")
    assert seen.hardening_index >= HARDENING_INDEX


def _vm(*words: str) -> str:
    return _run([str(VM), *words])


def _apply() -> str:
    playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    return _run([playbook, "-i", "inventory/vm/hosts.yml", "playbooks/site.yml"])


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
