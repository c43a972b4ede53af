"""The two commands on a bare machine: Debian with git, sudo and python3, and a fresh clone.

The trees are the lab's own (Debian 12 and 13), each run in a container that shares this machine's
network. A refusal is one sentence, exit 2, and leaves nothing.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Debian's name, its Python, the lab's host that stands on its tree
DEBIANS = {"trixie": ("3.13", "pc-1"), "bookworm": ("3.11", "pc-2")}
HOME = "home/tameng/tameng"
OFFLINE = ("--private-network",)
# nspawn keeps its locks in a folder of this run alone; so do the lab's machines.
NSPAWN = """mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
exec systemd-nspawn "$@" """
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Bare:
    """A machine as the installer left it, and what is done on it in ``upper``."""

    name: str
    below: str  # overlayfs' lowerdir
    upper: Path
    options: tuple[str, ...]

    def run(self, *words: str, user: str = "tameng", having: tuple[str, ...] = ()) -> Said:
        """Run a command in the clone as ``user``; ``having`` are more options of nspawn."""
        for folder in ("upper", "work", "root"):
            (self.upper / folder).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={self.below},upperdir={self.upper}/upper,workdir={self.upper}/work"
        # The overlay lives in the mount namespace of this one command: nothing to unmount.
        script = f"mount -t overlay overlay -o {layers} {self.upper}/root\n{NSPAWN}"
        nspawn = ["--quiet", "--register=no", "--keep-unit", "--pipe", f"--machine={self.name}"]
        nspawn += [f"--directory={self.upper}/root", "--resolv-conf=replace-host", f"--user={user}"]
        nspawn += [f"--chdir=/{HOME}", *self.options, *having]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", *nspawn, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def changed(self) -> set[str]:
        """What is new in the clone and where a lab keeps its own."""
        places = (HOME, "var/lib/tameng", "var/cache/tameng")
        found = (path for place in places for path in (self.upper / "upper" / place).rglob("*"))
        # What came and went left a mark of overlayfs, a device.
        return {str(path) for path in found if not path.is_char_device()}


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    def worked(self) -> None:
        """Exit 0."""
        if self.status:
            pytest.fail(f"exit {self.status}: {self.out[-3000:]}{self.err[-1000:]}")

    def refused(self, *parts: str) -> None:
        """Exit 2 and one sentence on standard error that has these parts."""
        assert self.status == 2, self
        assert re.fullmatch(r"tameng: [^\n]+\n", self.err), self
        for part in parts:
            assert part in self.err, self


def pip_settings() -> dict[str, str]:
    """Where and how this machine's pip fetches, from its files and its environment."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.partition("=")[::2] for line in listed.splitlines())
    return {name.rpartition(".")[2]: ast.literal_eval(value) for name, value in pairs}


