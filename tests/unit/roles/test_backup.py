"""The backup server's program: what it takes for odd, whom an escrow is for, what it cuts off."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = (
    Path(__file__).parents[3] / "roles/backup_server/templates/usr/local/lib/tameng/backup_server"
)
CLIENT = PROGRAM.parents[6] / "backup/templates/usr/local/lib/tameng/backup"
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


def loaded(path: Path, wanted: dict[str, Any]) -> Any:
    """A program of a role, on a machine that is told this."""
    read = Path.read_text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Path,
            "read_text",
            lambda self, *a, **k: (
                json.dumps(wanted) if self.suffix == ".json" else read(self, *a, **k)
            ),
        )
        patch.setattr(sys, "dont_write_bytecode", True)
        loader = importlib.machinery.SourceFileLoader(path.name, str(path))
        spec = importlib.util.spec_from_loader(path.name, loader)
        assert spec
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def program() -> Any:
    """The server's, with no clients of its own."""
    wanted = {"keep": {"daily": 7}, "oldest_hours": 80, "clients": {"app": {"quota": "1G"}}}
    return loaded(PROGRAM, wanted)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Traceback (most recent call last):\nFileNotFoundError: index.46", 3),
        ("Connection closed by remote host", 1),
    ],
)
def test_what_is_just_being_written_is_read_again(
    monkeypatch: pytest.MonkeyPatch, said: str, asked: int
) -> None:
    """borg falls over an index that a run has just replaced; a server that is away stays away."""
    client = loaded(CLIENT, {"repository": "ssh://tameng-backup/repository", "name": "app"})
    tries: list[tuple[str, ...]] = []

    def borg(*argv: str, **_: Any) -> str:
        tries.append(argv)
        raise subprocess.CalledProcessError(2, "borg", stderr=said)

    monkeypatch.setattr(client, "run", borg)
    monkeypatch.setattr(client.time, "sleep", lambda _: None)
    with pytest.raises(subprocess.CalledProcessError):
        client.look("--json")
    assert len(tries) == asked


def test_what_an_archive_lacks_is_asked_once_for_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another archive is another question, and so are other wishes; a full disk is no answer."""
    wanted = {"sources": [], "expected": ["/etc/hosts"], "proofs": []}
    wanted |= {"mariadb": [], "postgresql": [], "sqlite": []}
    client = loaded(CLIENT, wanted | {"repository": "ssh://tameng-backup/repository"})
    asked: list[str] = []

    def borg(*argv: str) -> str:
        asked.append(argv[-1])
        return "etc/hosts\n"

    monkeypatch.setattr(client, "look", borg)
    monkeypatch.setattr(client, "KNOWN", tmp_path / "newest.json")
    one, other = {"id": "1", "name": "app-1"}, {"id": "2", "name": "app-1"}
    lacking = [f"/{str(client.PROOF)[1:]}"]
    assert client.lacks(one) == client.lacks(one) == lacking
    assert client.lacks(other) == lacking
    assert len(asked) == 2
    monkeypatch.setattr(client, "WANTED", wanted | {"expected": ["/a", "/etc/hosts"]})
    assert client.lacks(other) == ["/a", *lacking]
    (tmp_path / "newest.json").write_text('{"id"')
    assert client.lacks(other) == ["/a", *lacking]
    monkeypatch.setattr(client, "KNOWN", tmp_path / "nowhere/newest.json")
    assert client.lacks(other) == ["/a", *lacking]
    assert len(asked) == 5


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


def test_an_archive_of_tomorrow_is_not_the_newest(program: Any, client: Any) -> None:
    """Who forges a date would else pass for fresh for as long as he likes."""
    now = archives("app-1") | archives("evil", at=NOW + 400 * 86_400)
    assert program.newest_of(now) == "app-1"
    assert program.latest(now) == NOW - 7200
    assert program.latest(archives("evil", at=NOW + 400 * 86_400)) is None


def test_what_is_accepted_bears_the_day_on_which_it_came(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the server's clock, so that the retention counts it where it belongs."""
    now = archives("app-1", "app-2") | archives("evil", at=NOW + 400 * 86_400)
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(client, "archives", lambda: now)
    monkeypatch.setattr(client, "borg", lambda *words, **_: said.append(words))
    client.note(came={"evil": NOW - 86_400})
    client.accept()
    ((*_, at, name),) = said
    assert (at, name) == (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW - 86_400)), "::evil")
    assert client.state["archives"].keys() == now.keys()


