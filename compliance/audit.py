"""One audit: ask every selected control of every host it concerns, and keep the answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from compliance import catalogue as catalogues
from compliance import chain, origin
from compliance.catalogue import Catalogue
from compliance.evidence import Answer, Recorder, Verdict, now
from compliance.inventory import Host, Inventory
from compliance.plugin import HostResult, Plugin
from compliance.signing import Signer
from compliance.suite import Proof
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
        info = origin.describe(inventory, asdict(selection))
        info["catalogue_sha256"] = catalogue.sha256
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
    chain.seal(recorder.folder, Signer.of(court_var, inventory.folder))
    audit.folder = recorder.folder
    return audit


def proofs(catalogue: Catalogue, suites: Path = SUITES) -> dict[str, Proof]:
    """What the suites say of each control (test, sabotage), without asking anybody."""
    nobody = Plugin(
        catalogue, (), frozenset(), lambda: None, lambda _record: None, lambda _result: None
    )
    collect(nobody, suites, only=True)
    return nobody.proofs


def collect(plugin: Plugin, suites: Path = SUITES, *, only: bool = False) -> None:
    """Let pytest collect the suites into the plugin and, unless ``only``, run them."""
    arguments = [str(suites), "-p", "no:terminal", "-p", "no:cacheprovider", "--capture=no"]
    arguments += ["--rootdir", str(paths.ROOT), "-c", str(paths.ROOT / "pyproject.toml")]
    # Nobody else's plugins: testinfra's own would give a `host` that is this very machine.
    arguments += ["--disable-plugin-autoload", "--strict-markers", "--assert=plain"]
    # importlib: nothing of the suites lands in sys.path or under the name of another conftest.
    arguments.append("--import-mode=importlib")
    if only:
        arguments.append("--collect-only")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        status = pytest.main(arguments, plugins=[plugin])
    finally:
        sys.dont_write_bytecode = before
    if plugin.collection_errors:
        raise BadInput([Complaint(suites, 0, what) for what in plugin.collection_errors])
    if plugin.failure:
        raise plugin.failure
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise BadInput.at(suites, 0, f"pytest could not run the suites (exit {status})")


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
