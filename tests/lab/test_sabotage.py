"""Every control can fail: break it, see it red for the right reason, heal it by its role, see it
green.

One round breaks, on each host, one control of each family, so that the two audits and the healing
run are shared by many controls. Every other control asked of that host must stay right, but for
those that a suite says are broken by the same act.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from compliance import audit, catalogue, evidence, inventory
from compliance.transport import Shell
from compliance.verdict import State
from inputs import paths

CATALOGUE = catalogue.load()
PROOFS = audit.proofs(CATALOGUE)
LIBRARY = (Path(__file__).parent / "sabotage.sh").read_text()
# The gateway gives the others their time: a test that stops its clock would stop theirs too.
NOT_ON_GATEWAY = {"time"}

Verdicts = dict[tuple[str, str], evidence.Verdict]  # by control and host


@dataclass(frozen=True)
class Outcome:
    """What one control went through."""

    host: str
    red: evidence.Verdict
    reds_beside: set[str]
    green: evidence.Verdict


def rounds(estate: inventory.Inventory) -> Iterator[dict[str, str]]:
    """{control: host} for each round: as many controls of each family as there are hosts."""
    families: dict[str, list[catalogue.Control]] = {}
    for control in CATALOGUE:
        families.setdefault(control.family, []).append(control)
    left = {family: list(controls) for family, controls in families.items()}
    while any(left.values()):
        chosen: dict[str, str] = {}
        for family, controls in left.items():
            for host in estate.hosts:
                if not controls or (family in NOT_ON_GATEWAY and "gateways" in host.groups):
                    continue
                for control in [c for c in controls if c.applies(host.groups)][:1]:
                    controls.remove(control)
                    chosen[control.id] = host.name
        yield chosen


@pytest.fixture(scope="module")
def outcomes(lab: str) -> dict[str, Outcome]:
    """All rounds, run once for the module."""
    estate = inventory.load(paths.inventory("lab"))
    found: dict[str, Outcome] = {}
    for chosen in rounds(estate):
        sabotage(estate, chosen)
        red = ask(chosen)
        heal(estate, chosen)
        green = ask(chosen)
        for control, host in chosen.items():
            broken = {c for c, h in chosen.items() if h == host}
            known = broken.union(*(PROOFS[c].also for c in broken))
            beside = {
                c
                for (c, h), verdict in red.items()
                if h == host and verdict.state is not State.PASS and c not in known
            }
            found[control] = Outcome(host, red[control, host], beside, green[control, host])
    return found


def sabotage(estate: inventory.Inventory, chosen: dict[str, str]) -> None:
    """Break what was chosen, all hosts at once."""

    def on(shell: Shell) -> None:
        for control, name in chosen.items():
            if name == shell.hostname:
                done = shell.run(f"{LIBRARY}\n{PROOFS[control].sabotage}")
                assert done.rc == 0, f"{control} on {name}: the sabotage failed: {done.stderr}"
        shell.close()

    shells = [Shell(host, lambda _: None) for host in estate.hosts]
    with ThreadPoolExecutor(len(shells)) as pool:
        list(pool.map(on, shells))


def ask(chosen: dict[str, str]) -> Verdicts:
    """Audit just these controls, as an operator would."""
    wanted = [word for control in chosen for word in ("--control", control)]
    limit = ["--limit", ":".join(sorted(set(chosen.values())))]
    done = subprocess.run(
        [sys.executable, "-m", "cli", "audit", *limit, *wanted],
        capture_output=True,
        text=True,
        cwd=paths.ROOT,
        check=False,
    )
    folder = [ln for ln in done.stdout.splitlines() if ln.startswith("evidence: ")]
    assert folder, done.stdout + done.stderr
    run = evidence.Run(Path(folder[0].removeprefix("evidence: ")))
    assert run.complete
    return {(v.control, v.host): v for v in run.verdicts()}


def heal(estate: inventory.Inventory, chosen: dict[str, str]) -> None:
    """Run the roles of the broken controls by their tags, on the hosts that were broken."""
    roles = sorted({CATALOGUE.by_id[control].enforced_by for control in chosen})
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i", str(estate.folder / "hosts.yml"), "playbooks/site.yml",
            "--tags", ",".join(roles), "--limit", ":".join(sorted(set(chosen.values()))),
        ],
        capture_output=True, text=True, cwd=paths.ROOT, check=False,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("control", [c.id for c in CATALOGUE])
def test_breaking_it_is_seen_and_its_role_heals_it(
    control: str, outcomes: dict[str, Outcome]
) -> None:
    """The control is no decoration: it turns red when its thing is broken, and names the cause."""
    outcome, proof = outcomes[control], PROOFS[control]
    assert outcome.red.state is State.FAIL, f"{outcome.red.state}: {outcome.red.message}"
    assert proof.says in outcome.red.message
    assert outcome.red.commands, "a verdict without a question"
    assert not outcome.reds_beside, f"red on {outcome.host} too, and no suite says why"
    assert outcome.green.state is State.PASS, f"not healed: {outcome.green.message}"
