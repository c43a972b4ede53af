"""``tameng report PERIOD``: the month's documents from kept evidence."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.options import Verbs, add_inventory, add_verb
from compliance import catalogue, chain, inventory
from compliance.signing import Signer
from inputs import court as courts
from inputs import paths
from inputs.errors import BadInput
from reports import publish
from reports.assess import Assessment
from reports.period import Period

_EXAMPLES = """\
examples:
  tameng report 2026-11                    the lab's documents of November
  tameng report 2026-11 -i penajam         a court's
  tameng report 2026-11 --out /media/usb   to a folder of your own

Nothing is asked of any machine. Built again from the same evidence, every file is the same bytes.
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "report",
        help="write the month's documents from kept evidence",
        description="Write C9, C2, C3 and D1 of a month, as HTML and PDF.",
        examples=_EXAMPLES,
    )
    parser.add_argument("period", type=_period, metavar="PERIOD", help="a month, e.g. 2026-11")
    add_inventory(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="default: var/<court>/documents/<period>/"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = paths.inventory(args.inventory)
    court_id = paths.court_id(folder)
    var = paths.var(court_id)
    # A document never rests on evidence that was changed since it was sealed.
    defects, _, _ = chain.verify(var, Signer.of(var, folder))
    if defects:
        raise BadInput(defects)
    assessment = publish.read(
        args.period,
        var,
        folder,
        courts.load(folder),
        catalogue.load(),
        inventory.load(folder).estate,
    )
    files = publish.build(assessment)
    out = args.out or var / "documents" / str(args.period)
    for path in publish.write(files, out):
        print(f"  {path}")
    print(_what_next(assessment, args))
    return 0


def _what_next(assessment: Assessment, args: argparse.Namespace) -> str:
    if assessment.empty:
        return (
            f"no complete audit in {args.period}: the documents say just that\n"
            f"next: tameng audit -i {args.inventory}"
        )
    counts = ", ".join(f"{n} {state.value}" for state, n in assessment.states.items())
    return (
        f"{counts}; as of {assessment.as_of:%Y-%m-%dT%H:%M:%SZ}\n"
        "next: read C9's first page, decide, sign; the registry gives the number"
    )


def _period(text: str) -> Period:
    try:
        return Period.parse(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