def clone(to: Path) -> None:
    """HEAD's history with the files as they lie here, and nothing that git ignores."""
    subprocess.run(["git", "clone", "-q", "--no-checkout", ROOT, to], check=True)
    subprocess.run(["git", "reset", "-q"], cwd=to, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (ROOT / name).exists():  # not deleted since HEAD
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    for path in (to, *to.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)


def furnish(name: str, tree: str, folder: Path) -> Bare:
    """Git, pip's settings of here and a clone: what the user brings along."""
    settings = pip_settings()
    cert = settings.get("cert")
    machine = Bare(name, tree, folder, (f"--bind-ro={cert}",) if cert else ())
    upper = folder / "upper"
    clone(upper / HOME)
    os.chown(upper / "home/tameng", 1000, 1000)
    (upper / "etc").mkdir()
    (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    written = configparser.RawConfigParser()
    written["global"] = settings
    with (upper / "etc/pip.conf").open("w") as file:
        written.write(file)
    for named in map(Path, settings.values()):  # a file of constraints
        if named.is_absolute() and named.is_file() and str(named) != cert:
            there = upper / named.relative_to("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(named, there)
    machine.run(
        "sh",
        "-ec",
        "apt-get update -q; apt-get install -yq --no-install-recommends git",
        user="root",
        having=("--setenv=DEBIAN_FRONTEND=noninteractive",),
    ).worked()
    return machine


@pytest.fixture(scope="module")
def furnished(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bare]]:
    plan = Path("/var/lib/tameng", lab, "plan").read_text().splitlines()
    trees = {host: tree for host, tree, *_ in (line.split() for line in plan)}
    folder = tmp_path_factory.mktemp("bare")
    yield both(lambda name: furnish(name, trees[DEBIANS[name][1]], folder / name), DEBIANS)
    shutil.rmtree(folder)


@pytest.fixture
def bare(furnished: list[Bare], tmp_path: Path) -> Iterator[list[Bare]]:
    """Both machines, fresh for each test."""
    yield [
        Bare(m.name, f"{m.upper}/upper:{m.below}", tmp_path / m.name, m.options) for m in furnished
    ]
    shutil.rmtree(tmp_path)


def both(do: Callable[[T], R], machines: Iterable[T]) -> list[R]:
    """Do it on all side by side; what fails on one fails here."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(do, machines))


def test_a_fresh_clone_needs_one_sudo(bare: list[Bare]) -> None:
    """Missing packages are named; one run with sudo installs them and builds .venv by the Debian's
    own Python; from then on the user needs neither root nor, for the unit tests, a network."""

    def first_day(machine: Bare) -> None:
        machine.run("./tameng", "trace").refused("python3-venv", "run this once with sudo")
        assert machine.changed() == set()

        installs = machine.run("sudo", "./tameng", "lab", "status")
        assert installs.out.splitlines()[0].startswith("installing Debian packages: ")
        assert installs.out.splitlines()[-1] == "lab lab is not up", installs
        assert installs.err == ""
        python = DEBIANS[machine.name][0]
        assert (machine.upper / "upper" / HOME / f".venv/lib/python{python}").is_dir()

        again = machine.run("./tameng", "trace", having=OFFLINE)
        again.worked()
        assert again.err == ""
        assert "of 29 steps" in again.out
        # In seconds of a processor: others may use this machine too.
        timed = "TIMEFORMAT='%U %S'; time ./tameng test unit"
        tests = machine.run("bash", "-c", timed, having=OFFLINE)
        tests.worked()
        assert sum(float(seconds) for seconds in tests.err.split()[-2:]) < 60

    both(first_day, bare)


def test_without_root_no_host_is_raised(bare: list[Bare]) -> None:
    def refuses(machine: Bare) -> None:
        for verb in (["demo"], ["test"], ["lab", "up"]):
            machine.run("./tameng", *verb).refused("only root may", "use sudo")
        assert machine.changed() == set()

    both(refuses, bare)


def test_a_full_disk_is_found_before_anything_is_done(bare: list[Bare]) -> None:
    """Too little under /var for the hosts, then too little in the clone for .venv."""

    def refuses(machine: Bare) -> None:
        for place in ("/var/lib", "/var/cache"):
            small = (f"--tmpfs={place}/tameng:size=100M",)
            said = machine.run("./tameng", "demo", user="root", having=small)
            said.refused(f"6 GiB of disk under {place}")
            assert said.out == ""
        full = ("--tmpfs=/tmp:size=100M,mode=1777",)
        said = machine.run(
            "sh", "-c", f"cp -r /{HOME} /tmp/clone && /tmp/clone/tameng trace", having=full
        )
        said.refused("1 GiB of disk under /tmp/clone")
        assert machine.changed() == set()

    both(refuses, bare)


def test_without_a_network_it_says_what_is_missing(bare: list[Bare]) -> None:
    """First for apt, then, with the packages there, for pip; no half-built .venv stays."""

    def refuses(machine: Bare) -> None:
        said = machine.run("sudo", "./tameng", "trace", having=OFFLINE)
        said.refused("apt could not install python3-venv", "the network does not answer")
        machine.run("sudo", "apt-get", "install", "-yq", "python3-venv").worked()
        said = machine.run("./tameng", "trace", having=(*OFFLINE, "--setenv=PIP_RETRIES=1"))
        said.refused("pip could not install requirements.lock", "the network does not answer")
        assert machine.changed() == set()

    both(refuses, bare)


def test_without_a_python_it_says_which(bare: list[Bare], tmp_path: Path) -> None:
    """None at all, and one that is too old (played by a script)."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" != -V ] || echo Python 3.9.2\n[ "$1" = -V ]\n')
    old.chmod(0o755)

    def refuses(machine: Bare) -> None:
        none = ("--bind-ro=/dev/null:/usr/bin/python3",)
        machine.run("./tameng", "demo", having=none).refused("python3 is missing")
        said = machine.run("./tameng", "demo", having=(f"--bind-ro={old}:/usr/bin/python3",))
        said.refused("Python 3.11 or newer is needed", "3.9.2")

    both(refuses, bare)
