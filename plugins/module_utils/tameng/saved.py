"""The way back: the old state kept on the host, and a timer there that restores it by itself.

A folder for each change, ``/var/lib/tameng/saved/<UTC>-<name>/``: ``files/`` with the old files,
``restore`` (a plain shell script that needs nothing of ours), ``restored`` once it has run.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from .shell import Refused, must, run
from .units import Step

HOME = Path("/var/lib/tameng/saved")
KEPT = 5  # folders of one name
SCRIPT = """#!/bin/sh
# Written by Tameng: brings back what was here before {when}. Safe to run by hand.
cd {folder} || exit 1
SAVED=$PWD; export SAVED
{lines}
date --utc +%FT%TZ >restored
logger -t tameng "{kind}: back to what was here before {when}"
"""


class Saved:
    """One saved state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unit = f"tameng-way-back-{folder.name.split('-', 1)[1]}"

    @classmethod
    def find(cls, name: str) -> Saved | None:
        folder = HOME / name
        return cls(folder) if folder.is_dir() else None

    @classmethod
    def take(
        cls,
        name: str,
        paths: Iterable[Path],
        steps: list[Step],
        save: str | None,
        restore: str | None,
    ) -> Saved:
        """Keep the old state of these paths, and whatever `save` puts into $SAVED."""
        saved = cls(HOME / name)
        when, kind = name.split("-", 1)
        HOME.mkdir(parents=True, exist_ok=True)
        for parent in (HOME.parent, HOME):
            parent.chmod(0o755 if parent == HOME.parent else 0o700)
        files = saved.folder / "files"
        files.mkdir(parents=True)
        lines = []
        # Units go back first: a unit's file must still be there when its links are removed.
        lines += [
            shlex.join(["systemctl", "--quiet", *step.undo])
            for step in reversed(steps)
            if step.undo
        ]
        for number, path in enumerate(dict.fromkeys(paths)):
            lines.append(_keep(path, files / str(number)))
        lines += ["systemctl daemon-reload", restore or ":"]
        script = saved.folder / "restore"
        script.write_text(
            SCRIPT.format(
                kind=kind, when=when, folder=shlex.quote(str(saved.folder)), lines="\n".join(lines)
            )
        )
        script.chmod(0o700)
        if save:
            must(save, SAVED=str(saved.folder))
        for old in sorted(HOME.glob(f"*Z-{kind}"))[:-KEPT]:
            shutil.rmtree(old)
        return saved

    def arm(self, seconds: int) -> None:
        """From now on the host goes back by itself after so many seconds. systemd refuses a second
        timer of the same name, so two changes of one kind never overlap."""
        must(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={self.unit}",
                f"--on-active={seconds}s",
                "--timer-property=AccuracySec=100ms",
                "/bin/sh",
                str(self.folder / "restore"),
            ]
        )

    def disarm(self) -> None:
        """Keep the change. Refuses when the host has already gone back."""
        run(["systemctl", "--quiet", "stop", f"{self.unit}.timer"])
        if self.restored():
            raise Refused("too late: the host had already gone back to its old state")

    def restore(self) -> None:
        """Go back now."""
        run(["systemctl", "--quiet", "stop", f"{self.unit}.timer"])
        must(["/bin/sh", str(self.folder / "restore")])

    def restored(self) -> bool:
        return (self.folder / "restored").exists()


def _keep(path: Path, copy: Path) -> str:
    """Save one path; returns the line that brings it back."""
    beside = path.with_name(f".back-{path.name}")
    here, there, new = (shlex.quote(str(name)) for name in (path, copy, beside))
    if not path.is_symlink() and not path.exists():
        return f"rm -f {here}"
    must(["cp", "-a", "--no-dereference", str(path), str(copy)])
    return f"cp -a --no-dereference {there} {new} && mv -fT {new} {here}"
