"""A broken catalogue is refused with file, line and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance import catalogue
from inputs.errors import BadInput

CONTROL = """\
- id: ssh_one
  title: Judul kontrol
  why: Because somebody could come in.
  remedy: Terapkan peran.
  sop: [C5]
  severity: tinggi
  applies_to: [servers]
  enforced_by: ssh_server
  references: {iso27001: A.8.5}
  every: month
"""


def load(tmp_path: Path, text: str) -> catalogue.Catalogue:
    (tmp_path / "ssh.yml").write_text(text)
    return catalogue.load(tmp_path)


def test_a_whole_catalogue_is_read(tmp_path: Path) -> None:
    """Family, step and groups of a control."""
    known = load(tmp_path, CONTROL)
    control = known.by_id["ssh_one"]
    assert control.family == "ssh"
    assert [c.id for c in known.by_step["C5"]] == ["ssh_one"]
    assert known.by_step["D7"] == []
    assert control.applies({"all", "servers"})
    assert not control.applies({"endpoints"})


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("severity: tinggi", "severity: high", 6, "severity"),
        ("sop: [C5]", "sop: [E1]", 5, "sop"),
        ("sop: [C5]", "sop: [C5, A9]", 1, "no step of the SOP"),
        ("id: ssh_one", "id: Ssh-One", 1, "id"),
        ("id: ssh_one", "id: firewall_one", 1, "family"),
        ("every: month", "every: month\n  extra: 1", 11, "extra"),
        ("  every: month\n", "", 1, "every"),
        ("every: month", "every: month\n  every: day", 11, "twice"),
        ("references: {iso27001: A.8.5}", "references: {}", 9, "references"),
        ("title: Judul kontrol", "title: [", 4, "YAML"),
    ],
)
def test_defects_are_named(tmp_path: Path, old: str, new: str, line: int, what: str) -> None:
    """One defect each, with its line."""
    with pytest.raises(BadInput) as caught:
        load(tmp_path, CONTROL.replace(old, new))
    complaint = caught.value.complaints[0]
    assert complaint.file == tmp_path / "ssh.yml"
    assert complaint.line == line, str(complaint)
    assert what in complaint.what


def test_an_id_is_used_once(tmp_path: Path) -> None:
    """The second one is named by its line."""
    with pytest.raises(BadInput, match=r"ssh\.yml:11: ssh_one: this id is already used"):
        load(tmp_path, CONTROL + CONTROL)


def test_an_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    """Nothing to ask would be nothing to fail."""
    with pytest.raises(BadInput, match="no catalogue file"):
        catalogue.load(tmp_path)


def test_the_sop_has_twenty_nine_steps() -> None:
    """4 + 9 + 9 + 7, in the SOP's order."""
    steps = [step.id for step in catalogue.load_sop().steps]
    assert len(steps) == 29
    assert steps == sorted(steps)
