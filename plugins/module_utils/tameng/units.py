"""systemd units as they should be: masked, enabled, running, and running with today's files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .files import matching
from .shell import Refused, must, run

ASKED = "Id,LoadState,ActiveState,UnitFileState,StateChangeTimestamp,NeedDaemonReload"
CGROUPS = Path("/sys/fs/cgroup")
PID_1 = "1"
# One that waits to start again by itself (its server is away) needs no second start.
RUNNING = ("active", "reloading", "activating")


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
        return cls(
            item["name"],
            item.get("enabled"),
            item.get("active"),
            bool(item.get("masked")),
            tuple(item.get("watch") or ()),
            item.get("by") or "restart",
        )


@dataclass
class Step:
    """One systemctl call, what it is for, the call that takes it back, and the one that tells the
    daemon when the old files are back."""

    argv: list[str]
    why: str
    undo: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


def plan(units: list[Unit], touched: Iterable[Path] = ()) -> list[Step]:
    """What systemctl has to do; `touched` are files that are about to change."""
    if not units:
        return []
    now = _ask(units)
    steps = []
    # Of a masked unit with a drop-in systemd 252 says so for ever.
    read = [said for said in now.values() if said["LoadState"] != "masked"]
    if any(said["NeedDaemonReload"] == "yes" for said in read):
        steps.append(Step(["daemon-reload"], "systemd: unit files read anew"))
    for unit in units:
        steps += _steps(unit, now[unit.name], tuple(touched))
    return steps


def apply(steps: list[Step]) -> None:
    """Make the calls; a failed one is told with the unit's own last words."""
    for step in steps:
        done = run(["systemctl", "--quiet", *step.argv])
        if not done.ok and step.argv[0] == "start" and _end_forgotten(step.argv[-1]):
            done = run(["systemctl", "--quiet", *step.argv])
        if not done.ok:
            words = done.err.strip() or _last_words(step.argv[-1])
            raise Refused(f"`{done.command}` failed: {words}")


@contextmanager
def unstarted(units: list[Unit]) -> Iterator[None]:
    """Debian starts what a package brings. What will be masked doesn't run in between, nor does it
    leave what it makes when it starts."""
    names = [unit.name for unit in units if unit.masked]
    if not names:
        yield
        return
    must(["systemctl", "--quiet", "--runtime", "mask", *names])
    try:
        yield
    finally:
        must(["systemctl", "--quiet", "--runtime", "unmask", *names])


def _last_words(name: str) -> str:
    """What the unit's processes said last; systemd's own lines tell only that it failed."""
    said = run(["journalctl", "-q", "-n", "20", "-o", "json", "-u", name]).out.splitlines()
    lines = [json.loads(line) for line in said]
    own = [line for line in lines if line.get("_PID") != PID_1] or lines
    return " / ".join(str(line.get("MESSAGE")) for line in own[-3:])


def _end_forgotten(name: str) -> bool:
    """systemd 257 forgets a running unit when an alias of it comes back (`systemctl disable`, then
    `enable`): a start then fails, as the old process holds the port. Only after that start may it
    be ended: before, systemd would crash. Returns whether there was one."""
    group = must(["systemctl", "show", "--property=ControlGroup", "--value", name]).out.strip()
    listed = CGROUPS / (group or f"system.slice/{name}").lstrip("/") / "cgroup.procs"
    pids = listed.read_text().split() if listed.exists() else []
    # Those that systemd started itself; what they started in turn may be our own session.
    left = [int(pid) for pid in pids if Path(f"/proc/{pid}/stat").read_text().split()[3] == PID_1]
    for pid in left:
        os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in left):
            break
        time.sleep(0.1)
    run(["systemctl", "reset-failed", name])
    return bool(left)


def _ask(units: list[Unit]) -> dict[str, dict[str, str]]:
    names = [unit.name for unit in units]
    # One call for all: an answer is a block of lines, blocks are parted by an empty line.
    out = must(["systemctl", "show", "--timestamp=us+utc", f"--property={ASKED}", *names]).out
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in out.strip().split("\n\n")
    ]
    return dict(zip(names, blocks, strict=True))


def _steps(unit: Unit, now: dict[str, str], touched: tuple[Path, ...]) -> list[Step]:
    name, masked = unit.name, now["LoadState"] == "masked"
    if unit.masked:
        if masked:
            return []
        # Stopped only if it runs: a stop goes on to its parts (fail2ban is one of firewalld).
        runs = now["ActiveState"] in RUNNING
        # Started again by the way back, if it ran: last, with its old files.
        again = ["start", name] if runs else []
        mask = ["mask", *(["--now"] if runs else []), name]
        return [Step(mask, f"{name}: masked", ["unmask", name], again)]
    steps = []
    if masked:
        steps.append(Step(["unmask", name], f"{name}: unmasked", ["mask", name]))
    active = now["ActiveState"] in RUNNING
    if unit.enabled and now["UnitFileState"] != "enabled":
        if active:
            # systemd 257 forgets that a unit runs when enabling brings an alias of it back.
            steps.append(
                Step(["stop", name], f"{name}: stopped to enable it", again=["start", name])
            )
            active = False
        steps.append(Step(["enable", name], f"{name}: enabled", ["disable", name]))
    if unit.enabled is False and now["UnitFileState"] == "enabled":
        steps.append(Step(["disable", name], f"{name}: disabled", ["enable", name]))
    if unit.active and not active:
        steps.append(Step(["start", name], f"{name}: started", ["stop", name]))
    elif unit.active is False and active:
        steps.append(Step(["stop", name], f"{name}: stopped", again=["start", name]))
    elif unit.active and (reason := _stale(unit, now, touched)):
        again = ["reload-or-restart" if unit.by == "reload" else "restart", name]
        steps.append(Step([unit.by, name], f"{name}: {unit.by}ed, {reason}", again=again))
    return steps


def _stale(unit: Unit, now: dict[str, str], touched: tuple[Path, ...]) -> str:
    loaded = _moment(now["StateChangeTimestamp"])
    for pattern in unit.watch:
        watched = matching(pattern)
        inner = [path for folder in watched if folder.is_dir() for path in folder.iterdir()]
        for path in watched + inner:
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
