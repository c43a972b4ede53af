"""One audit: ask every selected control of every host it concerns, and keep the answers."""

from __future__ import annotations

import getpass
import hashlib
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from compliance import catalogue as catalogues
from compliance import chain
from compliance.catalogue import Catalogue
from compliance.evidence import Answer, Recorder, Verdict, now
from compliance.inventory import Host, Inventory
from compliance.plugin import HostResult, Plugin
from compliance.verdict import State
from inputs import paths
from inputs.errors import BadInput, Complaint

SUITES = Path(__file__).resolve().parent / "suites"


@dataclass(frozen=True)
class Selection:
    """What an audit is limited to; nothing given means everything."""

    limit: str | None = None
    sop: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    def ids(self, catalogue: Catalogue) -> frozenset[str]:
        """The selected control ids. Raises BadInput for one that does not exist."""
        unknown = [c for c in self.controls if c not in catalogue.by_id]
        unknown += [s for s in self.sop if s not in catalogue.by_step]
        if unknown:
            what = f"{', '.join(unknown)}: not in the catalogue; `tameng trace` lists it"
            raise BadInput.at(catalogues.CONTROLS, 0, what)
        chosen = {c.id for c in catalogue}
        if self.controls:
            chosen &= set(self.controls)
        if self.sop:
            chosen &= {c.id for step in self.sop for c in catalogue.by_step[step]}
        return frozenset(chosen)


@dataclass
class Audit:
    """What came of it: the sealed run's folder, its verdicts and how each host answered."""

    folder: Path
    verdicts: list[Verdict] = field(default_factory=list)
    hosts: dict[str, HostResult] = field(default_factory=dict)


def run(
    inventory: Inventory,
    catalogue: Catalogue,
    selection: Selection,
    progress: Callable[[HostResult, list[Verdict]], None] = lambda _result, _verdicts: None,
    suites: Path = SUITES,
) -> Audit:
    """Audit and seal. ``progress`` is called as each host is done, with its verdicts.

    Raises BadInput before anything is asked if suite, catalogue or selection is broken, and OSError
    if the evidence cannot be written: the run then stays incomplete.
    """
    selected = selection.ids(catalogue)
    asked = inventory.select(selection.limit)
    court_var = paths.var(inventory.court)
    recorders: list[Recorder] = []
    audit = Audit(Path())

    def begin() -> None:
        info = describe(inventory, catalogue, selection)
        recorders.append(Recorder.begin(court_var / "runs", "audit", info))

    def take(record: Answer | Verdict) -> None:
        recorders[0].write(record)
        if isinstance(record, Verdict):
            audit.verdicts.append(record)

    def finished(result: HostResult) -> None:
        audit.hosts[result.host] = result
        progress(result, [v for v in audit.verdicts if v.host == result.host])

    plugin = Plugin(catalogue, asked, selected, begin, take, finished)
    collect(plugin, suites)
    recorder = recorders[0]
    for verdict in _not_run(catalogue, selected, asked, audit.verdicts):
        take(verdict)
    recorder.end(hosts=_hosts(inventory, audit.hosts))
    chain.seal(recorder.folder, chain.Signer.of(court_var, inventory.folder))
    audit.folder = recorder.folder
    return audit


def collect(plugin: Plugin, suites: Path = SUITES, *, only: bool = False) -> None:
    """Let pytest collect the suites into the plugin and, unless ``only``, run them."""
    arguments = [str(suites), "-p", "no:terminal", "-p", "no:cacheprovider", "--capture=no"]
    arguments += ["--rootdir", str(paths.ROOT), "-c", str(paths.ROOT / "pyproject.toml")]
    arguments += ["-p", "no:testinfra", "--strict-markers"]
    if only:
        arguments.append("--collect-only")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        status = pytest.main(arguments, plugins=[plugin])
    finally:
        sys.dont_write_bytecode = before
    if plugin.collection_errors:
        raise BadInput([Complaint(suites, 0, what) for what in plugin.collection_errors])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise BadInput.at(suites, 0, f"pytest could not run the suites (exit {status})")


def describe(
    inventory: Inventory, catalogue: Catalogue, selection: Selection | None = None
) -> dict[str, Any]:
    """What run.json says of where a run came from (docs/architecture.md)."""
    commit = _git("rev-parse", "HEAD")
    return {
        "court": inventory.court,
        "operator": f"{getpass.getuser()}@{platform.node()}",
        "commit": commit or "unknown",
        "dirty": bool(_git("status", "--porcelain")) if commit else None,
        "inventory_sha256": inventory.sha256,
        "catalogue_sha256": digest([c.model_dump_json() for c in catalogue]),
        "selection": {
            "limit": selection.limit if selection else None,
            "sop": list(selection.sop) if selection else [],
            "controls": list(selection.controls) if selection else [],
        },
        "estate": inventory.estate,
        "versions": {
            "tameng": version_of_tameng(),
            "ansible": version("ansible-core"),
            "testinfra": version("pytest-testinfra"),
            "python": platform.python_version(),
        },
    }


def digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def version_of_tameng() -> str:
    """From pyproject.toml: the checkout is never installed."""
    import tomllib  # noqa: PLC0415 (only here)

    with (paths.ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _not_run(
    catalogue: Catalogue, selected: frozenset[str], asked: tuple[Host, ...], judged: list[Verdict]
) -> list[Verdict]:
    """Every selected pair that no test judged, so that its absence is kept too."""
    have = {(v.control, v.host) for v in judged}
    return [
        Verdict(
            control=control.id, host=host.name, state=State.NOT_RUN,
            message="no test asked this", at=now(), seconds=0.0,
        )
        for control in catalogue
        if control.id in selected
        for host in asked
        if control.applies(host.groups) and (control.id, host.name) not in have
    ]  # fmt: skip


def _hosts(inventory: Inventory, results: dict[str, HostResult]) -> dict[str, dict[str, str]]:
    absent = HostResult("", "not_asked", "", "")
    return {
        host.name: {"state": r.state, "host_key": r.host_key, "detail": r.detail}
        for host in inventory.hosts
        for r in [results.get(host.name, absent)]
    }


def _git(*arguments: str) -> str:
    """git's answer, or nothing where this is no checkout. safe.directory: sudo is another user."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={paths.ROOT}", "-C", str(paths.ROOT), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else ""
