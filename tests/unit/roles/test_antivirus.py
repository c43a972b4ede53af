"""The antivirus' program: what it takes away and what it can't be made to, what it scans, and what
becomes of a finding. The engine is played."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/antivirus/templates/usr/local/lib/tameng/antivirus"
NAMES = ["engine", "quarantine", "scanning", "rehearsal"]
BAD = b"malicious"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its modules, with a home of their own and an engine that knows one malicious word."""
    monkeypatch.syspath_prepend(str(PROGRAM))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    modules = SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    home = tmp_path / "home"
    for folder in (home, home / "quarantine", home / "tests"):
        folder.mkdir()
    monkeypatch.setattr(modules.quarantine, "HOME", home)
    monkeypatch.setattr(modules.quarantine, "KEPT", home / "quarantine")
    monkeypatch.setattr(modules.quarantine, "TESTS", home / "tests")
    monkeypatch.setattr(modules.quarantine, "RELEASED", tmp_path / "released.sfp")
    (tmp_path / "ours").write_text("")
    monkeypatch.setattr(modules.quarantine, "OURS", tmp_path / "ours")
    monkeypatch.setattr(modules.quarantine, "ROOM", 0)
    monkeypatch.setattr(modules.scanning, "STATE", home / "scan.json")
    monkeypatch.setattr(modules.engine, "ask", lambda *_: "ClamAV 1")
    monkeypatch.setattr(
        modules.engine, "look", lambda fd: "Bad-1" if BAD in os.pread(fd, 99, 0) else ""
    )
    yield modules
    for name in NAMES:
        del sys.modules[name]


def look(program: Any, path: Path, most: int = 10) -> Any:
    return program.quarantine.look(str(path), "scan", most)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "a b"
    path.parent.mkdir()
    path.write_bytes(BAD)
    path.chmod(0o640)
    return path


