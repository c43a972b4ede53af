"""Which recommendations the norms have, and which of them are proven, void, decided or still open.

*Proven*: a control of the catalogue names it. *Decided*: it is deliberately not done as written;
docs/how-to/decisions.md says what stands instead. *Void*: decided, too, but it speaks of a tool
(one of several rivals, or one that no host needs), and a control proves that it does nothing here.
A recommendation is one of these, never two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from compliance.catalogue import CONTROLS, Control, Slug
from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Strict

NORMS = Path(__file__).resolve().parent / "norms"

Level = Literal["L1", "L2", "workstation", "minimal", "intermediary", "enhanced", "high"]
Coverage = Literal["proven", "void", "decided", "open"]


class Recommendation(Strict):
    """One paragraph of a norm; ``automated`` is its publisher's word: a program can judge it."""

    id: Annotated[str, StringConstraints(pattern=r"^(R\d+|\d+(\.\d+){2,})$")]
    level: Level
    automated: bool
    about: str = Field(min_length=3)
    decision: Slug | None = None
    void_by: Slug | None = None  # the control that proves idle what it speaks of

    @property
    def section(self) -> str:
        """``1.1`` of ``1.1.2.3``; the level where a norm numbers straight through."""
        return ".".join(self.id.split(".")[:2]) if "." in self.id else self.level


class Norm(Strict):
    """One file: ``aim`` names the levels that count, the others are there to be referred to."""

    norm: Slug
    title: str
    version: str
    aim: list[Level] = Field(min_length=1)
    items: list[Recommendation] = Field(min_length=1)

    @cached_property
    def by_id(self) -> dict[str, Recommendation]:
        return {item.id: item for item in self.items}


@dataclass(frozen=True)
class Covered:
    """A norm beside the catalogue; ``proven_by`` has the controls that name a recommendation."""

    norm: Norm
    proven_by: Mapping[str, list[str]]

    def state(self, item: Recommendation) -> Coverage:
        if item.id in self.proven_by:
            return "proven"
        if item.void_by:
            return "void"
        return "decided" if item.decision else "open"

    def counted(self, state: Coverage | None = None, section: str | None = None) -> list[str]:
        """Ids of what a program can judge, on the levels aimed at, in this state and section."""
        return [
            item.id
            for item in self.norm.items
            if item.automated
            and item.level in self.norm.aim
            and state in (None, self.state(item))
            and section in (None, item.section)
        ]

    def sections(self) -> list[str]:
        return list(dict.fromkeys(self.norm.by_id[i].section for i in self.counted()))

    def share(self, *states: Coverage) -> float:
        """Percent of what counts and isn't void that is in one of these states."""
        all_of_it = len(self.counted()) - len(self.counted("void"))
        return 100 * sum(len(self.counted(state)) for state in states) / all_of_it

    def as_data(self) -> dict[str, Any]:
        """Everything, for another program; the counts are of what counts, the items are all."""
        return {
            **self.norm.model_dump(exclude={"items"}),
            "automatable": len(self.counted()),
            "proven": len(self.counted("proven")),
            "void": len(self.counted("void")),
            "decided": len(self.counted("decided")),
            "open": self.counted("open"),
            "items": [
                {
                    **item.model_dump(),
                    "state": self.state(item),
                    "controls": self.proven_by.get(item.id, []),
                }
                for item in self.norm.items
            ],
        }


def names(folder: Path = NORMS) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.yml"))


def load(folder: Path = NORMS) -> dict[str, Norm]:
    """Read every norm. Raises BadInput naming file and line of each defect."""
    found: dict[str, Norm] = {}
    complaints: list[Complaint] = []
    for file in (folder / f"{name}.yml" for name in names(folder)):
        data, lines = yamlfile.load_with_lines(file)
        norm = yamlfile.validate(file, data, lines, Norm)
        if norm.norm != file.stem:
            complaints.append(Complaint(file, lines[("norm",)], f"expected norm: {file.stem}"))
        seen: set[str] = set()
        for index, item in enumerate(norm.items):
            line = lines[("items", index)]
            if item.id in seen:
                complaints.append(Complaint(file, line, f"{item.id} is already there"))
            if item.void_by and not item.decision:
                complaints.append(Complaint(file, line, f"{item.id}: void by which decision?"))
            seen.add(item.id)
        found[norm.norm] = norm
    if complaints:
        raise BadInput(complaints)
    return found


def cover(norm: Norm, controls: Iterable[Control]) -> Covered:
    """Fold the catalogue's references into the norm."""
    proven_by: dict[str, list[str]] = {}
    for control in controls:
        for name, places in control.references.items():
            for place in places if name == norm.norm else ():
                proven_by.setdefault(place, []).append(control.id)
    return Covered(norm, proven_by)


def check(norms: Mapping[str, Norm], controls: Path = CONTROLS) -> None:
    """Raise BadInput with the line of each reference that leads nowhere, or to a decision."""
    complaints = [c for file in sorted(controls.glob("*.yml")) for c in _astray(file, norms)]
    if complaints:
        raise BadInput(complaints)


def _astray(file: Path, norms: Mapping[str, Norm]) -> Iterator[Complaint]:
    data, lines = yamlfile.load_with_lines(file)
    for index, control in enumerate(yamlfile.validate(file, data, lines, list[Control])):
        for name, places in control.references.items():
            if name not in norms:
                continue
            for position, place in enumerate(places):
                line = yamlfile.line_of(lines, (index, "references", name, position))
                item = norms[name].by_id.get(place)
                if item is None:
                    yield Complaint(file, line, f"{control.id}: {name} has no {place}")
                elif item.decision:
                    what = f"{control.id}: {name} {place} is decided ({item.decision}): either or"
                    yield Complaint(file, line, what)
