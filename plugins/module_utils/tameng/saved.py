"""The way back: the old state kept on the host, and units there that restore it by themselves, when
a time is over or the host starts anew.

A folder for each change, ``/var/lib/tameng/saved/<UTC>-<name>/``: ``files/`` with the old files,
``restore`` (a plain shell script that needs nothing of ours), ``changes`` (what was done, by line),
``restored`` once it has run.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import history
from .files import Change
from .shell import Refused, must, run
from .units import Step

HOME = Path("/var/lib/tameng/saved")
KEPT = 30  # folders of one name: so many changes can be rolled back
UNITS = Path("/usr/local/lib/systemd/system")  # outlives a restart, and is no part of /etc
SCRIPT = """#!/bin/sh
# Written by Tameng: brings back what was here before {when}. Safe to run by hand.
cd {folder} || exit 1
SAVED=$PWD; export SAVED
{lines}
date --utc +%FT%TZ >restored
{record}
# An elapsed timer counts as started: the next change could not arm it.
systemctl --quiet stop {timer} 2>/dev/null
rm -f {units}
systemctl daemon-reload
logger -t tameng "{kind}: back to what was here before {when}"
"""
START = "multi-user.target"
SERVICE = f"""[Unit]
Description=Go back: nobody has confirmed a change of Tameng
# Not earlier: what it restarts must not wait for it.
After={START}

[Service]
Type=oneshot
ExecStart=/bin/sh {{script}}
"""


class Saved:
    """One saved state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kind = folder.name.split("-", 1)[1]
        self.unit = f"tameng-way-back-{self.kind}"

    @classmethod
    def find(cls, name: str) -> Saved | None:
        folder = HOME / name
        return cls(folder) if folder.is_dir() else None

    @classmethod
    def take(
        cls,
        name: str,
        changes: Iterable[Change],
        steps: list[Step],
        keep: Iterable[str] = (),
        save: str | None = None,
        restore: str | None = None,
    ) -> Saved:
        """Keep the old state of what is to change, of the paths to `keep`, and whatever `save` puts
        into $SAVED."""
        saved = cls(HOME / name)
        when, kind = name.split("-", 1)[0], saved.kind
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
        for number, change in enumerate(changes):
            lines.append(_keep(change, files / str(number)))
        for number, path in enumerate(map(Path, keep)):
            lines.append(_keep(Change(path, None, "", {}), files / f"kept-{number}"))
        lines += ["systemctl daemon-reload", restore or ":"]
        lines += [shlex.join(["systemctl", "--quiet", *step.again]) for step in steps if step.again]
        script = saved.folder / "restore"
        script.write_text(
            SCRIPT.format(
                kind=kind,
                when=when,
                folder=shlex.quote(str(saved.folder)),
                lines="\n".join(lines),
                record=history.RECORD.format(message=f"{name}: taken back"),
                timer=shlex.quote(f"{saved.unit}.timer"),
                units=shlex.join(map(str, saved.units)),
            )
        )
        script.chmod(0o700)
        if save:
            must(save, SAVED=str(saved.folder))
        for old in sorted(HOME.glob(f"*Z-{kind}"))[:-KEPT]:
            shutil.rmtree(old)
        return saved

    def arm(self, seconds: int) -> None:
        """From now on the host goes back by itself after so many seconds, and also when it is
        started anew before. A second change of one kind is refused while the first is armed."""
        service, timer, wanted = self.units
        if self.armed():
            raise Refused(f"an earlier change is still unconfirmed ({service}); try in a minute")
        wanted.parent.mkdir(parents=True, exist_ok=True)
        service.write_text(SERVICE.format(script=self.folder / "restore"))
        timer.write_text(f"[Timer]\nOnActiveSec={seconds}s\nAccuracySec=100ms\n")
        wanted.symlink_to(service)
        must(["systemctl", "daemon-reload"])
        # Not "start": an elapsed timer that somebody left counts as started, and would never fire.
        must(["systemctl", "--quiet", "restart", timer.name])

    def disarm(self) -> None:
        """Keep the change. Refuses when the host has already gone back, or is just doing so: on a
        slow host that takes half a minute."""
        run(["systemctl", "--quiet", "stop", f"{self.unit}.timer"])
        going = run(["systemctl", "is-active", f"{self.unit}.service"]).out.strip()
        if self.restored() or going == "activating":
            raise Refused("too late: the host had already gone back to its old state")
        for path in self.units:
            path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Go back now."""
        run(["systemctl", "--quiet", "stop", f"{self.unit}.timer"])
        must(["/bin/sh", str(self.folder / "restore")])

    def made(self, told: list[str]) -> None:
        """The change stands, with what it did, line by line."""
        (self.folder / "changes").write_text("".join(f"{line}\n" for line in told))

    def armed(self) -> bool:
        return self.units[0].exists()

    @property
    def units(self) -> tuple[Path, Path, Path]:
        """The service that goes back, its timer, and the link that starts it with the host."""
        service = UNITS / f"{self.unit}.service"
        return service, service.with_suffix(".timer"), UNITS / f"{START}.wants/{service.name}"

    def restored(self) -> bool:
        return (self.folder / "restored").exists()


def _keep(change: Change, copy: Path) -> str:
    """Save one path; returns the line that brings it back."""
    path, item = change.path, change.wanted
    beside = path.with_name(f".back-{path.name}")
    here, there, new = (shlex.quote(str(name)) for name in (path, copy, beside))
    if not path.is_symlink() and not path.exists():
        return f"rmdir {here} || :" if item and item.directory else f"rm -f {here}"
    if item and item.content is None:  # only owner and mode change, maybe of a whole folder
        now = path.stat()
        return f"chown {now.st_uid}:{now.st_gid} {here}; chmod {now.st_mode & 0o7777:o} {here}"
    must(["cp", "-a", "--no-dereference", str(path), str(copy)])
    away = f"rm -rf {here} && " if path.is_dir() and not path.is_symlink() else ""
    return f"cp -a --no-dereference {there} {new} && {away}mv -fT {new} {here}"
