"""Every complaint about a YAML file carries its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from inputs import yamlfile
from inputs.errors import BadInput
from inputs.yamlfile import Strict


class Inner(Strict):
    number: int


class Outer(Strict):
    name: str
    items: list[Inner]


GOOD = "name: x\nitems:\n  - number: 1\n  - number: 2\n"


def complaint(tmp_path: Path, text: bytes) -> tuple[int, str]:
    path = tmp_path / "f.yml"
    path.write_bytes(text)
    with pytest.raises(BadInput) as caught:
        yamlfile.load(path, Outer)
    assert caught.value.complaints[0].file == path
    return caught.value.complaints[0].line, caught.value.complaints[0].what


def test_a_good_file_is_a_model(tmp_path: Path) -> None:
    """Frozen and typed."""
    (tmp_path / "f.yml").write_text(GOOD)
    loaded = yamlfile.load(tmp_path / "f.yml", Outer)
    assert [item.number for item in loaded.items] == [1, 2]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (GOOD.replace("number: 2", "number: two"), 4, "items.1.number"),
        (GOOD.replace("number: 2", "nummer: 2"), 4, "items.1"),
        (GOOD + "name: y\n", 5, "twice"),
        (GOOD.replace("items:", "items: [}"), 2, "YAML"),
        ("- a\n", 1, "the file"),
        ("", 1, "the file"),
        ("name: !!python/object:os.system x\n", 1, "YAML"),
    ],
)
def test_the_line_is_named(tmp_path: Path, text: str, line: int, what: str) -> None:
    """Wrong type, unknown key, key written twice, broken YAML, nothing at all, no code."""
    found = complaint(tmp_path, text.encode())
    assert found[0] == line, found
    assert what in found[1]


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    """A file in another encoding."""
    assert complaint(tmp_path, b"name: x\nitems: \xff\n") == (2, "expected UTF-8 text")


def test_all_defects_come_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one message at a time."""
    (tmp_path / "f.yml").write_text("name: 1\nitems: [{number: a}, {number: b}]\n")
    with pytest.raises(BadInput) as caught:
        yamlfile.load(tmp_path / "f.yml", Outer)
    assert len(caught.value.complaints) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Without a line: there is none."""
    with pytest.raises(BadInput, match=r"f\.yml: the file does not exist"):
        yamlfile.load(tmp_path / "f.yml", Outer)
