"""The one way to say that something a person wrote cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Complaint:
    """One defect: where it stands and what was expected there.

    ``line`` counts from 1; 0 means the file as a whole.
    """

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{where}: {self.what}"


class BadInput(Exception):
    """Something a person wrote cannot be used; the command line prints it and exits 2."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = list(complaints)
        super().__init__("\n".join(str(c) for c in self.complaints))

    @classmethod
    def at(cls, file: Path, line: int, what: str) -> BadInput:
        return cls([Complaint(file, line, what)])
