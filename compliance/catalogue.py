"""The catalogue of controls and the SOP's 29 steps, read from data and checked as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from inputs import yamlfile
from inputs.errors import BadInput, Complaint
from inputs.yamlfile import Strict

HERE = Path(__file__).resolve().parent
CONTROLS = HERE / "controls"
SOP = HERE / "sop.yml"

Severity = Literal["tinggi", "sedang", "rendah"]
Every = Literal["day", "week", "month"]
Reference = Literal[
    "cis_debian13", "cis_debian12", "anssi_bp028", "iso27001", "bssn_4_2021", "cis_v8"
]
StepId = Annotated[str, StringConstraints(pattern=r"^[A-D][1-9]$")]
# A norm's paragraphs: one, or a list of them.
Places = Annotated[
    list[str], BeforeValidator(lambda at: [at] if isinstance(at, str) else at), Field(min_length=1)
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]


class Control(Strict):
    """One thing that must be true of a machine. ``id`` is family_statement, never reused."""

    id: Slug
    title: str = Field(min_length=5)
    why: str = Field(min_length=10)
    remedy: str = Field(min_length=5)
    sop: list[StepId] = Field(min_length=1)
    severity: Severity
    applies_to: list[Slug] = Field(min_length=1)
    enforced_by: Slug
    references: dict[Reference, Places] = Field(min_length=1)
    every: Every

    @property
    def family(self) -> str:
        return self.id.split("_", 1)[0]

    def applies(self, groups: Collection[str]) -> bool:
        """Whether a host of these inventory groups is asked."""
        return not set(groups).isdisjoint(self.applies_to)


class Step(Strict):
    """One row of the SOP; see sop.yml for what each field means."""

    id: StepId
    activity: str
    performer: str
    needs: str
    days: int | None = None
    monthly: bool = False
    output: str
    sure: dict[str, Literal["sure", "likely", "inferred"]]


class Sop(Strict):
    """The SOP as data; ``document`` is what its first page says."""

    document: dict[str, object]
    performers: dict[str, str]
    sections: dict[str, str]
    steps: list[Step]


@dataclass(frozen=True)
class Catalogue:
    """All controls in the order of their files, with the SOP they answer to."""

    controls: tuple[Control, ...]
    sop: Sop

    @cached_property
    def by_id(self) -> dict[str, Control]:
        return {control.id: control for control in self.controls}

    @cached_property
    def by_step(self) -> dict[str, list[Control]]:
        """Every step of the SOP in its order, with the controls that serve it (maybe none)."""
        return {s.id: [c for c in self.controls if s.id in c.sop] for s in self.sop.steps}

    @cached_property
    def sha256(self) -> str:
        """Over what every control says, whatever the layout of the files."""
        text = "\n".join(control.model_dump_json() for control in self.controls)
        return hashlib.sha256(text.encode()).hexdigest()

    def __iter__(self) -> Iterator[Control]:
        return iter(self.controls)


def load_sop(path: Path = SOP) -> Sop:
    return yamlfile.load(path, Sop)


def load(controls: Path = CONTROLS, sop: Path = SOP) -> Catalogue:
    """Read every family file. Raises BadInput naming file and line of each defect."""
    the_sop = load_sop(sop)
    steps = {step.id for step in the_sop.steps}
    found: dict[str, Control] = {}
    complaints: list[Complaint] = []
    files = sorted(controls.glob("*.yml"))
    if not files:
        raise BadInput.at(controls, 0, "no catalogue file (*.yml) in this folder")
    for file in files:
        data, lines = yamlfile.load_with_lines(file)
        try:
            family = yamlfile.validate(file, data, lines, list[Control])
        except BadInput as exc:
            complaints += exc.complaints
            continue
        for index, control in enumerate(family):
            line = lines[(index,)]
            if control.family != file.stem:
                what = f"{control.id}: the id must begin with the file's family, {file.stem}_"
                complaints.append(Complaint(file, line, what))
            if control.id in found:
                complaints.append(Complaint(file, line, f"{control.id}: this id is already used"))
            for step in control.sop:
                if step not in steps:
                    what = f"{control.id}: {step} is no step of the SOP"
                    complaints.append(Complaint(file, line, what))
            found[control.id] = control
    if complaints:
        raise BadInput(complaints)
    return Catalogue(tuple(found.values()), the_sop)
