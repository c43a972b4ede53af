"""Back to what was before a moment: every way back since then, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import saved
from .saved import Saved
from .shell import Refused

STAMP = len("20261122T193142459")  # what run ids and saved states share, to the millisecond


def rollback(before: str, roles: list[str], check: bool) -> dict[str, Any]:
    """Undo the changes of these roles (all when none is named) that began at `before` or later, a
    UTC time as in a run's id. What a change installed or purged stays so, and is told. A way back
    that fails keeps none of the older ones from being gone, and the whole from being a success."""
    told: list[str] = []
    stays: list[str] = []
    failed: list[str] = []
    for change in since(before, roles):
        if change.armed():
            raise Refused(f"{change.folder.name} still waits for its confirmation; try in a minute")
        did = (change.folder / "changes").read_text().splitlines()
        told += [f"{change.folder.name}: {line}" for line in did]
        stays += [line for line in did if line.startswith("package ")]
        if check:
            continue
        try:
            change.restore()
        except Refused as exc:
            failed.append(f"{change.folder.name}: {exc}")
    if failed:
        raise Refused("; ".join(failed))
    return {"changed": bool(told), "changes": told, "stays": stays}


def since(before: str, roles: list[str]) -> list[Saved]:
    """The changes that stand, newest first."""
    folders = sorted(saved.HOME.glob("*Z-*"), reverse=True)
    found = [Saved(folder) for folder in folders if _digits(folder.name) >= _digits(before)]
    wanted = [one for one in found if not roles or one.kind in roles]
    return [one for one in wanted if not one.restored() and (one.folder / "changes").exists()]


def _digits(name: str) -> str:
    stamp = Path(name).name.partition("Z")[0].replace(".", "")
    return stamp[:STAMP].ljust(STAMP, "0")
