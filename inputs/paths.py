"""Where things lie: the checkout, an inventory, and what the runs of a court leave behind."""

from __future__ import annotations

import os
from pathlib import Path

from inputs.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent


def inventory(court: str) -> Path:
    """The inventory folder named on the command line: ``lab``, ``penajam``, or a path."""
    folder = Path(court) if "/" in court else ROOT / "inventory" / court
    if not folder.is_dir():
        known = ", ".join(sorted(p.name for p in (ROOT / "inventory").iterdir() if p.is_dir()))
        raise BadInput.at(folder, 0, f"no such inventory; this checkout has: {known}")
    return folder.resolve()


def court_id(folder: Path) -> str:
    """The court's short name. Several labs share one inventory, so the lab's is TAMENG_LAB."""
    return os.environ.get("TAMENG_LAB") or "lab" if folder.name == "lab" else folder.name


def var(court: str) -> Path:
    """``var/<court>/``: runs, documents, and (in a lab) its keys."""
    return ROOT / "var" / court
