"""The backup server's program: what it takes for odd, whom an escrow is for, what it cuts off."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = (
    Path(__file__).parents[3] / "roles/backup_server/templates/usr/local/lib/tameng/backup_server"
)
NOW = 1_795_000_000.0
# By `age -a -R`, for two SSH keys.
SEALED = "\n".join(
    [
        "-----BEGIN AGE ENCRYPTED FILE-----",
        "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNzaC1lZDI1NTE5IGc0MUhuQSBhYmMK",
        "ZGVmCi0+IHNzaC1lZDI1NTE5IG9OVlZCUSBhYmMKZGVmCi0tLSB4eXoKAAECAw==",
        "-----END AGE ENCRYPTED FILE-----",
    ]
)


@pytest.fixture(scope="module")
def program() -> Any:
    """It, with no clients of its own."""
    read = Path.read_text
    with pytest.MonkeyPatch.context() as patch:
        wanted = {"keep": {"daily": 7}, "oldest_hours": 80, "clients": {"app": {"quota": "1G"}}}
        patch.setattr(
            Path,
            "read_text",
            lambda self, *a, **k: (
                json.dumps(wanted) if self.name == "server.json" else read(self, *a, **k)
            ),
        )
        patch.setattr(sys, "dont_write_bytecode", True)
        loader = importlib.machinery.SourceFileLoader("backup_server", str(PROGRAM))
        spec = importlib.util.spec_from_loader("backup_server", loader)
        assert spec
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    return module


@pytest.fixture
def client(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose two archives the server has seen an hour ago."""
    monkeypatch.setattr(program, "STATE", tmp_path)
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr(time, "time", lambda: NOW)
    made = program.Client("app")
    made.note(archives=archives("app-1", "app-2"), watched=NOW - 3600, segment=9)
    return made


def archives(*names: str, at: float = NOW - 7200) -> dict[str, dict[str, Any]]:
    return {name: {"id": hashlib.sha256(name.encode()).hexdigest(), "time": at} for name in names}


def test_what_grows_is_right(client: Any) -> None:
    """New archives of the day are what it is there for."""
    assert not list(client.odd(archives("app-1", "app-2") | archives("app-3", at=NOW)))


def test_what_went_or_came_back_as_another_is_odd(client: Any) -> None:
    """Deleted, or deleted and made anew under the old name."""
    assert list(client.odd(archives("app-2"))) == ["archives vanished: 1 (app-1)"]
    other = archives("app-1", "app-2")
    other["app-2"]["id"] = "0" * 64
    assert list(client.odd(other)) == ["archives vanished: 1 (app-2)"]


@pytest.mark.parametrize("at", [NOW + 90_000, NOW - 400 * 86_400])
def test_a_date_that_cannot_be_is_odd(client: Any, at: float) -> None:
    """Archives of other days would make the retention throw away true ones."""
    found = list(client.odd(archives("app-1", "app-2") | archives("evil", at=at)))
    assert found == ["archives with a wrong date: 1 (evil)"]


def test_a_name_writes_no_line_of_its_own(client: Any) -> None:
    """It goes into the journal, where the early warning reads."""
    found = list(client.odd(archives("app-1", "app-2") | archives("x\nmonitor: gone", at=0)))
    assert "\n" not in found[0]


def test_what_is_pruned_is_known_by_its_id(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that is named after another doesn't take it along."""
    was = archives("app-1", "app-1 x")
    deleted: list[str] = []

    def borg(*words: str, **_: Any) -> str:
        if words[0] == "prune":
            doomed = was["app-1 x"]["id"]
            return f"Would prune:    app-1 x      Mon, 2026-11-23 12:10:00 [{doomed}]\n"
        if words[0] == "delete":
            deleted.extend(words[3:])
        return ""

    monkeypatch.setattr(client, "borg", borg)
    monkeypatch.setattr(client, "archives", lambda: {n: was[n] for n in was if n not in deleted})
    client.prune(was)
    assert deleted == ["app-1 x"]
    assert client.state["archives"].keys() == {"app-1"}


def test_nothing_is_compacted_when_more_went(
    program: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes while the server prunes."""
    words: list[str] = []

    def borg(*said: str, **_: Any) -> str:
        words.append(said[0])
        return ""

    monkeypatch.setattr(client, "borg", borg)
    monkeypatch.setattr(client, "archives", lambda: archives("app-2"))
    with pytest.raises(program.Trouble, match="app-1"):
        client.prune(archives("app-1", "app-2"))
    assert "compact" not in words
    assert client.state["odd"] == ["archives vanished: 1 (app-1)"]


def test_an_escrow_says_for_whom_it_is(program: Any) -> None:
    """By the tags of their keys."""
    assert program.recipients(SEALED) == ["g41HnA", "oNVVBQ"]
    assert program.recipients("") == []


def test_a_cut_leaves_nothing_later(program: Any, tmp_path: Path) -> None:
    """Segments and what is derived from them; copies that share the files keep theirs."""
    segments = tmp_path / "data/0"
    segments.mkdir(parents=True)
    for number in range(8):
        (segments / str(number)).touch()
    for kind in ("index", "hints", "integrity"):
        (tmp_path / f"{kind}.7").touch()
    program.Client.cut(tmp_path, 4)
    assert sorted(int(p.name) for p in segments.iterdir()) == [0, 1, 2, 3, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
