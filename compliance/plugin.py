"""The pytest plugin: a suite's tests become verdicts, host by host, side by side.

Its fixtures are what a suite asks with: ``host`` (testinfra's), ``ask``, ``evidence``, ``public``,
``matrix``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from compliance import transport
from compliance.catalogue import Catalogue
from compliance.evidence import Answer, Verdict, now
from compliance.inventory import Host
from compliance.suite import Ask, Evidence, NotApplicable, Proof, QuestionBroken
from compliance.verdict import State
from compliance.workers import Ended, side_by_side
from inputs.network import Matrix

_Phase = Literal["setup", "call", "teardown"]


@dataclass(eq=False)  # pytest keeps its plugins by identity
class Plugin:
    """One audit's view of pytest: which hosts and controls, and who takes what comes out.

    ``begin`` is called once the suites are known to be whole and before the first question;
    ``take`` gets every Answer and Verdict, in this process; ``finished`` gets a HostResult when a
    host is done.
    """

    catalogue: Catalogue
    hosts: tuple[Host, ...]
    selected: frozenset[str]
    begin: Callable[[], None]
    take: Callable[[Answer | Verdict], None]
    finished: Callable[[HostResult], None]
    proofs: dict[str, Proof] = field(default_factory=dict)
    collection_errors: list[str] = field(default_factory=list)
    failure: OSError | None = None
    _send: Callable[[Any], None] = lambda _: None
    _shell: transport.Shell | None = None
    _evidence: Evidence = field(default_factory=Evidence)

    # --- collection: one item for each (control, host) -------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "control(id, sabotage): the control a test proves")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        mark = metafunc.definition.get_closest_marker("control")
        if mark is None:
            self._refuse(metafunc.definition.nodeid, "no @control: every test proves one")
            return
        name = mark.args[0]
        if name not in self.catalogue.by_id:
            self._refuse(metafunc.definition.nodeid, f"{name} is not in the catalogue")
            return
        if name in self.proofs:
            self._refuse(metafunc.definition.nodeid, f"{name} has a test already")
            return
        self.proofs[name] = Proof(
            test=metafunc.definition.nodeid,
            own_kernel="own_kernel" in metafunc.fixturenames,
            **mark.kwargs,
        )
        if "target" not in metafunc.fixturenames:
            metafunc.fixturenames.append("target")
        asked = self.catalogue.by_id[name]
        concerned = [h for h in self.hosts if name in self.selected and asked.applies(h.groups)]
        metafunc.parametrize("target", concerned, ids=[h.name for h in concerned], indirect=True)

    def _refuse(self, node: str, why: str) -> None:
        self.collection_errors.append(f"{node}: {why}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._refuse(report.nodeid, str(report.longrepr).strip().splitlines()[-1])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # pytest keeps an item marked as skipped for a test that concerns no host here.
        items[:] = [item for item in items if isinstance(_target(item), Host)]

    # --- running: one process a host --------------------------------------------------------

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.collection_errors or session.config.option.collectonly:
            return True
        self.begin()
        queues: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            queues.setdefault(_target(item).name, []).append(item)
        try:
            self._ask(queues)
        except OSError as exc:
            # pytest would turn it into an "internal error"; the caller can say what it is.
            self.failure = exc
        return True

    def _ask(self, queues: dict[str, list[pytest.Item]]) -> None:
        """Every host's items in a process of its own; their records are taken here."""
        judged: dict[str, set[str]] = {name: set() for name in queues}
        results: dict[str, HostResult] = {}
        jobs = {name: partial(self._work, items) for name, items in queues.items()}
        with closing(side_by_side(jobs)) as messages:
            for name, message in messages:
                if isinstance(message, Ended):
                    self._fill_gaps(queues[name], judged[name], message)
                    self.finished(results.get(name, HostResult(name, "error", "", "ended early")))
                elif isinstance(message, HostResult):
                    results[name] = message
                else:
                    if isinstance(message, Verdict):
                        judged[name].add(message.control)
                    self.take(message)

    def _work(self, items: list[pytest.Item], send: Callable[[Any], None]) -> None:
        self._send = send
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        shell = self._shell
        failure = shell.failure if shell else None
        key = shell.host_key if shell else ""
        name = _target(items[0]).name
        send(HostResult(name, _host_state(failure), key, str(failure or "")))
        if shell:
            shell.close()

    def _fill_gaps(self, items: list[pytest.Item], judged: set[str], ended: Ended) -> None:
        """Whatever a process did not live to say is an error, never nothing."""
        for item in items:
            if _control(item) not in judged:
                why = f"the asking process ended early (exit {ended.exit})"
                self.take(
                    Verdict(
                        control=_control(item), host=_target(item).name, state=State.ERROR,
                        message=why, at=now(), seconds=0.0, test=_test(item),
                    )
                )  # fmt: skip

    # --- judging: in the worker ---------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        began, at = time.monotonic(), now()
        if self._shell:
            self._shell.asked.clear()
        item.stash[_OUTCOMES] = []
        self._evidence = Evidence()
        done = yield
        state, message = _judge(item.stash[_OUTCOMES], Path(item.config.args[0]))
        asked = list(dict.fromkeys(self._shell.asked)) if self._shell else []
        if state in (State.PASS, State.FAIL, State.NOT_APPLICABLE) and not asked:
            state, message = State.ERROR, "judged without asking the host"
        self._send(
            Verdict(
                control=_control(item), host=_target(item).name, state=state, message=message,
                measured=self._evidence.values, commands=asked, at=at,
                seconds=round(time.monotonic() - began, 4), test=_test(item),
            )
        )  # fmt: skip
        return done

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        """Our own report: a verdict needs no rendered traceback, and rendering costs more than
        asking."""
        when = cast(_Phase, call.when)
        if call.excinfo:
            item.stash[_OUTCOMES].append((when, call.excinfo))
        outcome: Literal["passed", "failed"] = "failed" if call.excinfo else "passed"
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, when)

    # --- fixtures ---------------------------------------------------------------------------------

    @pytest.fixture
    def target(self, request: pytest.FixtureRequest) -> Host:
        """The host of this item, as the inventory has it."""
        return request.param  # type: ignore[no-any-return] # pytest types a param as Any

    @pytest.fixture
    def host(self, target: Host) -> Any:
        """testinfra's Host over the one shell to this machine."""
        if self._shell is None:
            _, self._shell = transport.connect(target, self._send)
        return self._shell._host

    @pytest.fixture
    def ask(self, host: Any) -> Ask:
        """Run a command that must be answerable; returns its standard output."""
        return Ask(host)

    @pytest.fixture
    def public(self, target: Host) -> Callable[[str], Any]:
        """The inventory's public variables of this host, by name; None where not defined."""
        return target.var

    @pytest.fixture
    def matrix(self, target: Host) -> Matrix:
        """The court's matrix of flows."""
        return target.matrix()

    @pytest.fixture
    def evidence(self) -> Evidence:
        """Where the test writes what it measured."""
        return self._evidence


