"""``records/*.yml``: what people did or judged, beside the court's inventory.

A machine warns, and writes a copy; whether it was an incident, and who holds the disk, is for a
person to say. ``./tameng record`` adds an entry, an editor corrects one, git keeps who did.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar, get_args

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Strict

Judgement = Literal["incident", "harmless", "false_alarm", "exercise"]
JUDGEMENTS: tuple[str, ...] = get_args(Judgement)
Text = Annotated[str, StringConstraints(min_length=3, strip_whitespace=True)]


def _warning(value: str) -> str:
    if not re.fullmatch(r"20\d{6}-[1-9]\d*", value):
        raise ValueError("expected the number that stands in a letter, such as 20261123-4")
    return value


def _copy(value: str) -> str:
    if not re.fullmatch(r"20\d{6}-\d{6}", value):
        raise ValueError(
            "expected the name that the backup server gave it, such as 20261124-131500"
        )
    return value


class Occurrence(Strict):
    """One warning, by the name that its letter bears, and what it was."""

    warning: Annotated[str, AfterValidator(_warning)]
    judged: Judgement
    note: Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
    by: str
    at: AwareDatetime


class OfflineCopy(Strict):
    """One copy of the archives, by the name that the backup server gave it, and who holds it."""

    name: Annotated[str, AfterValidator(_copy)]
    medium: Text
    place: Text
    holder: str
    by: str
    at: AwareDatetime


class Occurrences(Strict):
    occurrences: list[Occurrence]


class OfflineCopies(Strict):
    offline_copies: list[OfflineCopy]


Record = TypeVar("Record", Occurrence, OfflineCopy)


@dataclass(frozen=True)
class Kind(Generic[Record]):
    """One of the files."""

    name: str  # of the file, and of its only key
    model: type[Record]
    whole: type[Strict]
    key: str  # no two entries have the same
    people: tuple[str, ...]  # fields that name one of court.yml
    head: str

    @property
    def file(self) -> Path:
        """In the court's inventory."""
        return Path(f"records/{self.name}.yml")

    def load(self, inventory: Path, people: Collection[str]) -> dict[str, Record]:
        """By their key; none where nothing was ever recorded. Raises BadInput with a line for each
        defect."""
        file = inventory / self.file
        if not file.exists():
            return {}
        data, lines = yamlfile.load_with_lines(file)
        found: dict[str, Record] = {}
        defects: list[Complaint] = []
        entries: list[Record] = getattr(yamlfile.validate(file, data, lines, self.whole), self.name)
        for index, entry in enumerate(entries):
            for field, what in self._defects(entry, found, people):
                line = yamlfile.line_of(lines, (self.name, index, field))
                defects.append(Complaint(file, line, what))
            found[getattr(entry, self.key)] = entry
        if defects:
            raise BadInput(defects)
        return found

    def add(self, inventory: Path, entry: Record, people: Collection[str]) -> Path:
        """Write one more at the end of the file, which must be in order."""
        file = inventory / self.file
        for _, what in self._defects(entry, self.load(inventory, people), people):
            raise BadInput.at(file, 0, what)
        file.parent.mkdir(exist_ok=True)
        new = not file.exists()
        fields = (f"{name}: {_written(value)}\n" for name, value in entry)
        with file.open("a", encoding="utf-8") as out:
            out.write(f"---\n# {self.head}\n{self.name}:\n" if new else "")
            out.write("  - " + "    ".join(fields))
        return file

    def _defects(
        self, entry: Record, known: Collection[str], people: Collection[str]
    ) -> Iterator[tuple[str, str]]:
        """Field and what is wrong with it."""
        for field in self.people:
            if (who := getattr(entry, field)) not in people:
                yield field, f"{who} is not among the people of court.yml"
        if (key := getattr(entry, self.key)) in known:
            yield self.key, f"{key} is recorded already: correct that entry by hand"


def _written(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return json.dumps(value, ensure_ascii=False)


OCCURRENCES = Kind(
    "occurrences",
    Occurrence,
    Occurrences,
    key="warning",
    people=("by",),
    head="What people judged of warnings; added by ./tameng record occurrence.",
)
OFFLINE_COPIES = Kind(
    "offline_copies",
    OfflineCopy,
    OfflineCopies,
    key="name",
    people=("holder", "by"),
    head="Who holds the copies of the archives; added by ./tameng record offline-copy.",
)
