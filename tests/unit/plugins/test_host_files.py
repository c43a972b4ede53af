"""Files on the host: what counts as different, and that nobody ever sees half of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.tameng import files
from plugins.module_utils.tameng.shell import Refused


def why(changes: list[files.Change]) -> list[str]:
    return [change.why.rpartition("/")[2] for change in changes]


def test_what_is_right_is_left_alone(tmp_path: Path, wanted: Any) -> None:
    """A second run must find nothing."""
    files.apply(files.compare([wanted("deep/er/a")], [])[0])
    assert (tmp_path / "deep/er/a").read_text() == "new\n"
    assert files.compare([wanted("deep/er/a")], [str(tmp_path / "none*")]) == []


def test_every_kind_of_difference_is_seen(tmp_path: Path, wanted: Any) -> None:
    """Content, mode, and a link that somebody put in a file's place."""
    (tmp_path / "content").write_text("old\n")
    (tmp_path / "mode").write_text("new\n")
    (tmp_path / "mode").chmod(0o666)
    (tmp_path / "link").symlink_to("/etc/hostname")
    changes = files.compare([wanted(name) for name in ("content", "mode", "link", "new")], [])
    assert why(changes) == [
        "content: content", "mode: owner or mode", "link: was no regular file", "new: created",
    ]  # fmt: skip
    assert (changes[0].diff["before"], changes[0].diff["after"]) == ("old\n", "new\n")
    for change in changes:
        files.apply(change)
    assert not (tmp_path / "link").is_symlink()
    assert Path("/etc/hostname").read_text() != "new\n"
    assert files.compare([wanted(name) for name in ("content", "mode", "link", "new")], []) == []


def test_a_file_of_somebody_else_gets_only_its_mode(tmp_path: Path, wanted: Any) -> None:
    """A host key: never its content, and nothing at all where there is none."""
    key = wanted("key", content=None, mode="0600")
    assert files.compare([key], []) == []
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o644)
    changes = files.compare([key], [])
    assert "secret" not in str(changes[0].diff)
    files.apply(changes[0])
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").read_text() == "secret"


def test_unwanted_files_go_by_pattern(tmp_path: Path) -> None:
    """A dangling link is there too."""
    (tmp_path / "a.old").write_text("x")
    (tmp_path / "b.old").symlink_to("nowhere")
    changes = files.compare([], [str(tmp_path / "*.old")])
    assert why(changes) == ["a.old: removed", "b.old: removed"]
    for change in changes:
        files.apply(change)
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_file_is_refused_with_its_programs_words(tmp_path: Path, wanted: Any) -> None:
    """The program sees the new content, not the old, and nothing is written."""
    changes = files.compare([wanted("a", validate="! grep -H new %s")], [])
    with pytest.raises(Refused, match=r"would be invalid, nothing was changed: .*new"):
        files.validate(changes, installed=True)
    assert list(tmp_path.iterdir()) == []


def test_check_mode_says_what_it_could_not_validate(wanted: Any) -> None:
    """Before the packages are there; afterwards a missing program is an error."""
    changes = files.compare([wanted("a", validate="no-such-program %s")], [])
    assert "not validated" in files.validate(changes, installed=False)[0]
    with pytest.raises(Refused):
        files.validate(changes, installed=True)


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full."""
    (tmp_path / "a").write_text("old\n")
    change = files.compare([wanted("a")], [])[0]

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.apply(change)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old\n")]


def test_a_directory_in_the_way_is_refused(tmp_path: Path, wanted: Any) -> None:
    """Removing a tree is nothing that a role decides by itself."""
    (tmp_path / "a").mkdir()
    with pytest.raises(Refused, match="is a directory"):
        files.compare([wanted("a")], [])