@dataclass(frozen=True)
class HostResult:
    """How a host answered as a whole: answered, unreachable or error (with the reason)."""

    host: str
    state: str
    host_key: str
    detail: str


_OUTCOMES = pytest.StashKey[list[tuple[str, pytest.ExceptionInfo[BaseException]]]]()


def _judge(
    outcomes: list[tuple[str, pytest.ExceptionInfo[BaseException]]], suites: Path
) -> tuple[State, str]:
    """The state that a test's exceptions mean. Only a test's own assertion is the host's fault."""
    if not outcomes:
        return State.PASS, ""
    when, info = outcomes[0]
    error = info.value
    if isinstance(error, NotApplicable):
        return State.NOT_APPLICABLE, str(error)
    if isinstance(error, transport.Unreachable):
        return State.UNREACHABLE, str(error)
    # testinfra asserts too, of commands that went wrong: such a question broke.
    ours = suites in Path(str(info.traceback[-1].path)).parents
    if isinstance(error, AssertionError) and ours and when == "call" and len(outcomes) == 1:
        return State.FAIL, _first_line(error)
    if isinstance(error, QuestionBroken | transport.TransportError):
        return State.ERROR, f"{type(error).__name__}: {error}"
    return State.ERROR, f"{when}: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else "no message"


def _host_state(failure: transport.TransportError | None) -> str:
    if failure is None:
        return "answered"
    return "unreachable" if isinstance(failure, transport.Unreachable) else "error"


def _control(item: pytest.Item) -> str:
    mark = item.get_closest_marker("control")
    return str(mark.args[0]) if mark else ""


def _test(item: pytest.Item) -> str:
    return item.nodeid.split("[", 1)[0]


def _target(item: Any) -> Host:
    return item.callspec.params.get("target")  # type: ignore[no-any-return] # pytest's Function
