"""``tameng record``: what people did or judged, kept beside the court's inventory."""

from __future__ import annotations

import argparse
import datetime as dt

from cli.options import Verbs, add_inventory, add_verb
from inputs import court as courts
from inputs import occurrences, paths, yamlfile
from inputs.occurrences import JUDGEMENTS, Occurrence

_EXAMPLES = """\
examples:
  tameng record occurrence 20261123-4 --judged harmless --by dimas \\
      --note "Pegawai memindai printer baru, sudah diberi tahu"

The name of a warning stands in its letter and in D1. Judgements: incident, harmless (somebody's
work), false_alarm (nothing happened), exercise. Kept in inventory/<court>/records, for git.
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "record",
        help="record what people did or judged",
        description="Record what people did or judged, in the court's records.",
        examples=_EXAMPLES,
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    text = "what a warning was, in a person's judgement"
    kind = kinds.add_parser("occurrence", help=text, description=text)
    kind.add_argument("warning", help="its name, such as 20261123-4")
    kind.add_argument("--judged", required=True, choices=JUDGEMENTS)
    kind.add_argument("--by", required=True, metavar="PERSON", help="one of court.yml")
    kind.add_argument("--note", required=True, help="what it was, and what was done")
    add_inventory(kind)
    kind.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = paths.inventory(args.inventory)
    said = {
        "warning": args.warning,
        "judged": args.judged,
        "note": args.note,
        "by": args.by,
        "at": dt.datetime.now(dt.UTC).replace(microsecond=0),
    }
    occurrence = yamlfile.validate(folder / occurrences.FILE, said, {}, Occurrence)
    file = occurrences.add(folder, occurrence, courts.load(folder).people)
    print(f"{file}: {occurrence.warning} is {occurrence.judged}, says {occurrence.by}")
    print(f"next: commit it; tameng report {occurrence.at:%Y-%m} -i {args.inventory}")
    return 0
