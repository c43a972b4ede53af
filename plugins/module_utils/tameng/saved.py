"""The way back: the old state kept on the host, and units there that restore it by themselves, when
a time is over or the host starts anew.

A folder for each change, ``/var/lib/tameng/saved/<UTC>-<name>/``: ``files/`` with the old files,
``restore`` (a plain shell script that needs nothing of ours), ``changes`` (what was done, by line),
``restored`` once it has brought everything back, or ``failed`` with the lines that did not.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import history, way_back
from .files import Change
from .shell import Refused, must, run
from .units import Step

HOME = Path("/var/lib/tameng/saved")
KEPT = 30  # folders of one name: so many changes can be rolled back
UNITS = Path("/usr/local/lib/systemd/system")  # outlives a restart, and is no part of /etc
SCRIPT = """#!/bin/sh
# Written by Tameng: brings back what was here before {when}. Safe to run by hand, and again.
cd {folder} || exit 1
SAVED=$PWD; export SAVED
rm -f restored failed

# One that fails is told, and the others are made all the same.
back() {{
    sh -ec "$1" && return
    echo "failed: $1" | tee -a failed >&2
}}

{lines}

{record}
# An elapsed timer counts as started: the next change could not arm it.
systemctl --quiet stop {timer} 2>/dev/null
rm -f {units}
rmdir {folders} 2>/dev/null
systemctl daemon-reload
if [ -e failed ]; then
    logger -t tameng "{kind}: not all is as it was before {when}: $(cat failed)"
    exit 1
fi
date --utc +%FT%TZ >restored
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
        self.kept: list[tuple[Path, Path]] = []
        self.first: list[str] = []
        self.last: list[str] = []

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
        HOME.mkdir(parents=True, exist_ok=True)
        for parent in (HOME.parent, HOME):
            parent.chmod(0o755 if parent == HOME.parent else 0o700)
        files = saved.folder / "files"
        files.mkdir(parents=True)
        changes = list(changes)
        saved.kept = [(Path(path), files / f"kept-{number}") for number, path in enumerate(keep)]
        # Units go back first: a unit's file must still be there when its links are removed.
        saved.first = [_undo(step.undo) for step in reversed(steps) if step.undo]
        found = [way_back.save(one, files / str(number)) for number, one in enumerate(changes)]
        saved.first += [line for line in found if line]
        for path, copy in saved.kept:
            way_back.copy(path, copy)
        saved.last = ["systemctl daemon-reload", *([restore.strip()] if restore else [])]
        saved.last += way_back.folders(changes, (path for path, _ in saved.kept))
        saved.last += [_systemctl(step.again) for step in steps if step.again]
        saved._write([way_back.whole(path, copy) for path, copy in saved.kept])
        if save:
            must(save, SAVED=str(saved.folder))
        for old in sorted(HOME.glob(f"*Z-{saved.kind}"))[:-KEPT]:
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
        if self.failed():
            raise Refused(f"too late: the host went back, but not whole: {self.failed()}")
        for path in self.units:
            path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Go back now."""
        run(["systemctl", "--quiet", "stop", f"{self.unit}.timer"])
        must(["/bin/sh", str(self.folder / "restore")])

    def made(self, told: list[str]) -> None:
        """The change stands, with what it did, line by line. Of what was kept, only what it altered
        goes back from now on: the rest may be somebody else's by then."""
        self._write([line for pair in self.kept for line in way_back.altered(*pair)])
        (self.folder / "changes").write_text("".join(f"{line}\n" for line in told))

    def _write(self, kept: list[str]) -> None:
        lines = [*self.first, *kept, *self.last]
        text = SCRIPT.format(
            kind=self.kind,
            when=self.folder.name.split("-", 1)[0],
            folder=shlex.quote(str(self.folder)),
            lines="\n".join(f"back {shlex.quote(line)}" for line in lines),
            record=history.RECORD.format(message=f"{self.folder.name}: taken back"),
            timer=shlex.quote(f"{self.unit}.timer"),
            units=shlex.join(map(str, self.units)),
            folders=shlex.join(map(str, (self.units[2].parent, UNITS, UNITS.parent))),
        )
        beside = self.folder / ".restore"
        beside.write_text(text)
        beside.chmod(0o700)
        beside.replace(self.folder / "restore")  # the armed one may begin at any moment

    def armed(self) -> bool:
        return self.units[0].exists()

    @property
    def units(self) -> tuple[Path, Path, Path]:
        """The service that goes back, its timer, and the link that starts it with the host."""
        service = UNITS / f"{self.unit}.service"
        return service, service.with_suffix(".timer"), UNITS / f"{START}.wants/{service.name}"

    def restored(self) -> bool:
        return (self.folder / "restored").exists()

    def failed(self) -> str:
        """The lines that did not bring back what they should."""
        told = self.folder / "failed"
        return told.read_text().strip() if told.exists() else ""


def _undo(words: list[str]) -> str:
    """A unit that is gone has nothing left to undo."""
    state = shlex.join(["systemctl", "show", "--property=LoadState", "--value", words[-1]])
    return f'test "$({state})" = not-found || {_systemctl(words)}'


def _systemctl(words: list[str]) -> str:
    return shlex.join(["systemctl", "--quiet", *words])