def test_it_is_put_away_with_a_record(
    program: Any, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = look(program, bad)
    assert not bad.exists()
    kept = program.quarantine.KEPT / record["id"]
    assert kept.read_bytes() == BAD
    assert kept.stat().st_mode & 0o077 == 0
    told = json.loads(capsys.readouterr().out)["antivirus"]
    assert (told["found"], told["path"], told["left"]) == ("Bad-1", str(bad), "")
    assert program.quarantine.waiting() == [record]


def test_what_is_clean_stays(program: Any, bad: Path) -> None:
    bad.write_bytes(b"fine")
    assert look(program, bad) is None
    assert bad.exists()


def test_nobody_has_another_file_taken_away(program: Any, bad: Path, tmp_path: Path) -> None:
    """By a link in the place of a file or of a folder on its way."""
    (tmp_path / "link").symlink_to(bad)
    with pytest.raises(OSError, match="symbolic"):
        look(program, tmp_path / "link")
    (tmp_path / "folder").symlink_to(bad.parent)
    assert "link" in look(program, tmp_path / "folder" / bad.name)["left"]
    assert bad.exists()


@pytest.mark.parametrize("most", [0])
def test_without_room_it_stays_and_is_told_of_once(
    program: Any, bad: Path, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = look(program, bad, most), look(program, bad, most)
    assert first["left"] == "the quarantine is full"
    assert first["id"] == second["id"]
    assert bad.exists()
    assert len(capsys.readouterr().out.splitlines()) == 1
    bad.unlink()
    assert not program.quarantine.waiting()


def test_two_that_find_it_at_once_have_one_record(
    program: Any, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard and the nightly scan."""
    quick = program.quarantine.removed

    def slow(*words: Any) -> None:
        monkeypatch.setattr(program.quarantine, "removed", quick)
        assert look(program, bad)
        quick(*words)

    monkeypatch.setattr(program.quarantine, "removed", slow)
    assert look(program, bad)
    assert len(program.quarantine.records()) == 1


def test_a_released_file_is_as_it_was(program: Any, bad: Path) -> None:
    shown = bad.stat()
    record = look(program, bad)
    program.quarantine.decide(record["id"], "release", "salah deteksi")
    now = bad.stat()
    assert bad.read_bytes() == BAD
    assert (now.st_mode, now.st_uid, now.st_mtime) == (shown.st_mode, shown.st_uid, shown.st_mtime)
    assert f"{record['sha256']}:{len(BAD)}:" in program.quarantine.RELEASED.read_text()
    (known,) = program.quarantine.records()
    assert (known["decided"]["what"], known["decided"]["why"]) == ("release", "salah deteksi")


def test_a_place_that_is_taken_is_not_overwritten(program: Any, bad: Path) -> None:
    record = look(program, bad)
    bad.write_bytes(b"newer")
    with pytest.raises(FileExistsError):
        program.quarantine.decide(record["id"], "release", "salah deteksi")
    assert bad.read_bytes() == b"newer"


def test_deletion_leaves_the_record_and_needs_a_reason(program: Any, bad: Path) -> None:
    record = look(program, bad)
    with pytest.raises(ValueError, match="why"):
        program.quarantine.decide(record["id"], "delete", " ")
    program.quarantine.decide(record["id"], "delete", "malware")
    assert not (program.quarantine.KEPT / record["id"]).exists()
    assert not program.quarantine.waiting()
    with pytest.raises(ValueError, match="nothing"):
        program.quarantine.decide(record["id"], "delete", "again")


def test_the_test_file_is_never_released(program: Any, bad: Path) -> None:
    record = look(program, bad)
    program.quarantine.OURS.write_text(f"{record['sha256']}:9:x\n")
    with pytest.raises(ValueError, match="test file"):
        program.quarantine.decide(record["id"], "release", "latihan")


def settings(top: Path, minutes: float = 10) -> dict[str, Any]:
    not_these = [str(top / "skipped")]
    return {"scanned": [str(top)], "scanned_not": not_these, "minutes": minutes,
            "quarantine_max": 10}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for name in ("a/x", "a/b/x", "c/x", "skipped/x"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(BAD if name == "c/x" else b"fine")
    (top / "loop").symlink_to(top)
    return top


def test_a_scan_comes_round(program: Any, tree: Path) -> None:
    assert program.scanning.scan(settings(tree)) == 0
    state = program.scanning.known()
    assert (state["files"], state["found"], state["cursor"]) == (4 - 1, 1, [])
    assert state["full"] > time.time() - 60


def test_what_a_night_does_not_do_the_next_one_does(
    program: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of time, or the engine went away: it goes on where it was."""
    assert program.scanning.scan(settings(tree, minutes=0)) == 0
    assert program.scanning.known()["trouble"] == "out of time"
    found = program.engine.look

    def away(fd: int) -> str:
        if BAD in os.pread(fd, 99, 0):
            raise program.engine.NoAnswer("away")
        return str(found(fd))

    monkeypatch.setattr(program.engine, "look", away)
    monkeypatch.setattr(program.engine, "answers", lambda: False)
    assert program.scanning.scan(settings(tree)) == 1
    state = program.scanning.known()
    assert (state["files"], Path(*state["cursor"]).name) == (2, "c")
    assert "full" not in state
    monkeypatch.setattr(program.engine, "look", found)
    assert program.scanning.scan(settings(tree)) == 0
    assert program.scanning.known()["files"] == 3


def test_a_ruined_state_begins_a_new_round(program: Any, tree: Path) -> None:
    program.scanning.STATE.write_text("{")
    assert program.scanning.scan(settings(tree)) == 0


def test_the_test_file_is_put_together_only_when_it_runs(program: Any) -> None:
    """Nothing of ours is found by an antivirus."""
    whole = program.rehearsal.eicar()
    assert len(whole) == 68
    for file in PROGRAM.glob("*.py"):
        assert whole not in file.read_bytes()
