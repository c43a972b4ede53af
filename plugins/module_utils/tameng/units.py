"""systemd units as they should be: masked, enabled, running, and running with today's files."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .shell import must

ASKED = "Id,LoadState,ActiveState,UnitFileState,StateChangeTimestamp,NeedDaemonReload"


@dataclass(frozen=True)
class Unit:
    """One unit. `watch` are the files it reads when it starts: when one of them is younger than the
    unit's last start or reload, the daemon runs with stale settings, whoever changed the file."""

    name: str
    enabled: bool | None = None
    active: bool | None = None
    masked: bool = False
    watch: tuple[str, ...] = ()
    by: str = "restart"  # or reload

    @classmethod
    def read(cls, item: dict[str, Any]) -> Unit:
        return cls(item["name"], item.get("enabled"), item.get("active"), bool(item.get("masked")),
                   tuple(item.get("watch") or ()), item.get("by") or "restart")


@dataclass
class Step:
    """One systemctl call, what it is for, and the call that takes it back."""

    argv: list[str]
    why: str
    undo: list[str] = field(default_factory=list)


def plan(units: list[Unit], touched: Iterable[Path] = ()) -> list[Step]:
    """What systemctl has to do; `touched` are files that are about to change."""
    if not units:
        return []
    now = _ask(units)
    steps = []
    if any(said["NeedDaemonReload"] == "yes" for said in now.values()):
        steps.append(Step(["daemon-reload"], "systemd: unit files read anew"))
    for unit in units:
        steps += _steps(unit, now[unit.name], tuple(touched))
    return steps


def apply(steps: list[Step]) -> None:
    for step in steps:
        must(["systemctl", "--quiet", *step.argv])


def _ask(units: list[Unit]) -> dict[str, dict[str, str]]:
    names = [unit.name for unit in units]
    # One call for all: an answer is a block of lines, blocks are parted by an empty line.
    out = must(["systemctl", "show", "--timestamp=us+utc", f"--property={ASKED}", *names]).out
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
              for block in out.strip().split("\n\n")]
    return dict(zip(names, blocks, strict=True))


def _steps(unit: Unit, now: dict[str, str], touched: tuple[Path, ...]) -> list[Step]:
    name, masked = unit.name, now["LoadState"] == "masked"
    if unit.masked:
        if masked:
            return []
        return [Step(["mask", "--now", name], f"{name}: masked", ["unmask", name])]
    steps = []
    if masked:
        steps.append(Step(["unmask", name], f"{name}: unmasked", ["mask", name]))
    if unit.enabled and now["UnitFileState"] != "enabled":
        steps.append(Step(["enable", name], f"{name}: enabled", ["disable", name]))
    if unit.enabled is False and now["UnitFileState"] == "enabled":
        steps.append(Step(["disable", name], f"{name}: disabled", ["enable", name]))
    if unit.active and now["ActiveState"] not in ("active", "reloading"):
        steps.append(Step(["start", name], f"{name}: started", ["stop", name]))
    elif unit.active is False and now["ActiveState"] == "active":
        steps.append(Step(["stop", name], f"{name}: stopped", ["start", name]))
    elif unit.active and (reason := _stale(unit, now, touched)):
        steps.append(Step([unit.by, name], f"{name}: {unit.by}ed, {reason}"))
    return steps


def _stale(unit: Unit, now: dict[str, str], touched: tuple[Path, ...]) -> str:
    loaded = _moment(now["StateChangeTimestamp"])
    for pattern in unit.watch:
        watched = [Path(found) for found in glob.glob(pattern)]
        for path in [*watched, *(inner for path in watched if path.is_dir() for inner in path.iterdir())]:
            if path.lstat().st_ctime > loaded:
                return f"{path} is younger than what it had read"
        for path in touched:
            if path.match(pattern) or any(path.is_relative_to(top) for top in watched):
                return f"{path} changes"
    return ""


def _moment(said: str) -> float:
    """``Sun 2026-11-22 16:30:12.123456 UTC`` in seconds; 0 for a unit that never changed."""
    if not said:
        return 0.0
    day, clock = said.split()[1:3]
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC).timestamp()
