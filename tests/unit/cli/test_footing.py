"""What a machine lacks is said before anything is done, by Python's own library alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from cli import footing
from cli.footing import CannotBegin

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that lacks nothing: root, room, every tool, no lab, no .venv yet."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(footing, "STATE", tmp_path / "lib/tameng")
    monkeypatch.setattr(footing, "CACHE", tmp_path / "cache/tameng")
    monkeypatch.setattr(footing, "VENV", tmp_path / "checkout/.venv")
    free(monkeypatch, 100)


def free(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    usage = Usage(1 << 40, 0, int(gib * (1 << 30)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence by which the verb is refused."""
    assert footing.main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tameng: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("line", "touches", "raises"),
    [
        ("demo", True, True),
        ("test", True, True),
        ("test --keep", True, True),
        ("test unit lab", True, True),
        ("test unit kernel", True, True),
        ("test unit", False, False),
        ("test unit -k lab", False, False),
        ("lab up --name two", True, True),
        ("lab down --name up", True, False),
        ("lab ssh app", True, False),
        ("lab", True, False),
        ("lab up --help", False, False),
        ("audit --limit lab", False, False),
        ("", False, False),
    ],
)
def test_verbs_that_boot_hosts_are_known(line: str, touches: bool, raises: bool) -> None:
    """Root, tools and room are asked for by the verbs that need them and by no other."""
    assert footing.wants_lab(line.split()) is touches
    assert footing.raises_lab(line.split()) is raises


def test_a_whole_machine_misses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert footing.main(["demo"]) == 0
    assert capsys.readouterr().out == "\n"


def test_packages_are_named_once_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what the verb needs: reading a report takes no virtual machines."""
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert footing.main(["report", "2026-11"]) == 0
    few = capsys.readouterr().out.split()
    assert footing.main(["lab", "up"]) == 0
    many = capsys.readouterr().out.split()
    assert set(few) <= {"openssh-client", "python3-venv", "tzdata"}
    assert footing.main(["test", "kernel"]) == 0
    most = capsys.readouterr().out.split()
    assert set(most) > set(many) > set(few)
    assert len(most) == len(set(most))


@pytest.mark.parametrize("line", ["demo", "test", "lab up", "lab down"])
def test_only_root_boots_hosts(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "use sudo" in refusal(capsys, *line.split())


def test_a_full_disk_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Disk for the lab, disk for .venv; but what frees disk works on a full one."""
    free(monkeypatch, 5.9)
    assert f"6 GiB of disk under {tmp_path}/lib, and 5.9 GiB" in refusal(capsys, "demo")
    assert footing.main(["lab", "down"]) == 0
    free(monkeypatch, 0.5)
    capsys.readouterr()
    assert f".venv needs 1 GiB of disk under {tmp_path}/checkout" in refusal(capsys, "trace")
    footing.VENV.mkdir(parents=True)
    (footing.VENV / "lock").touch()
    assert footing.main(["lab", "down"]) == 0


def stands(name: str, subnet: str) -> None:
    folder = footing.STATE / name
    folder.mkdir(parents=True)
    (folder / "subnet").write_text(f"{subnet}\n")


def test_a_lab_keeps_its_subnet_and_takes_no_others() -> None:
    """A second lab on the first one's addresses would answer in its place."""
    stands("lab", "10.77")
    assert footing.subnet_of("lab", None, raising=True) == "10.77"
    assert footing.subnet_of("two", "10.78", raising=True) == "10.78"
    with pytest.raises(CannotBegin, match="belongs to the lab lab"):
        footing.subnet_of("two", None, raising=True)
    with pytest.raises(CannotBegin, match="take it down first"):
        footing.subnet_of("lab", "10.78", raising=True)
    assert footing.subnet_of("two", None, raising=False) == "10.77"


@pytest.mark.parametrize("subnet", ["10", "10.256", "8.8", "192.167", "172.32", "10.77.0.0/16"])
def test_only_private_networks_are_taken(subnet: str) -> None:
    with pytest.raises(CannotBegin, match="private network"):
        footing.subnet_of("lab", subnet, raising=True)


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "my-lab", "ninechars", "../lab"])
def test_a_name_must_fit_interfaces_and_folders(name: str) -> None:
    with pytest.raises(CannotBegin, match="one to eight small letters"):
        footing.subnet_of(name, None, raising=True)


def test_it_needs_nothing_but_python() -> None:
    """It is asked before there is a .venv: no site-packages."""
    python = shutil.which("python3") or sys.executable
    done = subprocess.run(
        [python, "-S", "-I", "-B", "-c", "import sys; sys.path.append('.'); import cli.footing"],
        cwd=Path(footing.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
