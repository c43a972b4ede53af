"""Fixtures of the tests that need real hosts, and so root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def lab() -> str:
    """The name of the lab that TAMENG_LAB says, up and as ``site.yml`` wants it. It is left up."""
    if os.geteuid() != 0:
        pytest.fail("the lab's tests boot real hosts: run them as root (sudo ./tameng test)")
    name = os.environ.get("TAMENG_LAB", "lab")
    playbook = Path(sys.executable).with_name("ansible-playbook")
    for step in (
        [sys.executable, "-m", "cli", "lab", "up"],
        [str(playbook), "playbooks/site.yml"],
    ):
        done = subprocess.run(step, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(step)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return name
