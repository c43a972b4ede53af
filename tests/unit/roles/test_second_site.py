"""The second site's program, over a folder: what was brought is there as it came, whoever asks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.test_backup import program  # noqa: F401 (a fixture)

SITE = Path(__file__).parents[3] / "roles/second_copy/templates/usr/local/lib/tameng/second_site"
OLD = time.time() - 90 * 86400


def ask(folder: Path, *words: str, stdin: bytes = b"", way: str = "argv") -> str:
    """What it answers; by ssh the words are the client's."""
    argv = [sys.executable, str(SITE), str(folder), *(words if way == "argv" else ())]
    environment = {**os.environ, "SSH_ORIGINAL_COMMAND": " ".join(words)}
    done = subprocess.run(argv, input=stdin, capture_output=True, env=environment, check=False)
    return (done.stdout + done.stderr).decode()


def bring(folder: Path, *texts: str) -> str:
    """These files, named by their place, and a list of them; its name."""
    listed = ""
    for number, text in enumerate(texts):
        told = hashlib.sha256(text.encode()).hexdigest()
        assert ask(folder, "put", "app", stdin=f"{told} {len(text)}\n{text}".encode()) == ""
        listed += f"{told}  repository/data/0/{number}\n"
    return ask(folder, "close", "app", stdin=listed.encode()).strip()


def blobs(folder: Path) -> list[Path]:
    return sorted(folder.glob("app/blobs/*/*"))


def test_what_was_brought_comes_back(tmp_path: Path) -> None:
    """By ssh as by hand, and an older list as the newest."""
    first = bring(tmp_path, "one", "two")
    bring(tmp_path, "three")
    assert ask(tmp_path, "get", "app", way="ssh").endswith(" 5 repository/data/0/0\nthree")
    assert ask(tmp_path, "get", "app", first).endswith(" 3 repository/data/0/1\ntwo")


def test_nobody_writes_over_it(tmp_path: Path) -> None:
    """Other bytes under a sum that is there are refused, and an empty list forgets nothing."""
    name = bring(tmp_path, "one")
    told = hashlib.sha256(b"one").hexdigest()
    assert "what came is not" in ask(tmp_path, "put", "app", stdin=f"{told} 3\nxxx".encode())
    ask(tmp_path, "close", "app")
    assert ask(tmp_path, "get", "app", name).endswith("one")


@pytest.mark.parametrize(
    "words",
    [("delete", "app"), ("put", "../app"), ("get", "app", "../../lists"), ("put",), ("sh", "-c")],
    ids=" ".join,
)
def test_it_does_nothing_else(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Neither another verb nor another place."""
    bring(tmp_path, "one")
    before = sorted(tmp_path.rglob("*"))
    assert ask(tmp_path, *words, way="ssh").startswith("second_site: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../../b", "a b"])
def test_a_list_names_no_other_place(tmp_path: Path, path: str) -> None:
    """Whoever writes it out again by the list writes below one folder only."""
    bring(tmp_path, "one")
    told = hashlib.sha256(b"one").hexdigest()
    assert "no line of a list" in ask(tmp_path, "close", "app", stdin=f"{told}  {path}\n".encode())


def test_a_list_is_of_what_is_there(tmp_path: Path) -> None:
    """Cut off in the middle, nothing of it counts."""
    told = hashlib.sha256(b"one").hexdigest()
    assert "what came is not" in ask(tmp_path, "put", "app", stdin=f"{told} 3\non".encode())
    said = ask(tmp_path, "close", "app", stdin=f"{told}  repository/config\n".encode())
    assert "1 of the list are not here" in said
    assert not blobs(tmp_path)


def test_what_changed_there_is_found_and_comes_anew(tmp_path: Path) -> None:
    """A disk that forgets: set aside, so that the next copy brings it again."""
    bring(tmp_path, "one", "two")
    blobs(tmp_path)[0].write_text("one" if blobs(tmp_path)[0].read_text() == "two" else "two")
    assert '"bad": ["repository/data/0/' in ask(tmp_path, "verify", "app")
    assert len(ask(tmp_path, "have", "app").split()) == 1
    bring(tmp_path, "one", "two")
    assert '"bad": []' in ask(tmp_path, "verify", "app")


def test_what_no_list_names_goes_late(tmp_path: Path) -> None:
    """After two months, and the newest list never."""
    bring(tmp_path, "one")
    bring(tmp_path, "two")
    assert len(blobs(tmp_path)) == 2
    for path in (*blobs(tmp_path), *tmp_path.glob("app/lists/*")):
        os.utime(path, (OLD, OLD))
    bring(tmp_path, "three")
    assert [path.read_text() for path in blobs(tmp_path)] == ["three"]
    os.utime(blobs(tmp_path)[0], (OLD, OLD))
    ask(tmp_path, "close", "app")
    assert [path.read_text() for path in blobs(tmp_path)] == ["three"]


@pytest.fixture
def site(program: Any, tmp_path: Path) -> Any:  # noqa: F811 (that fixture)
    """The backup server's side of it."""
    argv = [sys.executable, str(SITE), str(tmp_path / "site")]
    return program.Site({"command": argv, "rate_kib": 1 << 20, "hours": 74})


def test_the_backup_server_has_it_back_as_it_was(site: Any, tmp_path: Path) -> None:
    """What is held in memory and what lies in files, and nothing beside the repository."""
    segment = tmp_path / "1"
    segment.write_bytes(bytes(range(256)) * 4096)
    things = {sha(b"conf"): b"conf", sha(segment.read_bytes()): segment, sha(b"age"): b"age"}
    assert site.put("app", things) == segment.stat().st_size + 7
    names = ("repository/config", "repository/data/0/1", "escrow.age")
    listed = "".join(f"{told}  {name}\n" for told, name in zip(things, names, strict=True))
    site.ask("close", "app", stdin=listed, raw=True)
    half = tmp_path / "half"
    assert site.get("app", half)
    assert (half / "data/0/1").read_bytes() == segment.read_bytes()
    assert sorted(p.name for p in half.iterdir()) == ["config", "data"]
    assert not site.get("monitor", tmp_path / "none")


def test_a_damaged_copy_does_not_come_back(program: Any, site: Any, tmp_path: Path) -> None:  # noqa: F811
    """Rather no repository than one that nobody can read."""
    site.put("app", {sha(b"conf"): b"conf"})
    site.ask("close", "app", stdin=f"{sha(b'conf')}  repository/config\n", raw=True)
    (blob,) = (tmp_path / "site").glob("app/blobs/*/*")
    blob.write_bytes(b"fnoc")
    with pytest.raises(program.Trouble, match="damaged: repository/config"):
        site.get("app", tmp_path / "half")


def test_a_site_that_refuses_is_told_in_its_own_words(program: Any, site: Any) -> None:  # noqa: F811
    """Also where it ends while much is still to come."""
    things = {sha(b"x"): b"y" * (1 << 22)}
    with pytest.raises(program.Trouble, match="the second site: second_site: what came is not"):
        site.put("app", things)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
