"""Tameng, role antivirus: the nightly scan. One file at a time; what a night doesn't do the next
one goes on with, so a scan is *full* when it has come round."""

import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import engine
import quarantine

STATE = quarantine.HOME / "scan.json"
LARGEST = 100 << 20  # the engine doesn't look at larger files
# File systems that aren't this machine's own, or are the kernel's.
ELSEWHERE = {"autofs", "bpf", "cgroup2", "cifs", "debugfs", "devpts", "devtmpfs", "fuse", "mqueue",
             "nfs", "nfs4", "proc", "securityfs", "smb3", "sysfs", "tracefs"}  # fmt: skip
NOTHING = {"files": 0, "bytes": 0, "large": 0, "unread": 0, "found": 0}


def scan(settings):
    """Exit 0 when it looked as long as it may, 1 when the engine went away."""
    state = known()
    if not state.get("cursor"):
        state |= {"began": time.time(), "cursor": [], **NOTHING}
    until = time.monotonic() + 60 * settings["minutes"]
    skipped = {*settings["scanned_not"], str(quarantine.HOME), *elsewhere()}
    began, trouble = time.time(), ""
    with suppress(engine.NoAnswer):
        state |= {"official": None} | engine.version()
    for top in separate(settings["scanned"]):
        for folder in folders(top, skipped, state["cursor"]):
            state["cursor"] = list(folder.parts)
            if time.monotonic() > until:
                trouble = "out of time"
                break
            try:
                look_into(folder, state, settings["quarantine_max"])
            except engine.NoAnswer as problem:
                trouble = str(problem)
                break
        if trouble:
            break
    if not trouble:
        state |= {"cursor": [], "full": time.time(), "took": time.time() - state["began"]}
    state |= {"last": began, "last_seconds": time.time() - began, "trouble": trouble}
    quarantine.prune()
    keep(state)
    print(json.dumps({"scan": {name: state[name] for name in [*NOTHING, "trouble"]}}), flush=True)
    return trouble not in ("", "out of time")


def look_into(folder, state, most):
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        try:
            shown = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(shown.st_mode):
                continue
            if shown.st_size > LARGEST:
                state["large"] += 1
                continue
            state["found"] += quarantine.look(entry.path, "scan", most) is not None
            state["files"] += 1
            state["bytes"] += shown.st_size
        except engine.NoAnswer as problem:
            if not engine.answers():
                raise
            state["unread"] += 1
            print(f"{entry.path!r}: not looked at: {problem}", flush=True)
        except OSError:  # gone meanwhile, or nobody's to read
            state["unread"] += 1


def folders(top, skipped, cursor):
    """A folder before those in it, by name: so that a scan knows what it has behind it."""
    if top in skipped:
        return
    path = Path(top)
    parts = list(path.parts)
    if parts < cursor[: len(parts)]:
        return
    if parts >= cursor:
        yield path
    try:
        inner = sorted(
            entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)
        )
    except OSError:
        return
    for name in inner:
        yield from folders(str(path / name), skipped, cursor)


def separate(tops):
    """Sorted, without what lies in another."""
    chosen = []
    for top in sorted(tops, key=lambda one: Path(one).parts):
        if not any(Path(top).is_relative_to(one) for one in chosen):
            chosen.append(top)
    return chosen


def elsewhere():
    lines = Path("/proc/self/mounts").read_text().splitlines()
    kinds = {line.split()[1]: line.split()[2].partition(".")[0] for line in lines}
    return {path for path, kind in kinds.items() if kind in ELSEWHERE}


def known():
    try:
        return json.loads(STATE.read_text())
    except (OSError, ValueError):  # none yet, or it is ruined: a new round
        return {}


def keep(state):
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(state, sort_keys=True))
    new.replace(STATE)