def held(client: Any) -> Path:
    """A lock of another host on the repository."""
    lock: Path = client.repository / "lock.exclusive/elsewhere@1.7-0"
    lock.parent.mkdir(parents=True)
    lock.touch()
    return lock


def test_a_lock_goes_when_its_holder_is_not_at_work(
    program: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken from nobody who is; who only waits for it holds none, nor does he keep it."""
    lock, roster = held(client), client.repository / "lock.roster"
    roster.write_text('{"shared": [["elsewhere@1", 7, 0], ["elsewhere@1", 9, 0]]}')
    monkeypatch.setattr(program, "run", lambda *_, **__: "7\n4711\n")
    client.unlock()
    assert lock.exists()
    assert roster.exists()
    whole = roster.read_text()
    monkeypatch.setattr(program, "run", lambda *_, **__: "4711\n")
    roster.write_text(whole[:20])
    client.unlock()
    assert roster.exists(), "half written: it may be of who is at work"
    roster.write_text(whole)
    client.unlock()
    assert not lock.parent.exists()
    assert not roster.exists()


def test_a_lock_that_came_meanwhile_stays(
    program: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody came between the look at the locks and the look at the processes."""
    lock = held(client)
    newer = lock.with_name("elsewhere@1.8-0")
    monkeypatch.setattr(program, "run", lambda *_, **__: newer.write_text("") * "")
    client.unlock()
    assert newer.exists()
    assert not lock.exists()


def failing(program: Any, told: str) -> Any:
    """borg, that finds this."""

    def borg(*_: str, **__: Any) -> str:
        trouble = program.Trouble(f"borg ended with 1: {told.splitlines()[-1]}")
        trouble.told = told
        raise trouble

    return borg


def test_a_check_names_the_damaged_segments(
    program: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what borg says of them; that a client is at work is no fault of its repository."""
    found = (
        "Data integrity error: Segment entry checksum mismatch [segment 12, offset 489]\n"
        "ID: 32e9 rebuilt index: <not found>      committed index: (7, 394081)\n"
        "Finished full repository check, errors found.\n"
    )
    client.kept.touch()
    client.note(check={"at": 1, "good": True})
    monkeypatch.setattr(client, "borg", failing(program, "Failed to create/acquire the lock /x"))
    with pytest.raises(program.Trouble, match="acquire the lock"):
        client.verify(data=False)
    assert client.state["check"] == {"at": 1, "good": True}
    monkeypatch.setattr(client, "borg", failing(program, found))
    with pytest.raises(program.Trouble, match="damaged: 7, 12"):
        client.verify(data=False)
    assert client.state["check"]["damaged"] == [7, 12]


@pytest.mark.parametrize("good", [True, False])
def test_a_copy_that_mends_nothing_is_taken_back(
    program: Any, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    """The disk's segment stays only where a check of every byte says so: after a rewind another one
    may bear its number."""
    ours, theirs = client.repository / "data/0/7", tmp_path / "disk/tameng/app/repository/data/0/7"
    for path, text in ((ours, "damaged"), (theirs, "as it was")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    sums = f"{program.digest(theirs)}  repository/data/0/7\n"
    (tmp_path / "disk/tameng/app/SHA256SUMS").write_text(sums)
    client.note(check={"good": False, "said": "x", "damaged": [7]})
    monkeypatch.setitem(program.WANTED, "disk", str(tmp_path / "disk"))
    monkeypatch.setattr(program.shutil, "chown", lambda *_: None)

    def verify(data: bool) -> None:
        assert data
        assert ours.read_text() == "as it was"
        if not good:
            raise program.Trouble("still")

    monkeypatch.setattr(client, "verify", verify)
    if good:
        client.heal()
    else:
        with pytest.raises(program.Trouble, match="still"):
            client.heal()
    assert ours.read_text() == ("as it was" if good else "damaged")


def test_nothing_is_pruned_while_a_repository_is_damaged(
    program: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What still can be read may be all that is left."""
    client.kept.touch()
    client.note(check={"good": False, "said": "segments of its repository are damaged: 7"})
    monkeypatch.setattr(client, "archives", lambda: archives("app-1", "app-2", at=NOW))
    monkeypatch.setattr(client, "surge", lambda _: [])
    monkeypatch.setattr(client, "prune", lambda _: pytest.fail("it pruned"))
    with pytest.raises(program.Trouble, match="nothing is pruned"):
        client.watch()


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
    monkeypatch.setattr(client, "archives", lambda *_: {n: was[n] for n in was if n not in deleted})
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
    monkeypatch.setattr(client, "archives", lambda *_: archives("app-2"))
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
