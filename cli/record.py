"""``tameng record``: what people did or judged, kept beside the court's inventory."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cli.apply import playbook
from cli.options import Verbs, add_inventory, add_verb
from inputs import court as courts
from inputs import paths, yamlfile
from inputs.errors import BadInput
from inputs.records import JUDGEMENTS, OCCURRENCES, OFFLINE_COPIES, Occurrence, OfflineCopy

_EXAMPLES = """\
examples:
  tameng record occurrence 20261123-4 --judged harmless --by dimas \\
      --note "Pegawai memindai printer baru, sudah diberi tahu"
  tameng record offline-copy -i penajam
                       plug the disk in first; asks whose name belongs to it once all is read back
  tameng record offline-copy -i penajam --by dimas --holder nurul \\
      --medium "Disk A, WD 4711" --place "Brankas kepaniteraan"

The name of a warning stands in its letter and in D1. Judgements: incident, harmless (somebody's
work), false_alarm (nothing happened), exercise. Kept in inventory/<court>/records, for git.
"""
_ASKED = {
    "medium": "the disk: its label, and its serial number",
    "place": "where it will lie, off the network",
    "holder": "who holds it, one of court.yml",
    "by": "who copied, one of court.yml",
}


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
    kind.set_defaults(run=occurrence)
    text = "copy all archives to the disk that is plugged into the backup server, and who holds it"
    kind = kinds.add_parser("offline-copy", help=text, description=text)
    for name, what in _ASKED.items():
        kind.add_argument(f"--{name}", help=f"{what}; asked for where it isn't given")
    add_inventory(kind)
    kind.set_defaults(run=offline_copy)


def occurrence(args: argparse.Namespace) -> int:
    folder = paths.inventory(args.inventory)
    said = {name: getattr(args, name) for name in ("warning", "judged", "note", "by")}
    entry = yamlfile.validate(folder / OCCURRENCES.file, said | _now(), {}, Occurrence)
    file = OCCURRENCES.add(folder, entry, courts.load(folder).people)
    print(f"{file}: {entry.warning} is {entry.judged}, says {entry.by}")
    print(f"next: commit it; tameng report {entry.at:%Y-%m} -i {args.inventory}")
    return 0


def offline_copy(args: argparse.Namespace) -> int:
    """Copy first: what is asked and recorded is about a disk that holds something."""
    folder = paths.inventory(args.inventory)
    people = courts.load(folder).people
    OFFLINE_COPIES.load(folder, people)  # a defect in it is told before hours of copying
    said = {name: getattr(args, name) for name in _ASKED}
    if (lacks := [f"--{name}" for name, value in said.items() if not value]) and not _asks():
        raise BadInput.at(folder / OFFLINE_COPIES.file, 0, f"nobody to ask: say {', '.join(lacks)}")
    for name in ("holder", "by"):
        if said[name] and said[name] not in people:
            raise BadInput.at(folder / "court.yml", 0, f"{said[name]} is not among the people")
    with TemporaryDirectory() as there:
        failed = playbook("offline_copy.yml", folder, ["-e", f"offline_copy_told={there}"])
        copies = [json.loads(file.read_text()) for file in sorted(Path(there).iterdir())]
    for told in copies:
        print(f"copied, and read back: {', '.join(told['of']) or 'nothing'}")
        if not told["of"]:
            continue
        asked = {name: value or _ask(name, people) for name, value in said.items()}
        _record(folder, {"name": told["name"]} | asked, people)
    if failed:
        print("tameng: not everything was copied: see the failed task above", file=sys.stderr)
        return 1
    print(f"next: take the disk out; commit the record; tameng audit -i {args.inventory}")
    return 0


def _record(folder: Path, said: dict[str, Any], people: dict[str, Any]) -> None:
    file = folder / OFFLINE_COPIES.file
    entry = yamlfile.validate(file, said | _now(), {}, OfflineCopy)
    OFFLINE_COPIES.add(folder, entry, people)
    print(f"{file}: {entry.name} is on {entry.medium}, held by {entry.holder}")


def _asks() -> bool:
    return sys.stdin.isatty()


def _ask(name: str, people: dict[str, Any]) -> str:
    """Until it is an answer: hours of copying are not lost for a wrong key."""
    while True:
        answer = input(f"{_ASKED[name]}: ").strip()
        if name in ("holder", "by") and answer not in people:
            print(f"one of {', '.join(people)}")
        elif len(answer) >= 3:
            return answer


def _now() -> dict[str, dt.datetime]:
    return {"at": dt.datetime.now(dt.UTC).replace(microsecond=0)}
