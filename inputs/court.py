"""``court.yml``: the court's letterhead, people, numbering and calendar."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Loc, Strict

Performer = Literal["operator", "kasubbag", "kabag", "sekretaris", "ketua"]
StepId = Annotated[str, StringConstraints(pattern=r"^[A-D][1-9]$")]
Text = Annotated[str, StringConstraints(min_length=3, strip_whitespace=True)]

NIP_DIGITS = 18
YOUNGEST = 16  # the age in years below which nobody is appointed


def check_nip(nip: str) -> str:
    """Refuse what cannot be a NIP: birth date (8), appointment (6), sex (1), serial (3)."""
    if len(nip) != NIP_DIGITS or not nip.isdecimal():
        raise ValueError("expected a NIP of 18 digits, in quotes and without spaces")
    try:
        born = dt.date(int(nip[:4]), int(nip[4:6]), int(nip[6:8]))
    except ValueError:
        raise ValueError("digits 1-8 of a NIP are a birth date, YYYYMMDD") from None
    try:
        appointed = dt.date(int(nip[8:12]), int(nip[12:14]), 1)
    except ValueError:
        raise ValueError("digits 9-14 of a NIP are the month of appointment, YYYYMM") from None
    if appointed.year - born.year < YOUNGEST:
        raise ValueError(f"by this NIP its holder was appointed before the age of {YOUNGEST}")
    if nip[14] not in "12":
        raise ValueError("digit 15 of a NIP is 1 (man) or 2 (woman)")
    return nip


class Person(Strict):
    """An officer; a name is printed as it is written here."""

    name: Text
    nip: Annotated[str, AfterValidator(check_nip)]
    post: Text


class Holder(Strict):
    """Who fills one of the SOP's performers, and since when; Plh./Plt. stand in for a while."""

    person: str
    acting: Literal["Plh.", "Plt."] | None = None
    since: dt.date
    until: dt.date | None = None

    def holds(self, day: dt.date) -> bool:
        return self.since <= day and (self.until is None or day <= self.until)

    def meets(self, other: Holder) -> bool:
        """Whether both are in office on some day."""
        return self.since <= (other.until or dt.date.max) and other.since <= (
            self.until or dt.date.max
        )


class Holiday(Strict):
    date: dt.date
    name: Text


class Calendar(Strict):
    """Working days of the week (1 Monday … 7 Sunday), holidays, and the court's own step days."""

    workdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(min_length=1)
    holidays: list[Holiday] = Field(default_factory=list)
    days: dict[StepId, Annotated[int, Field(ge=1, le=60)]] = Field(default_factory=dict)

    def day_off(self, day: dt.date) -> str | None:
        """Why ``day`` is no working day, in a document's words; None when it is one."""
        for holiday in self.holidays:
            if holiday.date == day:
                return holiday.name
        return None if day.isoweekday() in self.workdays else "akhir pekan"


class Numbering(Strict):
    """How a letter's number is built, e.g. 1297/KPA.W17-A8/OT1.6/XII/2025: the court's code and
    the classification code of each SOP step (``default`` for the others)."""

    unit: Text
    default: Text
    classification: dict[StepId, Text] = Field(default_factory=dict)


class Court(Strict):
    """All of court.yml."""

    name: Text
    short_name: Text
    place: Text
    timezone: str
    letterhead: list[Text] = Field(min_length=2)
    address: Text
    website: Text
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
    people: dict[str, Person]
    performers: dict[Performer, list[Holder]]
    numbering: Numbering
    calendar: Calendar

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("expected an IANA time zone such as Asia/Makassar") from None
        return value

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def holder(self, performer: Performer, day: dt.date) -> tuple[Holder, Person] | None:
        """Who fills ``performer`` on ``day``; a stand-in (Plh./Plt.) goes before the holder."""
        current = [h for h in self.performers.get(performer, []) if h.holds(day)]
        current.sort(key=lambda h: (h.acting is None, -h.since.toordinal()))
        return (current[0], self.people[current[0].person]) if current else None


def load(inventory: Path) -> Court:
    """Read ``court.yml`` of an inventory folder; raises BadInput with a line for each defect."""
    file = inventory / "court.yml"
    data, lines = yamlfile.load_with_lines(file)
    court = yamlfile.validate(file, data, lines, Court)
    defects = [Complaint(file, yamlfile.line_of(lines, loc), what) for loc, what in _defects(court)]
    if defects:
        raise BadInput(defects)
    return court


def _defects(court: Court) -> Iterator[tuple[Loc, str]]:
    """What no single field can know: each place in the file with what is wrong there."""
    for performer, holders in court.performers.items():
        for index, holder in enumerate(holders):
            here: Loc = ("performers", performer, index)
            if holder.person not in court.people:
                known = ", ".join(court.people)
                yield (*here, "person"), f"{holder.person} is not in people (there are: {known})"
            if holder.until and holder.until < holder.since:
                yield (*here, "until"), f"until {holder.until} lies before since {holder.since}"
            earlier = [h for h in holders[:index] if not h.acting and not holder.acting]
            if any(holder.meets(h) for h in earlier):
                yield here, f"two holders of {performer} at once: end one, or mark one Plh. or Plt."
    nips: dict[str, str] = {}
    for key, person in court.people.items():
        if person.nip in nips:
            yield ("people", key, "nip"), f"the same NIP as {nips[person.nip]}"
        nips.setdefault(person.nip, key)
    dates: set[dt.date] = set()
    for index, holiday in enumerate(court.calendar.holidays):
        if holiday.date in dates:
            yield ("calendar", "holidays", index), f"{holiday.date} is listed twice"
        dates.add(holiday.date)
