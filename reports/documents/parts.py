"""The parts that documents are made of. Everything is a ready string: templates compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from compliance.verdict import State
from reports.steps import Timing, Word

Tone = Literal["", "pass", "fail", "waived", "unknown", "none"]

DASH = "\u2013"  # en dash: nothing to say here

# Templates draw a sign for each tone, so that colour is never the only one.
STATE_TONES: dict[State, Tone] = {
    State.PASS: "pass",
    State.FAIL: "fail",
    State.WAIVED: "waived",
    State.NOT_APPLICABLE: "none",
    State.ERROR: "unknown",
    State.UNREACHABLE: "unknown",
    State.NOT_RUN: "unknown",
}

WORD_TONES: dict[Word, Tone] = {
    Word.CONFORMS: "pass",
    Word.FAILS: "fail",
    Word.PARTIAL: "unknown",
    Word.NOT_RUN: "unknown",
    Word.WAIVED: "waived",
    Word.NOT_APPLICABLE: "none",
    Word.NO_CONTROL: "none",
}

TIMING_TONES: dict[Timing, Tone] = {
    Timing.ON_TIME: "pass",
    Timing.LATE: "fail",
    Timing.OPEN: "unknown",
    Timing.BY_HAND: "none",
}


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, smaller notes under it, and the tone of a state."""

    text: str
    notes: tuple[str, ...] = ()
    tone: Tone = ""

    @property
    def blank(self) -> bool:
        """Nothing to say: a phone leaves it out."""
        return self.text in ("", DASH) and not self.notes


@dataclass(frozen=True)
class Column:
    title: str
    width: int  # per cent
    number: bool = False


@dataclass(frozen=True)
class Row:
    """The first cell is the row's header; ``group`` rows have just that one."""

    cells: tuple[Cell, ...]
    group: bool = False


@dataclass(frozen=True)
class Table:
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Bar:
    """One month of the trend's picture, in its own units."""

    x: int
    y: float
    height: float
    label: str
    month: str
    current: bool


@dataclass(frozen=True)
class Picture:
    title: str
    description: str
    width: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Section:
    """A headed part of a document. ``empty`` is what it says when it has nothing to show."""

    anchor: str
    title: str
    intro: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    picture: Picture | None = None
    empty: str = ""


@dataclass(frozen=True)
class Signature:
    """Who signs. The place and day of signing stay blank: they are the signer's."""

    lead: str
    role: str
    name: str
    nip: str


@dataclass(frozen=True)
class Frame:
    """What every document has: letterhead, title, number, signatures, running lines."""

    code: str
    title: str
    subtitle: str
    letterhead: Sequence[str]
    contact: Sequence[str]
    number: str
    month: str
    basis: str  # the moment it speaks of
    running: str  # on each page's top
    provenance: str  # on each page's foot: commit and manifest
    created: str  # ISO time of the evidence, for the PDF's own dates; empty without evidence
    signatures: tuple[Signature, ...] = field(default=())


@dataclass(frozen=True)
class Sheet:
    """A document for those who work with it: a summary and its sections, all of it restricted."""

    frame: Frame
    summary: str
    sections: tuple[Section, ...]
