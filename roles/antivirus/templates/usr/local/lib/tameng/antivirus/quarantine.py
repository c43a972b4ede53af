"""Tameng, role antivirus: what is malicious is put away, with a record; released or deleted.

A record is a file of JSON; it stays when the thing itself is gone, for a year.
"""

import hashlib
import json
import os
import pwd
import secrets
import stat
import time
from contextlib import contextmanager
from pathlib import Path

import engine

HOME = Path("/var/lib/tameng-antivirus")
KEPT = HOME / "quarantine"
TESTS = HOME / "tests"  # names of files that a test is about to write
OURS = Path("/var/lib/clamav/tameng.hsb")
RELEASED = Path("/var/lib/clamav/tameng-released.sfp")
RETENTION = 365 * 86400
ROOM = 256 << 20  # left on the disk for others
PIECE = 1 << 20


def look(path, by, most):
    """Look at a file; put it away when it is malicious. Returns the record, None for a clean one.

    What was looked at, what is kept and what is taken away is one and the same open file."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        shown = os.fstat(fd)
        if not stat.S_ISREG(shown.st_mode) or not shown.st_size:
            return None
        found = engine.look(fd)
        return put_away(fd, path, shown, found, by, most) if found else None
    finally:
        os.close(fd)


def put_away(fd, path, shown, found, by, most):
    record = {
        "id": f"{time.strftime('%Y%m%d')}-{secrets.token_hex(3)}",
        "at": time.time(),
        "found": found,
        "path": str(path),
        "owner": name_of(shown.st_uid),
        "uid": shown.st_uid,
        "gid": shown.st_gid,
        "mode": stat.S_IMODE(shown.st_mode) & 0o777,
        "modified": shown.st_mtime,
        "bytes": shown.st_size,
        "device": shown.st_dev,
        "inode": shown.st_ino,
        "by": by,
        "left": "",
        "test": (TESTS / Path(path).name).exists(),
        "decided": None,
    }
    copy = KEPT / record["id"]
    try:
        room(shown.st_size, most)
        record["sha256"] = copied(fd, copy)
        try:
            removed(path, shown.st_dev, shown.st_ino)
        except FileNotFoundError:  # somebody was faster: perhaps the scan, which writes it down
            time.sleep(0.2)
            if twin := next((one for one in records() if same(one, record)), None):
                copy.unlink()
                return twin
    except OSError as problem:
        copy.unlink(missing_ok=True)
        record["left"] = problem.strerror or str(problem)
        record["sha256"] = digest(fd)
        for known in records():  # told once, not at each try to open it
            if known["left"] and same(known, record):
                return known
    try:
        write(record)
    finally:  # without room for a record, too, somebody is told
        say(record)
    return record


def same(one, other):
    return all(one[name] == other[name] for name in ("path", "device", "inode", "sha256"))


def room(size, most):
    """Raises where there is none."""
    held = sum(one.stat().st_size for one in KEPT.iterdir() if one.suffix != ".json")
    disk = os.statvfs(KEPT)
    if held + size > most << 20:
        raise OSError(28, "the quarantine is full")
    if disk.f_bavail * disk.f_frsize < size + ROOM:
        raise OSError(28, "the disk is full")


def copied(fd, copy):
    """Into the quarantine, whole or not at all; unreadable but to root. Returns the SHA-256."""
    sha = hashlib.sha256()
    out = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(out, "wb") as kept:
        os.lseek(fd, 0, os.SEEK_SET)
        while piece := os.read(fd, PIECE):
            sha.update(piece)
            kept.write(piece)
        kept.flush()
        os.fsync(kept.fileno())
    return sha.hexdigest()


def digest(fd):
    sha = hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    while piece := os.read(fd, PIECE):
        sha.update(piece)
    return sha.hexdigest()


@contextmanager
def folder_of(path):
    """Open, so that nobody puts a link in its place meanwhile."""
    parent = os.path.realpath(Path(path).parent)
    if parent != str(Path(path).parent):
        raise OSError(20, "a folder on the way is a link by now")
    folder = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if str(Path(f"/proc/self/fd/{folder}").readlink()) != parent:
            raise OSError(20, "a folder on the way is a link by now")
        yield folder
    finally:
        os.close(folder)


def removed(path, device, inode):
    """The file that was looked at, and no other that has its name by now."""
    with folder_of(path) as folder:
        now = os.stat(Path(path).name, dir_fd=folder, follow_symlinks=False)
        if (now.st_dev, now.st_ino) != (device, inode):
            raise OSError(116, "it was exchanged meanwhile")
        os.unlink(Path(path).name, dir_fd=folder)


def write(record):
    target = KEPT / f"{record['id']}.json"
    new = target.with_suffix(".new")
    new.write_text(json.dumps(record, sort_keys=True))
    new.replace(target)


def say(record):
    """Into the journal, by which the early warning hears of it."""
    told = ("id", "found", "path", "owner", "sha256", "by", "left", "test")
    print(json.dumps({"antivirus": {name: record[name] for name in told}}), flush=True)


def records():
    """Oldest first."""
    found = (json.loads(path.read_text()) for path in KEPT.glob("*.json"))
    return sorted(found, key=lambda record: record["at"])


def waiting():
    """What nobody decided about; what was left where it was counts while it is there."""
    return [
        record
        for record in records()
        if not record["decided"]
        and not record["test"]
        and (not record["left"] or Path(record["path"]).exists())
    ]


def decide(name, what, why):
    """`release` or `delete`; who did it is who logged in."""
    if not why.strip():
        raise ValueError("say why")
    record = next((one for one in waiting() if one["id"] == name), None)
    if not record:
        raise ValueError(f"{name}: nothing of this name waits")
    if what == "release":
        release(record)
    elif record["left"]:
        removed(record["path"], record["device"], record["inode"])
    (KEPT / name).unlink(missing_ok=True)
    who = os.environ.get("SUDO_USER") or name_of(os.getuid())
    record["decided"] = {"what": what, "who": who, "why": why, "at": time.time()}
    write(record)
    print(f"{what}d: {record['path']}")


def release(record):
    """The engine learns that it is none, and it goes back to where it was, if the place is free."""
    if record["sha256"] in OURS.read_text():
        raise ValueError("this is the test file, which has to be found")
    with RELEASED.open("a") as known:
        known.write(f"{record['sha256']}:{record['bytes']}:{record['id']}\n")
    RELEASED.chmod(0o644)
    engine.ask("RELOAD")
    if record["left"]:
        return
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with folder_of(record["path"]) as folder:
        out = os.open(Path(record["path"]).name, new, 0o600, dir_fd=folder)
    with os.fdopen(out, "wb") as back, (KEPT / record["id"]).open("rb") as kept:
        while piece := kept.read(PIECE):
            back.write(piece)
        back.flush()
        os.fchown(out, record["uid"], record["gid"])
        os.fchmod(out, record["mode"])
        os.utime(out, (record["modified"], record["modified"]))


def prune():
    for record in records():
        if record["at"] < time.time() - RETENTION and (record["decided"] or record["test"]):
            (KEPT / f"{record['id']}.json").unlink()


def name_of(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
