"""Files as they should be: compared, validated, written so that no reader sees half of one."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .shell import Refused, run

SHOWN = 100_000  # characters of a file that a diff may carry


@dataclass(frozen=True)
class Wanted:
    """One path: `content` None means that only owner and mode are ours, as for a host key (and the
    path may be a pattern). A `directory` is made when it is missing."""

    path: Path
    content: str | None
    mode: int
    owner: str
    group: str
    validate: str | None = None
    directory: bool = False

    @classmethod
    def read(cls, item: dict[str, Any]) -> Wanted:
        return cls(
            Path(item["path"]),
            item.get("content"),
            int(item["mode"], 8),
            item["owner"],
            item["group"],
            item.get("validate"),
            item["path"].endswith("/"),
        )

    @property
    def ids(self) -> tuple[int, int]:
        try:
            return pwd.getpwnam(self.owner).pw_uid, grp.getgrnam(self.group).gr_gid
        except KeyError as exc:
            raise Refused(f"{self.path}: {exc.args[0]}") from exc


@dataclass(frozen=True)
class Change:
    """What is to happen to one path, and why."""

    path: Path
    wanted: Wanted | None  # None: remove it
    why: str
    diff: dict[str, str]


def compare(wanted: list[Wanted], absent: list[str]) -> list[Change]:
    """Every path that isn't as it should be. Patterns in `absent` are expanded on the host."""
    changes = [change for item in wanted for one in _expanded(item) if (change := _differs(one))]
    for pattern in absent:
        for path in matching(pattern):
            changes.append(Change(path, None, f"{path}: removed", _diff(path, _text(path), "")))
    return changes


def matching(pattern: str) -> list[Path]:
    """The paths that an absolute pattern names, dangling links among them."""
    return sorted(Path("/").glob(pattern.lstrip("/")))


def _expanded(item: Wanted) -> list[Wanted]:
    if item.content is not None or not set("*?[") & set(str(item.path)):
        return [item]
    return [replace(item, path=path) for path in matching(str(item.path))]


def _differs(item: Wanted) -> Change | None:
    path = item.path
    try:
        now = path.lstat()
    except FileNotFoundError:
        if item.content is None and not item.directory:
            return None
        return Change(path, item, f"{path}: created", _diff(path, "", item.content or ""))
    if item.directory and not stat.S_ISDIR(now.st_mode):
        raise Refused(f"{path} is no directory")
    if item.content is not None:
        if stat.S_ISDIR(now.st_mode):
            raise Refused(f"{path} is a directory; a file belongs there")
        if not stat.S_ISREG(now.st_mode):
            return Change(path, item, f"{path}: was no regular file", _diff(path, "", item.content))
        if path.read_bytes() != item.content.encode():
            return Change(path, item, f"{path}: content", _diff(path, _text(path), item.content))
    elif not (stat.S_ISREG(now.st_mode) or stat.S_ISDIR(now.st_mode)):
        raise Refused(f"{path} is neither a file nor a directory")
    before = (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid)
    after = (item.mode, *item.ids)
    if before != after:
        shown = [f"mode {mode:04o}, owner {uid}:{gid}\n" for mode, uid, gid in (before, after)]
        return Change(path, item, f"{path}: owner or mode", _diff(path, *shown))
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:SHOWN]
    except OSError:
        return ""


def _diff(path: Path, before: str, after: str) -> dict[str, str]:
    return {
        "before_header": str(path),
        "after_header": str(path),
        "before": before,
        "after": after[:SHOWN],
    }


def validate(changes: list[Change], installed: bool) -> list[str]:
    """Ask each file's own program whether it would take the new content. Returns what nobody could
    be asked about, which is only allowed before the packages are installed (in check mode)."""
    unasked = []
    for change in changes:
        item = change.wanted
        if item is None or item.content is None or item.validate is None:
            continue
        # Beside the file: elsewhere AppArmor may not let the program read (chronyd, for one).
        beside = item.path.parent if item.path.parent.is_dir() else None
        with tempfile.NamedTemporaryFile(
            "w", prefix=".tameng-", suffix=item.path.suffix, dir=beside
        ) as staged:
            staged.write(item.content)
            staged.flush()
            done = run(item.validate.replace("%s", shlex.quote(staged.name)))
        if done.status == 127 and not installed:
            unasked.append(f"{item.path}: not validated, its program isn't installed yet")
        elif not done.ok:
            raise Refused(f"{item.path} would be invalid, nothing was changed: {done.said()}")
    return unasked


def apply(change: Change) -> None:
    """Make one change, by renaming a complete file into place."""
    item = change.wanted
    if item is None:
        change.path.unlink(missing_ok=True)
        return
    if item.content is None:
        if item.directory:
            item.path.mkdir(parents=True, exist_ok=True)
        os.chown(item.path, *item.ids)
        item.path.chmod(item.mode)
        return
    item.path.parent.mkdir(parents=True, exist_ok=True)
    # A dot file: neither sshd's *.conf, nor apt's, nor systemd's unit loader reads it meanwhile.
    handle, name = tempfile.mkstemp(prefix=".tameng-", dir=item.path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(item.content.encode())
            out.flush()
            os.fchown(out.fileno(), *item.ids)
            os.fchmod(out.fileno(), item.mode)
            os.fsync(out.fileno())
        temporary.replace(item.path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
