"""``tameng audit``: ask every machine, keep the answers, say what is wrong."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from pathlib import Path

from cli.options import Verbs, add_inventory, add_verb
from compliance import audit, catalogue, inventory, waivers
from compliance.evidence import Verdict
from compliance.plugin import HostResult
from compliance.verdict import State, exit_status
from inputs import court as courts
from inputs import paths
from inputs.errors import BadInput

_EXAMPLES = """\
examples:
  tameng audit                             the lab, everything
  tameng audit -i penajam --limit servers  one group of a court
  tameng audit --sop C5 --sop D1           what two SOP steps ask
  tameng audit --control ssh_no_empty_passwords

exit status:
  0  all controls pass or are waived
  1  a control fails
  2  something could not be judged
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "audit",
        help="ask every machine whether it is as it should be",
        description="Ask every control of every machine it concerns and keep the answers as "
        "signed evidence under var/. Nothing on the machines is changed.",
        examples=_EXAMPLES,
    )
    add_inventory(parser)
    parser.add_argument("--limit", metavar="HOSTS", help="an Ansible pattern: app, servers, ...")
    parser.add_argument("--sop", metavar="STEP", action="append", default=[], help="e.g. C5")
    parser.add_argument("--control", metavar="ID", action="append", default=[])
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = paths.inventory(args.inventory)
    known = catalogue.load()
    estate = inventory.load(folder)
    court = courts.load(folder)
    exceptions = waivers.load(folder, known, court, estate.estate)
    selection = audit.Selection(args.limit, tuple(args.sop), tuple(args.control))
    hosts = estate.select(args.limit)
    _refuse_unwritable(paths.var(paths.court_id(folder)) / "runs")
    began = time.monotonic()
    print(f"auditing {len(hosts)} hosts, {len(selection.ids(known))} controls", flush=True)
    try:
        done = audit.run(estate, known, selection, _progress)
    except OSError as exc:
        print(
            f"tameng: the evidence cannot be written: {exc}\n"
            "The run stays incomplete and counts for nothing. Make room, then audit again.",
            file=sys.stderr,
        )
        return 2
    today = dt.datetime.now(court.tz).date()
    folded = [(exceptions.fold(v.state, v.control, v.host, today), v) for v in done.verdicts]
    _print_findings(folded, known)
    states = {state for state, _ in folded}
    print(
        f"{_count([state for state, _ in folded])} in {time.monotonic() - began:.1f} s\n"
        f"evidence: {done.folder}\n"
        f"next: tameng report {today:%Y-%m} -i {args.inventory}"
    )
    return exit_status(states)


def _refuse_unwritable(runs: Path) -> None:
    """Before any machine is asked: an answer that cannot be kept is worth nothing."""
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        raise BadInput.at(
            there,
            0,
            "evidence is kept here, and you may not write to it: use sudo",
        )


def _progress(result: HostResult, verdicts: list[Verdict]) -> None:
    detail = f"  ({result.detail})" if result.detail else ""
    print(f"  {result.host:<12} {_count([v.state for v in verdicts])}{detail}", flush=True)


def _print_findings(folded: list[tuple[State, Verdict]], known: catalogue.Catalogue) -> None:
    quiet = {State.PASS, State.NOT_APPLICABLE}
    # A host that did not answer is one finding, not one for each of its controls.
    silent: set[tuple[str, str]] = set()
    for state, verdict in sorted(folded, key=lambda pair: (pair[1].host, pair[1].control)):
        if state in quiet:
            continue
        if state in (State.UNREACHABLE, State.ERROR):
            if (verdict.host, verdict.message) in silent:
                continue
            silent.add((verdict.host, verdict.message))
        control = known.by_id[verdict.control]
        print(f"{state.upper()} {verdict.control} on {verdict.host}: {verdict.message}")
        if state is State.FAIL:
            print(f"     mend: tameng apply --limit {verdict.host} --tags {control.enforced_by}")


def _count(states: list[State]) -> str:
    counts = [f"{states.count(s)} {s}" for s in State if s in states]
    return ", ".join(counts) or "nothing asked"
