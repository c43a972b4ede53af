"""A lab begins only where nothing is in its way, and says plainly what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import footing


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab ``lab`` stands on 10.77."""
    monkeypatch.setattr(footing, "STATE", tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/subnet").write_text("10.77\n")


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        ("two", None, "10.77 belongs to the lab lab"),
        ("two", "10.300", "private network"),
        ("two", "8.8", "private network"),
        ("two", "10.78.0", "private network"),
        ("lab", "10.78", "stands on 10.77"),
        ("Lab", None, "one to eight small letters"),
        ("../x", None, "one to eight small letters"),
        ("ninechars", None, "one to eight small letters"),
    ],
)
def test_what_cannot_begin_is_refused(name: str, wanted: str | None, message: str) -> None:
    """Names become paths and interface names, subnets become routes: neither is taken on trust."""
    with pytest.raises(footing.CannotBegin, match=message):
        footing.subnet_of(name, wanted, raising=True)


@pytest.mark.usefixtures("standing")
def test_the_subnet_is_where_the_lab_stands() -> None:
    """A second verb needs no --subnet; a lab that is only taken down minds no neighbour."""
    assert footing.subnet_of("lab", None, raising=True) == "10.77"
    assert footing.subnet_of("two", "10.78", raising=True) == "10.78"
    assert footing.subnet_of("two", None, raising=False) == "10.77"


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little disk is said before the trees are begun, not by their failure."""
    monkeypatch.setattr(footing, "ROOM", 1 << 60)
    with pytest.raises(footing.CannotBegin, match="GiB of disk under /var/lib"):
        footing.check_room()
