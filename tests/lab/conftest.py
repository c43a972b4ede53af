"""Fixtures of the tests that need real hosts, and so root."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.watching import ROOT, ansible_playbook


@pytest.fixture(scope="session")
def lab_limit() -> str | None:
    """The hosts that TAMENG_LAB_LIMIT names, to try a change on a small lab; all without it."""
    return os.environ.get("TAMENG_LAB_LIMIT")


@pytest.fixture(scope="session")
def lab(lab_limit: str | None) -> str:
    """The name of the lab that TAMENG_LAB says: up, as ``site.yml`` wants it, with a snapshot of
    just that, so that a test can put back what it broke. It is left up."""
    if os.geteuid() != 0:
        pytest.fail("the lab's tests boot real hosts: run them as root (sudo ./tameng test)")
    name = os.environ.get("TAMENG_LAB", "lab")
    tameng = [sys.executable, "-m", "cli", "lab"]
    limit = ["--limit", lab_limit] if lab_limit else []
    _run([*tameng, "up", *limit])
    applied = ansible_playbook("playbooks/site.yml", *limit).stdout
    layers = list(Path("/var/lib/tameng", name).glob("*/layers/*"))
    if not layers or re.search(r"changed=[1-9]", applied):
        _run([*tameng, "snapshot", *limit])
    return name


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
