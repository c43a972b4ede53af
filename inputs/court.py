"""``court.yml``: the court's letterhead, people, numbering and calendar."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, field_validator, model_validator

from inputs import yamlfile
from inputs.yamlfile import Strict

Nip = Annotated[str, StringConstraints(pattern=r"^\d{18}$")]
Performer = Literal["operator", "kasubbag", "kabag", "sekretaris", "ketua"]


class Person(Strict):
    """An officer. ``nip`` is 18 digits: birth date, first appointment, sex, serial."""

    name: str = Field(min_length=3)
    nip: Nip
    post: str = Field(min_length=3)


class Holder(Strict):
    """Who fills one of the SOP's performers, and since when; Plh./Plt. stand in for a while."""

    person: str
    acting: Literal["Plh.", "Plt."] | None = None
    since: dt.date
    until: dt.date | None = None


class Holiday(Strict):
    date: dt.date
    name: str


class Calendar(Strict):
    """Working days of the week (1 Monday … 7 Sunday), holidays, and the court's own step days."""

    workdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(min_length=1)
    holidays: list[Holiday] = []
    days: dict[str, Annotated[int, Field(ge=1, le=60)]] = {}


class Numbering(Strict):
    """How a letter's number is built, e.g. 1297/KPA.W17-A8/OT1.6/XII/2025; the court's code and
    the classification codes by SOP step."""

    unit: str
    classification: dict[str, str] = {}


class Court(Strict):
    """All of court.yml."""

    name: str
    short_name: str
    place: str
    timezone: str
    letterhead: list[str] = Field(min_length=2)
    address: str
    website: str
    email: str
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

    @model_validator(mode="after")
    def _people_exist(self) -> Court:
        for performer, holders in self.performers.items():
            for holder in holders:
                if holder.person not in self.people:
                    raise ValueError(f"performers.{performer}: {holder.person} is not in people")
        return self

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def holder(self, performer: Performer, day: dt.date) -> tuple[Holder, Person] | None:
        """Who fills ``performer`` on ``day``; a stand-in (Plh./Plt.) goes before the holder."""
        current = [
            h
            for h in self.performers.get(performer, [])
            if h.since <= day and (h.until is None or day <= h.until)
        ]
        current.sort(key=lambda h: (h.acting is None, -h.since.toordinal()))
        return (current[0], self.people[current[0].person]) if current else None


def load(inventory: Path) -> Court:
    """Read ``court.yml`` of an inventory folder; raises BadInput."""
    return yamlfile.load(inventory / "court.yml", Court)
