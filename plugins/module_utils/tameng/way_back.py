"""Old files: copied beside a change, and the shell lines that bring them back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from .files import Change
from .shell import must

# Several roles' folders: the first makes them, and the last to go leaves them empty.
SHARED = {Path("/etc/tameng"), Path("/usr/local/lib/tameng")}
# An account has a line in each, and people come and go between a run and its rollback.
ACCOUNTS = {Path("/etc", name) for name in ("passwd", "shadow", "group", "gshadow")}
# Of the lists as the run made it (m), as it is now (c) and as it was (the last): what the run added
# or altered is as it was; who has come, gone or been changed since then stays so.
BY_ACCOUNT = r"""
FILENAME == ARGV[1] { m[$1] = $0 }
FILENAME == ARGV[2] { c[$1] = $0; order[++n] = $1 }
FILENAME == ARGV[3] {
    was[$1]
    if (!($1 in c)) { if (!($1 in m)) print }
    else if (c[$1] == m[$1]) print
    else print c[$1]
}
END {
    for (i = 1; i <= n; i++) {
        k = order[i]
        if (!(k in was) && c[k] != m[k]) print c[k]
    }
}
"""


def save(change: Change, to: Path) -> str:
    """Copy what a change will alter; returns the line that brings it back."""
    path, item = change.path, change.wanted
    if item is None or item.content is not None or not _there(path):
        copy(path, to)
        return "" if item and item.directory else whole(path, to)  # see `folders`
    # Only owner and mode change, maybe of a whole folder. What is gone by then has neither.
    here, now = shlex.quote(str(path)), path.stat()
    owner, mode = f"{now.st_uid}:{now.st_gid}", f"{now.st_mode & 0o7777:o}"
    return f"test ! -e {here} || {{ chown {owner} {here}; chmod {mode} {here}; }}"


def copy(path: Path, to: Path) -> None:
    """A file, a link or a folder with all that is in it."""
    if _there(path):
        must(["cp", "-a", "--no-dereference", str(path), str(to)])


def whole(path: Path, old: Path) -> str:
    """The line after which a path is its copy, or not there if there is none."""
    here, there = shlex.quote(str(path)), shlex.quote(str(old))
    if not _there(old):
        return f"rm -rf {here}"
    new = shlex.quote(str(path.with_name(f".back-{path.name}")))
    away = f"rm -rf {here}; " if old.is_dir() and not old.is_symlink() else ""
    return f"rm -rf {new}; cp -a --no-dereference {there} {new}; {away}mv -fT {new} {here}"


def altered(path: Path, old: Path) -> Iterator[str]:
    """The lines for what in a path is no longer as in its copy."""
    if _look(path) != _look(old):
        yield by_account(path, old) if path in ACCOUNTS and _there(old) else whole(path, old)
    elif path.is_dir() and not path.is_symlink():
        for name in sorted({one.name for top in (path, old) for one in top.iterdir()}):
            yield from altered(path / name, old / name)


def by_account(path: Path, old: Path) -> str:
    """The line after which a list of accounts is as it was, but for what others did since."""
    made = old.with_name(f"{old.name}-made")
    copy(path, made)
    new = path.with_name(f".back-{path.name}")
    here, was, kept, beside = (shlex.quote(str(one)) for one in (path, old, made, new))
    merged = f"awk -F: {shlex.quote(BY_ACCOUNT)} {kept} {here} {was} >{beside}"
    return f"cp -a {was} {beside} && {merged} && mv -fT {beside} {here}"


def folders(changes: Iterable[Change], kept: Iterable[Path] = ()) -> list[str]:
    """The lines that remove the folders that these changes, and what makes the `kept` paths, will
    make, and the shared ones, the deepest first. What somebody else has put in there stays, and the
    folder with it."""
    changes = list(changes)
    paths = [*(change.path for change in changes), *kept]
    above = {folder for path in paths for folder in path.parents}
    made = {folder for folder in above if folder in SHARED or not folder.exists()}
    made |= {c.path for c in changes if c.wanted and c.wanted.directory and not c.path.exists()}
    names = [shlex.quote(str(folder)) for folder in sorted(made, reverse=True)]
    return [f"test ! -d {here} || rmdir --ignore-fail-on-non-empty {here}" for here in names]


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _look(path: Path) -> tuple[object, ...]:
    if not _there(path):
        return ()
    now = path.lstat()
    content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    return (now.st_mode, now.st_uid, now.st_gid, content)
