"""``records/occurrences.yml``: what a person judged of a warning.

A machine warns; whether it was an incident, somebody's work or nothing at all is for a person to
say. ``./tameng record occurrence`` adds an entry, an editor corrects one, git keeps who did.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Strict

FILE = Path("records/occurrences.yml")
HEAD = """\
---
# What people judged of warnings; added by ./tameng record occurrence.
occurrences:
"""
Judgement = Literal["incident", "harmless", "false_alarm", "exercise"]
JUDGEMENTS: tuple[str, ...] = get_args(Judgement)


def _name(value: str) -> str:
    if not re.fullmatch(r"20\d{6}-[1-9]\d*", value):
        raise ValueError("expected the number that stands in a letter, such as 20261123-4")
    return value


class Occurrence(Strict):
    """One warning, by the name that its letter bears, and what it was."""

    warning: Annotated[str, AfterValidator(_name)]
    judged: Judgement
    note: Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
    by: str
    at: AwareDatetime


class File(Strict):
    occurrences: list[Occurrence]


def load(inventory: Path, people: Collection[str]) -> dict[str, Occurrence]:
    """By warning; none where nothing was ever recorded. Raises BadInput with a line for each
    defect."""
    file = inventory / FILE
    if not file.exists():
        return {}
    data, lines = yamlfile.load_with_lines(file)
    found: dict[str, Occurrence] = {}
    defects: list[Complaint] = []
    for index, occurrence in enumerate(yamlfile.validate(file, data, lines, File).occurrences):
        for field, what in _defects(occurrence, found, people):
            line = yamlfile.line_of(lines, ("occurrences", index, field))
            defects.append(Complaint(file, line, what))
        found[occurrence.warning] = occurrence
    if defects:
        raise BadInput(defects)
    return found


def add(inventory: Path, occurrence: Occurrence, people: Collection[str]) -> Path:
    """Write one more at the end of the file, which must be in order."""
    file = inventory / FILE
    for _, what in _defects(occurrence, load(inventory, people), people):
        raise BadInput.at(file, 0, what)
    file.parent.mkdir(exist_ok=True)
    new = not file.exists()
    with file.open("a", encoding="utf-8") as out:
        out.write(HEAD if new else "")
        out.write(
            f"  - warning: {occurrence.warning}\n"
            f"    judged: {occurrence.judged}\n"
            f"    note: {json.dumps(occurrence.note, ensure_ascii=False)}\n"
            f"    by: {occurrence.by}\n"
            f"    at: {occurrence.at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}\n"
        )
    return file


def _defects(
    occurrence: Occurrence, known: Collection[str], people: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Field and what is wrong with it."""
    if occurrence.by not in people:
        yield "by", f"{occurrence.by} is not among the people of court.yml"
    if occurrence.warning in known:
        yield "warning", f"{occurrence.warning} is judged already: correct that entry by hand"
