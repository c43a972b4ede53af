"""Where a run came from: who, which commit, which inventory, which versions (for run.json)."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from compliance.inventory import Inventory
from inputs import paths


def describe(inventory: Inventory, selection: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of run.json that every kind of run has (docs/architecture.md)."""
    commit = _git("rev-parse", "HEAD")
    return {
        "court": inventory.court,
        "operator": f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{platform.node()}",
        "commit": commit or "unknown",
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
        "inventory_sha256": inventory.sha256,
        "selection": dict(selection),
        "estate": inventory.estate,
        "versions": {
            "tameng": _version(),
            "ansible": version("ansible-core"),
            "testinfra": version("pytest-testinfra"),
            "python": platform.python_version(),
        },
    }


def _version() -> str:
    """From pyproject.toml: the checkout itself is never installed."""
    with (paths.ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _git(*arguments: str) -> str:
    """git's answer, or nothing where this is no checkout. safe.directory: sudo is another user."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={paths.ROOT}", "-C", str(paths.ROOT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""
