"""One round trip: look, refuse or plan, and (outside check mode) save, arm, apply, verify."""

from __future__ import annotations

import os
import syslog
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files, history, packages, states, units, way_in
from .saved import Saved
from .shell import Refused, must


@dataclass(frozen=True)
class Plan:
    """Everything that isn't as it should be."""

    files: list[files.Change]
    states: list[states.Broken]
    units: list[units.Step]

    def told(self) -> list[str]:
        return [
            *(change.why for change in self.files),
            *(f"{item.state.name}: {item.said}" for item in self.states),
            *(step.why for step in self.units),
        ]


class Host:
    """What the role wants of this host (the action's parameters)."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.files = [files.Wanted.read(item) for item in wanted["files"]]
        self.states = [states.State.read(item) for item in wanted["states"]]
        self.units = [units.Unit.read(item) for item in wanted["units"]]

    def plan(self) -> Plan:
        changes = files.compare(self.files, self.wanted["absent"])
        touched = [change.path for change in changes]
        return Plan(changes, states.broken(self.states), units.plan(self.units, touched))

    def apply(self, plan: Plan) -> list[str]:
        """Files, then what must hold of the running system, then units: a daemon is told last, when
        all it reads is right (but unmasked first: a masked unit can't be asked). Units are planned
        anew, as a new unit file is known only now."""
        for change in plan.files:
            files.apply(change)
        if any("/systemd/" in str(change.path) for change in plan.files):
            must(["systemctl", "daemon-reload"])
        unmasking = [step for step in units.plan(self.units) if step.argv[0] == "unmask"]
        units.apply(unmasking)
        found = states.broken(self.states)
        states.make(found)
        for command in self.wanted["verify"]:
            must(command)
        steps = units.plan(self.units)
        units.apply(steps)
        return Plan(plan.files, found, unmasking + steps).told()


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What the controller's half asks, which waits for one JSON document: `converge` does the work
    (its parameters, and `saved`, the name that the old state gets), `confirm` and `status` ask for
    what became of it."""
    # sudo's own is for people's files: what a package or a remedy writes must stay readable.
    os.umask(0o022)
    try:
        match asked.get("phase"):
            case "confirm":
                return confirm(asked["saved"])
            case "status":
                return status(asked["saved"])
        result = converge(asked, asked["check"])
    except Refused as exc:
        return {"failed": True, "msg": str(exc)}
    if result["changed"] and not asked["check"]:
        syslog.openlog("tameng")
        syslog.syslog(f"{asked['name']}: {'; '.join(result['changes'])}")
    # In check mode what a role would make isn't there yet.
    brought = [path for path in map(Path, asked["bring"]) if path.exists() or not asked["check"]]
    return result | {"brought": {str(path): path.read_text() for path in brought}}


def converge(wanted: dict[str, Any], check: bool) -> dict[str, Any]:
    """Make the host so. The result's `changes` name each thing that was (or would be) changed."""
    login = way_in.present()
    way_in.refuse(wanted["way_in"], login)
    missing = packages.missing(wanted["packages"])
    needless = packages.installed(wanted["purge"])
    packages.refuse(needless, wanted["protected"])
    told = [f"package {name}: installed" for name in missing]
    told += [f"package {name}: purged" for name in needless]
    host = Host(wanted)
    if missing and not check:
        with units.unstarted(host.units):
            packages.install(missing, wanted["lists_max_age"])
    if needless and not check:
        packages.purge(needless)
    plan = host.plan()
    unasked = files.validate(plan.files, installed=not (missing and check))
    result: dict[str, Any] = {
        "diff": [*_package_diff(needless, missing), *(change.diff for change in plan.files)],
        "changed_files": [str(change.path) for change in plan.files],
        "not_validated": unasked,
    }
    if check or not plan.told():
        told += plan.told()
        return result | {"changed": bool(told), "changes": told}
    confirm = wanted["confirm"] or {}
    history.before(wanted["saved"].partition("-")[2])
    saved = Saved.take(
        wanted["saved"],
        plan.files,
        plan.units,
        wanted["keep"],
        wanted["save"],
        wanted["restore"],
    )
    if confirm:
        saved.arm(confirm["seconds"])
        result["armed"] = True
    try:
        told += host.apply(plan)
    except BaseException as exc:
        try:
            saved.restore()
        except Refused as back:
            raise Refused(f"{exc}; not all of the old state is back: {back}") from exc
        if isinstance(exc, Refused):
            raise Refused(f"{exc}; the old state is back") from exc
        raise
    saved.made(told)
    history.made(wanted["saved"], told)
    return result | {"changed": True, "changes": told}


def confirm(name: str) -> dict[str, Any]:
    """Called over a new login: the change stays."""
    saved = Saved.find(name)
    if saved is None:
        raise Refused(f"nothing was saved as {name}")
    saved.disarm()
    return {"changed": False}


def status(name: str) -> dict[str, Any]:
    """What became of an armed change: `restored`, `pending`, `unknown` (it never began), or what of
    its way back failed."""
    saved = Saved.find(name)
    if saved is None:
        return {"changed": False, "state": "unknown"}
    state = "restored" if saved.restored() else saved.failed() or "pending"
    return {"changed": False, "state": state}


def _package_diff(before: list[str], after: list[str]) -> list[dict[str, str]]:
    if before == after:
        return []
    old, new = ("".join(f"{name}\n" for name in names) for names in (before, after))
    return [{"before_header": "packages", "after_header": "packages", "before": old, "after": new}]
