"""Proving controls on real hosts: break each one, see it red for the right reason, heal it by its
role, see it green.

One round breaks, on each host, two controls of each family, so that the two audits and the
healing run are shared by many controls. Every other control asked of that host must stay right, but
for those that a suite says are broken by the same act. Two that meet in one daemon may undo each
other: what didn't go as it should goes through a round once more, alone of its family on its host.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from compliance import audit, catalogue, evidence, inventory, waivers
from compliance.inventory import Inventory
from compliance.transport import Shell, TransportError
from compliance.verdict import State
from compliance.waivers import Waiver
from inputs import court, paths
from tests.lab.watching import ansible_playbook

CATALOGUE = catalogue.load()
PROOFS = audit.proofs(CATALOGUE)
LIBRARY = (Path(__file__).parent / "sabotage.sh").read_text()
# Some wait for a scan of the whole machine, while those of all hosts are broken side by side.
SABOTAGE_SECONDS = 120
# The gateway gives the others their time: a test that stops its clock would stop theirs too.
NOT_ON_GATEWAY = {"time"}
AT_ONCE = 2  # of a family on a host

Verdicts = dict[tuple[str, str], evidence.Verdict]  # by control and host
Places = dict[str, list[str]]  # by control, the hosts it can be proven on


@dataclass(frozen=True)
class Outcome:
    """What one control went through; without a host, why it could not be proven here."""

    host: str = ""
    unproven: str = ""
    not_applicable: bool = False  # says every host that it concerns
    not_broken: str = ""  # what the sabotage said when it failed
    red: evidence.Verdict | None = None
    beside: tuple[str, ...] = ()  # what turned red too, and no suite says why
    not_healed: str = ""  # what the healing run said when it failed
    green: evidence.Verdict | None = None


def prove(
    estate: Inventory, controls: Collection[str], few_rounds: bool = False
) -> dict[str, Outcome]:
    """Put these controls through their rounds; nothing is asked or broken for any other one."""
    before = ask(estate, controls) if controls else {}
    there, found = places(estate, controls, before)
    for chosen in crowded(there) if few_rounds else rounds(there, AT_ONCE):
        found |= _round(estate, chosen, before)
    wrong = {control: hosts for control, hosts in there.items() if not _right(control, found)}
    for chosen in rounds(wrong, 1):
        found |= _round(estate, chosen, before)
    return found


def _round(estate: Inventory, chosen: dict[str, str], before: Verdicts) -> dict[str, Outcome]:
    """Break, ask, heal and ask again, on all hosts side by side."""
    failed = sabotage(estate, chosen)
    red = ask(estate, chosen, chosen.values())
    trouble = heal(estate, chosen)
    green = ask(estate, chosen, chosen.values())
    found = {}
    for control, host in chosen.items():
        broken = {c for c, h in chosen.items() if h == host}
        known = broken.union(
            *(PROOFS[c].also if c in broken else PROOFS[c].elsewhere for c in chosen)
        )
        found[control] = Outcome(
            host=host,
            not_broken=failed.get(control, ""),
            red=red[control, host],
            beside=tuple(
                f"{c}: {red[c, host].message}"
                for c in sorted(_red(red, host) - known - _red(before, host))
            ),
            not_healed=trouble,
            green=green[control, host],
        )
    return found


def _right(control: str, found: Mapping[str, Outcome]) -> bool:
    try:
        expect(control, found[control])
    except AssertionError:
        return False
    return True


def places(
    estate: Inventory, controls: Collection[str], before: Verdicts
) -> tuple[Places, dict[str, Outcome]]:
    """Where each control can be proven, and why the others can't be proven on any host here. A
    control is only proven where it is right to begin with."""
    there: Places = {}
    elsewhere: dict[str, Outcome] = {}
    for name in controls:
        asked = [h for h in estate.hosts if (name, h.name) in before]
        right = [h for h in asked if before[name, h.name].state is State.PASS]
        if CATALOGUE.by_id[name].family in NOT_ON_GATEWAY:
            right = [h for h in right if "gateways" not in h.groups]
        if right:
            there[name] = [h.name for h in right]
        else:
            said = {(v.state, v.message) for h in asked if (v := before[name, h.name])}
            elsewhere[name] = Outcome(
                unproven="; ".join(sorted(f"{state}: {message}" for state, message in said))
                or "it concerns no host here",
                not_applicable={state for state, _ in said} == {State.NOT_APPLICABLE},
            )
    return there, elsewhere


def rounds(there: Places, at_once: int) -> Iterator[dict[str, str]]:
    """{control: host} for each round: of each family so many controls a host, of which none is
    known to break another. What fits on few hosts comes first, and on the host with the least
    left to do, so that all are busy."""
    families: dict[str, Places] = {}
    for control, hosts in there.items():
        families.setdefault(CATALOGUE.by_id[control].family, {})[control] = hosts
    left = [dict(sorted(f.items(), key=lambda item: len(item[1]))) for f in families.values()]
    while any(left):
        chosen: dict[str, str] = {}
        for family in left:
            taken: dict[str, list[str]] = {}
            busy = Counter(host for hosts in family.values() for host in hosts)
            for control, hosts in list(family.items()):
                free = [h for h in hosts if len(taken.get(h, [])) < at_once]
                free = [h for h in free if _beside(control, taken.get(h, []))]
                if fit := sorted(free, key=lambda h: (len(taken.get(h, [])), busy[h], h)):
                    chosen[control] = fit[0]
                    taken.setdefault(fit[0], []).append(control)
                    del family[control]
        yield chosen


def _beside(control: str, others: Sequence[str]) -> bool:
    """Whether it can be broken on one host together with these of its family."""
    also = PROOFS[control].also
    return not any(other in also or control in PROOFS[other].also for other in others)


def crowded(there: Places) -> Iterator[dict[str, str]]:
    """As ``rounds``, for a host on which a round takes minutes: all at once, but for those that
    break each other. That each turns red by its own sabotage is then left to what it says."""
    left = {control: hosts[0] for control, hosts in there.items()}
    while left:
        chosen: dict[str, str] = {}
        for control in list(left):
            also = {other for c in chosen for other in PROOFS[c].also}
            if control not in also and not chosen.keys() & set(PROOFS[control].also):
                chosen[control] = left.pop(control)
        yield chosen


def waived(control: str, name: str = "lab") -> Waiver | None:
    """The waiver in force today that an inventory has for a control, wherever."""
    folder = paths.inventory(name)
    known = waivers.load(folder, CATALOGUE, court.load(folder), inventory.load(folder).estate)
    today = dt.datetime.now(dt.UTC).date()
    return next((w for w in known.all if w.control == control and w.in_force(today)), None)


def expect(control: str, outcome: Outcome) -> None:
    """The control is no decoration: it turned red when its thing was broken, named the cause, and
    was healed by its role."""
    assert not outcome.unproven
    assert not outcome.not_broken, f"on {outcome.host} the sabotage failed"
    assert outcome.red
    assert outcome.green
    assert outcome.red.state is State.FAIL, f"{outcome.red.state}: {outcome.red.message}"
    assert PROOFS[control].says in outcome.red.message
    assert outcome.red.commands, "a verdict without a question"
    assert not outcome.beside, f"red on {outcome.host} too: {outcome.beside}; no suite says why"
    assert not outcome.not_healed, f"the healing run failed: {outcome.not_healed}"
    assert outcome.green.state is State.PASS, f"not healed: {outcome.green.message}"


def sabotage(estate: Inventory, chosen: dict[str, str]) -> dict[str, str]:
    """Break what was chosen, all hosts at once. Returns what failed sabotages said."""
    failed: dict[str, str] = {}

    def on(shell: Shell) -> None:
        for control, name in chosen.items():
            if name == shell.hostname:
                try:
                    script = f"{LIBRARY}\n{PROOFS[control].sabotage}"
                    done = shell.run(script, timeout=SABOTAGE_SECONDS)
                except TransportError as exc:
                    failed[control] = str(exc)
                else:
                    if done.rc:
                        failed[control] = str(done.stderr or done.stdout or done.rc)
        shell.close()

    shells = [Shell(h, lambda _: None) for h in estate.hosts if h.name in chosen.values()]
    with ThreadPoolExecutor(len(shells)) as pool:
        list(pool.map(on, shells))
    return failed


def ask(
    estate: Inventory, controls: Collection[str], hosts: Collection[str] | None = None
) -> Verdicts:
    """Audit just these controls, as an operator would; on all hosts of the estate unless told."""
    done = subprocess.run(
        [
            sys.executable, "-m", "cli", "audit", "-i", estate.folder.name,
            "--limit", _limit(estate, hosts),
            *(word for control in controls for word in ("--control", control)),
        ],
        capture_output=True, text=True, cwd=paths.ROOT, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    folder = [ln for ln in done.stdout.splitlines() if ln.startswith("evidence: ")]
    assert folder, done.stdout + done.stderr
    run = evidence.Run(Path(folder[0].removeprefix("evidence: ")))
    assert run.complete
    return {(v.control, v.host): v for v in run.verdicts()}


def heal(estate: Inventory, chosen: dict[str, str]) -> str:
    """Run the roles of the broken controls by their tags, on the hosts that were broken. Returns
    what a run that failed said."""
    roles = sorted({CATALOGUE.by_id[control].enforced_by for control in chosen})
    done = ansible_playbook(
        "-i", str(estate.folder / "hosts.yml"), "playbooks/site.yml",
        "--tags", ",".join(roles), "--limit", _limit(estate, chosen.values()),
        check=False,
    )  # fmt: skip
    return done.stdout[-3000:] + done.stderr[-1000:] if done.returncode else ""


def _limit(estate: Inventory, hosts: Collection[str] | None) -> str:
    return ":".join(sorted(set(hosts or (h.name for h in estate.hosts))))


def _red(verdicts: Verdicts, host: str) -> set[str]:
    fine = (State.PASS, State.NOT_APPLICABLE)
    return {c for (c, h), verdict in verdicts.items() if h == host and verdict.state not in fine}
