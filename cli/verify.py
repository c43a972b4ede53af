"""``tameng verify``: is every sealed run still what it was when it was sealed?"""

from __future__ import annotations

import argparse

from cli.options import Verbs, add_inventory, add_verb
from compliance import chain
from compliance.signing import Signer
from inputs import paths

_EXAMPLES = """\
examples:
  tameng verify              the lab's evidence
  tameng verify -i penajam   a court's

exit status: 0 nothing was changed; 1 something was (file and line are named); 2 bad input
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "verify",
        help="check the chain and the signatures of all evidence",
        description="Check each sealed run against its manifest, its signature and the chain.",
        examples=_EXAMPLES,
    )
    add_inventory(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = paths.inventory(args.inventory)
    court_var = paths.var(paths.court_id(folder))
    signer = Signer.of(court_var, folder)
    defects, sealed, incomplete = chain.verify(court_var, signer)
    for defect in defects:
        print(defect)
    for run in incomplete:
        print(f"{run.folder}: incomplete: it never ended, and counts for nothing")
    changed = f"{len(defects)} defects" if defects else "nothing was changed"
    print(f"{len(sealed)} sealed runs, {len(incomplete)} incomplete: {changed}")
    if sealed and folder.name != "lab" and not (folder / "allowed_signers").exists():
        print(f"note: {signer.allowed} is no safer than the evidence; commit it to {folder}")
    return 1 if defects else 0
