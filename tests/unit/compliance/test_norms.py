"""A norm counts each recommendation once: proven, void, decided or open. None leads astray."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance import catalogue, norms
from inputs.errors import BadInput

NORM = """\
norm: cis_debian13
title: A norm
version: "1"
aim: [L1, L2]
items:
  - {id: 1.1.1, level: L1, automated: true, about: one thing}
  - {id: 1.1.2, level: L2, automated: true, about: another, decision: otherwise}
  - {id: 2.1.1, level: L1, automated: true, about: a third}
  - {id: 2.1.4, level: L1, automated: true, about: a rival, decision: otherwise, void_by: ssh_one}
  - {id: 2.1.2, level: L1, automated: false, about: for a person}
  - {id: 2.1.3, level: workstation, automated: true, about: not for us}
"""
CONTROL = """\
- id: ssh_one
  title: Judul kontrol
  why: Because somebody could come in.
  remedy: Terapkan peran.
  sop: [C5]
  severity: tinggi
  applies_to: [servers]
  enforced_by: ssh_server
  references:
    iso27001: A.8.5
    cis_debian13: ["1.1.1", "2.1.2"]
  every: month
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one norm, and one with one family of controls."""
    for name, file, text in (("norms", "cis_debian13", NORM), ("controls", "ssh", CONTROL)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{file}.yml").write_text(text)
    return tmp_path


def covered(folder: Path) -> norms.Covered:
    norm = norms.load(folder / "norms")["cis_debian13"]
    return norms.cover(norm, catalogue.load(folder / "controls"))


def test_only_what_a_program_can_judge_counts(folder: Path) -> None:
    """Neither the manual one, though a control names it, nor the level not aimed at."""
    whole = covered(folder)
    assert whole.counted() == ["1.1.1", "1.1.2", "2.1.1", "2.1.4"]
    assert whole.counted("proven") == ["1.1.1"]
    assert whole.counted("decided") == ["1.1.2"]
    assert whole.counted("void") == ["2.1.4"]
    assert whole.counted("open") == ["2.1.1"]
    assert whole.counted("open", "1.1") == []
    assert whole.sections() == ["1.1", "2.1"]


def test_proven_and_decided_are_told_apart(folder: Path) -> None:
    """A decision never adds to what is proven, and what is void counts for nobody."""
    whole = covered(folder)
    assert round(whole.share("proven")) == 33
    assert round(whole.share("proven", "decided")) == 67
    data = whole.as_data()
    assert (data["automatable"], data["proven"], data["void"], data["decided"]) == (4, 1, 1, 1)
    assert data["open"] == ["2.1.1"]
    assert data["items"][4]["controls"] == ["ssh_one"]


@pytest.mark.parametrize(
    ("place", "says"),
    [("2.1.9", "cis_debian13 has no 2.1.9"), ("1.1.2", "1.1.2 is decided (otherwise)")],
)
def test_a_reference_that_leads_astray_is_named(folder: Path, place: str, says: str) -> None:
    """To nothing, or to what we decided not to do: with file and line."""
    file = folder / "controls/ssh.yml"
    file.write_text(CONTROL.replace("2.1.2", place))
    with pytest.raises(BadInput) as refused:
        norms.check(norms.load(folder / "norms"), folder / "controls")
    (complaint,) = refused.value.complaints
    assert (complaint.file, complaint.line) == (file, 11)
    assert says in complaint.what


def test_a_reference_that_leads_somewhere_is_fine(folder: Path) -> None:
    """Norms without a file here (ISO 27001) are not looked into."""
    norms.check(norms.load(folder / "norms"), folder / "controls")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("{id: 1.1.2,", "{id: 1.1.1,", 7, "already there"),
        ("level: L2", "level: 2", 7, "level"),
        ("{id: 2.1.1,", "{id: two,", 8, "id"),
        ("norm: cis_debian13", "norm: another", 1, "expected norm: cis_debian13"),
        ("automated: false, ", "", 10, "automated"),
        ("decision: otherwise", "decision: Not so", 7, "decision"),
        (", decision: otherwise, void", ", void", 9, "void by which decision"),
        ("aim: [L1, L2]", "aim: []", 4, "aim"),
    ],
)
def test_a_defect_is_named_with_its_line(
    folder: Path, old: str, new: str, line: int, says: str
) -> None:
    (folder / "norms/cis_debian13.yml").write_text(NORM.replace(old, new))
    with pytest.raises(BadInput) as refused:
        norms.load(folder / "norms")
    assert any(c.line == line and says in c.what for c in refused.value.complaints), refused.value


def test_the_three_norms_are_whole() -> None:
    """A line that is lost shows here; their publishers add none to a version that is out."""
    known = norms.load()
    counts = {n: (len(v.items), len(norms.cover(v, ()).counted())) for n, v in known.items()}
    assert counts == {
        "anssi_bp028": (80, 37),
        "cis_debian12": (312, 291),
        "cis_debian13": (342, 325),
    }
