"""What people judged of warnings: written, read again, each defect named by its line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.__main__ import main
from inputs import occurrences
from inputs.errors import BadInput

ROOT = Path(__file__).parents[3]
PEOPLE = {"dimas", "nurul"}


@pytest.fixture
def court(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "inventory/lab/court.yml", tmp_path)
    return tmp_path


def record(court: Path, *words: str) -> int:
    note = ["--note", 'Pegawai: "memindai" #printer baru', "--judged", "harmless"]
    return main(["record", "occurrence", "-i", str(court), *note, *words])


def test_what_is_recorded_is_read_again(court: Path) -> None:
    """Two of them, whatever signs the note has."""
    assert occurrences.load(court, PEOPLE) == {}
    assert record(court, "20261123-4", "--by", "dimas") == 0
    assert record(court, "20261124-5", "--by", "nurul") == 0
    found = occurrences.load(court, PEOPLE)
    assert list(found) == ["20261123-4", "20261124-5"]
    assert found["20261123-4"].note == 'Pegawai: "memindai" #printer baru'
    assert (found["20261124-5"].judged, found["20261124-5"].by) == ("harmless", "nurul")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["20261123-4", "--by", "siapa"], "siapa is not among the people"),
        (["no. 4", "--by", "dimas"], "warning: "),
        (["20261123-9", "--by", "dimas"], "is judged already"),
    ],
)
def test_what_is_wrong_is_not_written(
    court: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    record(court, "20261123-9", "--by", "dimas")
    before = (court / occurrences.FILE).read_text()
    assert record(court, *words) == 2
    assert said in capsys.readouterr().err
    assert (court / occurrences.FILE).read_text() == before


def test_each_defect_is_named_by_its_line(court: Path) -> None:
    record(court, "20261123-4", "--by", "dimas")
    record(court, "20261123-5", "--by", "dimas")
    file = court / occurrences.FILE
    text = file.read_text().replace("20261123-5", "20261123-4").replace("by: dimas", "by: budi", 1)
    file.write_text(text)
    with pytest.raises(BadInput) as found:
        occurrences.load(court, PEOPLE)
    assert [complaint.line for complaint in found.value.complaints] == [7, 9]
