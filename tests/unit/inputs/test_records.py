"""What people recorded: written, read again, each defect named by its line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.__main__ import main
from inputs.errors import BadInput
from inputs.records import OCCURRENCES, OFFLINE_COPIES, OfflineCopy

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
    assert OCCURRENCES.load(court, PEOPLE) == {}
    assert record(court, "20261123-4", "--by", "dimas") == 0
    assert record(court, "20261124-5", "--by", "nurul") == 0
    found = OCCURRENCES.load(court, PEOPLE)
    assert list(found) == ["20261123-4", "20261124-5"]
    assert found["20261123-4"].note == 'Pegawai: "memindai" #printer baru'
    assert (found["20261124-5"].judged, found["20261124-5"].by) == ("harmless", "nurul")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["20261123-4", "--by", "siapa"], "siapa is not among the people"),
        (["no. 4", "--by", "dimas"], "warning: "),
        (["20261123-9", "--by", "dimas"], "is recorded already"),
    ],
)
def test_what_is_wrong_is_not_written(
    court: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    record(court, "20261123-9", "--by", "dimas")
    before = (court / OCCURRENCES.file).read_text()
    assert record(court, *words) == 2
    assert said in capsys.readouterr().err
    assert (court / OCCURRENCES.file).read_text() == before


def test_each_defect_is_named_by_its_line(court: Path) -> None:
    record(court, "20261123-4", "--by", "dimas")
    record(court, "20261123-5", "--by", "dimas")
    file = court / OCCURRENCES.file
    text = file.read_text().replace("20261123-5", "20261123-4").replace('"dimas"', "budi", 1)
    file.write_text(text)
    with pytest.raises(BadInput) as found:
        OCCURRENCES.load(court, PEOPLE)
    assert [complaint.line for complaint in found.value.complaints] == [7, 9]


def test_a_copy_has_a_holder_of_the_court(court: Path) -> None:
    copy = OfflineCopy.model_validate(
        {
            "name": "20261124-131500", "medium": "Disk A: \"biru\"", "place": "Brankas panitera",
            "holder": "nurul", "by": "dimas", "at": "2026-11-24T13:20:00Z",
        }
    )  # fmt: skip
    OFFLINE_COPIES.add(court, copy, PEOPLE)
    assert OFFLINE_COPIES.load(court, PEOPLE) == {"20261124-131500": copy}
    with pytest.raises(BadInput, match="nurul is not among"):
        OFFLINE_COPIES.load(court, {"dimas"})
