"""court.yml: the file of this checkout's courts, and what is refused in it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from inputs import court
from inputs.errors import BadInput

INVENTORIES = Path(__file__).parents[3] / "inventory"
LAB = INVENTORIES / "lab" / "court.yml"


@pytest.mark.parametrize("name", ["lab", "penajam"])
def test_each_court_of_this_checkout_is_sound(name: str) -> None:
    """Each performer of the SOP is filled today and through the year."""
    loaded = court.load(INVENTORIES / name)
    for performer in ("operator", "kasubbag", "kabag", "sekretaris", "ketua"):
        assert loaded.holder(performer, dt.date(2026, 11, 22)), performer


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"197403122000031002"', "197403122000031002", "valid string"),
        ('"197403122000031002"', '"19740312200003100"', "18 digits"),
        ('"197403122000031002"', '"197413122000031002"', "birth date"),
        ('"197403122000031002"', '"197403122000131002"', "month of appointment"),
        ('"197403122000031002"', '"197403121980031002"', "before the age of 16"),
        ('"197403122000031002"', '"197403122000033002"', "1 (man) or 2 (woman)"),
        ('"197403122000031002"', '"197908252003122001"', "the same NIP as arman"),
        ("{person: dimas,", "{person: nobody,", "nobody is not in people"),
        ("since: 2021-01-04}", "since: 2021-01-04, until: 2020-01-01}", "lies before since"),
        ("acting: Plt.", "acting: Plx.", "'Plh.' or 'Plt.'"),
        ("timezone: Asia/Makassar", "timezone: Asia/Penajam", "IANA time zone"),
        ("email: pa-penajam@pta", "email: pa-penajam at pta", "pattern"),
        ("workdays: [1, 2, 3, 4, 5]", "workdays: [1, 8]", "less than or equal to 7"),
        ("{date: 2027-01-01,", "{date: 2026-12-25,", "2026-12-25 is listed twice"),
        ("name: Pengadilan Agama Penajam\n", "", "name: Field required"),
        ("place: Penajam", "place: Penajam\nplace: Balikpapan", "'place' is written twice"),
        ("place: Penajam", "place: [Penajam", "not YAML"),
    ],
)
def test_a_defect_is_named_with_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Whoever edits the file finds the place, not a traceback."""
    text = LAB.read_text()
    assert old in text
    (tmp_path / "court.yml").write_text(text.replace(old, new, 1))
    with pytest.raises(BadInput) as refused:
        court.load(tmp_path)
    (complaint,) = [c for c in refused.value.complaints if says in c.what]
    assert complaint.file.name == "court.yml"
    assert 0 < complaint.line <= text.count("\n")


def test_the_line_is_the_defects_own(tmp_path: Path) -> None:
    text = LAB.read_text().replace("{person: dimas,", "{person: nobody,")
    (tmp_path / "court.yml").write_text(text)
    line = text[: text.index("nobody")].count("\n") + 1
    with pytest.raises(BadInput, match=rf"court\.yml:{line}: nobody is not in people"):
        court.load(tmp_path)


def test_two_holders_at_once_are_refused(tmp_path: Path) -> None:
    """Who signs must never be a matter of luck."""
    one = "  operator:\n"
    text = LAB.read_text().replace(one, one + "    - {person: nurul, since: 2020-01-01}\n")
    (tmp_path / "court.yml").write_text(text)
    with pytest.raises(BadInput, match="two holders of operator at once"):
        court.load(tmp_path)


def test_a_stand_in_goes_before_the_holder_while_it_lasts(tmp_path: Path) -> None:
    line = "    - {person: sri, since: 2023-01-02}\n"
    away = "    - {person: nurul, acting: Plh., since: 2026-11-10, until: 2026-11-20}\n"
    (tmp_path / "court.yml").write_text(LAB.read_text().replace(line, line + away))
    loaded = court.load(tmp_path)

    def who(day: int) -> str:
        held = loaded.holder("sekretaris", dt.date(2026, 11, day))
        assert held
        return held[0].person

    assert [who(9), who(10), who(20), who(21)] == ["sri", "nurul", "nurul", "sri"]


def test_days_off_are_named() -> None:
    calendar = court.load(LAB.parent).calendar
    assert calendar.day_off(dt.date(2026, 12, 25)) == "Hari Raya Natal"
    assert calendar.day_off(dt.date(2026, 11, 22)) == "akhir pekan"
    assert calendar.day_off(dt.date(2026, 11, 23)) is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"court\.yml: the file does not exist"):
        court.load(tmp_path)
