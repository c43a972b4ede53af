"""What a test's end means: the seven states, and that nothing missing is ever a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host as Asked

from compliance import audit, transport
from compliance.catalogue import Catalogue, Control, load_sop
from compliance.evidence import Answer, Verdict
from compliance.inventory import Host
from compliance.plugin import HostResult, Plugin
from compliance.verdict import State
from inputs.errors import BadInput

HEAD = """\
from compliance.suite import broken, control, not_applicable
import os, pytest
"""
BODIES = {
    "pass": "host.run('true'); evidence.measured('n', 3)",
    "fail": "assert host.run('false').rc == 0, 'it is off\\nsecond line'",
    "skips": "host.run('true'); pytest.skip('lazy')",
    "breaks": "host.run('true'); broken('no tool')",
    "raises": "host.run('true'); {}['missing']",
    "unasked": "assert True",
    "unasked_fail": "assert False, 'without asking'",
    "spared": "host.run('true'); not_applicable('no such thing here')",
    "testinfras": "host.check_output('false')",
    "unanswerable": "ask('false')",
    "hangs": "host.run('hang')",
    "dies": "host.run('true'); os._exit(7)",
    "after": "host.run('true')",
}


def known(names: list[str]) -> Catalogue:
    return Catalogue(
        tuple(
            Control(
                id=f"x_{name}", title="Judul", why="because of it", remedy="apply", sop=["C5"],
                severity="rendah", applies_to=["servers"], enforced_by="x",
                references={"iso27001": ["A"]}, every="month",
            )
            for name in names
        ),
        load_sop(),
    )  # fmt: skip


def suite(folder: Path, names: list[str]) -> None:
    tests = [
        f'@control("x_{name}", sabotage="true", says="x")\n'
        f"def test_{name}(host, ask, evidence):\n    {BODIES[name]}\n"
        for name in names
    ]
    (folder / "test_x.py").write_text(HEAD + "\n\n".join(tests))


class FakeShell(transport.Shell):
    """A Shell that needs no host: commands named for what they do."""

    def _ask(self, line: str, seconds: float) -> Any:
        self._sent += 1
        number = f"{self.hostname}:{self._sent}"
        if self.hostname == "dead":
            self.failure = transport.Unreachable("nobody there")
            return number, self.failure
        if line == "hang":
            return number, transport.CommandTimeout("no answer in time")
        status = 1 if line == "false" else 0
        return number, self.result(status, line.encode(), b"", b"")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[Any, Verdict]]:
    """Run these bodies as controls on these hosts; returns the verdicts by (name, host)."""

    def connect(target: Host, record: Callable[[Answer], None]) -> Any:
        shell = FakeShell(target, record)
        host = Asked(shell)
        shell.set_host(host)
        return host, shell

    monkeypatch.setattr(transport, "connect", connect)

    def run(names: list[str], hosts: tuple[str, ...] = ("app",)) -> dict[Any, Verdict]:
        suite(tmp_path, names)
        taken: list[Answer | Verdict] = []
        results: list[HostResult] = []
        targets = tuple(Host(h, frozenset({"servers"}), lambda _: None) for h in hosts)
        catalogue = known(names)
        plugin = Plugin(
            catalogue, targets, frozenset(catalogue.by_id), lambda: None, taken.append,
            results.append,
        )  # fmt: skip
        audit.collect(plugin, tmp_path)
        assert {r.host for r in results} == set(hosts)
        found = {(v.control.removeprefix("x_"), v.host): v for v in taken if isinstance(v, Verdict)}
        assert set(found) == {(n, h) for n in names for h in hosts}, "a verdict is missing"
        return found

    return run


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("pass", State.PASS, ""),
        ("fail", State.FAIL, "it is off"),
        ("skips", State.ERROR, "Skipped"),
        ("breaks", State.ERROR, "no tool"),
        ("raises", State.ERROR, "KeyError"),
        ("unasked", State.ERROR, "without asking"),
        ("unasked_fail", State.ERROR, "without asking the host"),
        ("spared", State.NOT_APPLICABLE, "no such thing here"),
        ("testinfras", State.ERROR, "Unexpected exit code"),
        ("unanswerable", State.ERROR, "`false` ended with 1"),
        ("hangs", State.ERROR, "CommandTimeout"),
    ],
)
def test_each_end_has_its_state(
    run: Callable[..., dict[Any, Verdict]], name: str, state: State, message: str
) -> None:
    """Only an assertion of ours that was measured on the host is a failure of the host."""
    verdict = run([name])[name, "app"]
    assert verdict.state is state, verdict.message
    assert message in verdict.message
    assert "\n" not in verdict.message


def test_a_verdict_keeps_what_was_measured(run: Callable[..., dict[Any, Verdict]]) -> None:
    """Values and the answers that they came from; one test's are not the next one's."""
    found = run(["pass", "after"])
    assert found["pass", "app"].measured == {"n": 3}
    assert found["pass", "app"].commands == ["app:1"]
    assert found["after", "app"].measured == {}


def test_a_dead_host_is_unreachable_and_others_are_not(
    run: Callable[..., dict[Any, Verdict]],
) -> None:
    """Side by side, and each by itself."""
    found = run(["pass", "fail"], ("app", "dead"))
    assert found["pass", "app"].state is State.PASS
    assert found["pass", "dead"].state is State.UNREACHABLE
    assert found["fail", "dead"].state is State.UNREACHABLE


def test_a_worker_that_dies_leaves_errors(run: Callable[..., dict[Any, Verdict]]) -> None:
    """What it did not live to say is an error, and so is what it would have asked next."""
    found = run(["pass", "dies", "after"])
    assert found["pass", "app"].state is State.PASS
    assert found["dies", "app"].state is State.ERROR
    assert found["after", "app"].state is State.ERROR
    assert "exit 7" in found["after", "app"].message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def test_x(host): pass", "no @control"),
        ('@control("x_nobody", sabotage="", says="")\ndef test_x(host): pass', "not in the cata"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("def test_x(:", "SyntaxError"),
    ],
)
def test_a_broken_suite_is_refused_before_anybody_is_asked(
    tmp_path: Path, text: str, what: str
) -> None:
    """A test without a control, for an unknown one, or a file that can't be imported."""
    (tmp_path / "test_x.py").write_text(HEAD + text)
    begun: list[int] = []
    plugin = Plugin(
        known(["pass"]), (), frozenset(), lambda: begun.append(1), lambda _: None, lambda _: None
    )
    with pytest.raises(BadInput, match=what):
        audit.collect(plugin, tmp_path)
    assert not begun


def test_two_tests_for_one_control_are_refused(tmp_path: Path) -> None:
    """Which of the two would be the proof?"""
    twice = '@control("x_pass", sabotage="", says="")\ndef test_{}(host): pass\n'
    (tmp_path / "test_x.py").write_text(HEAD + twice.format("a") + twice.format("b"))
    plugin = Plugin(known(["pass"]), (), frozenset(), lambda: None, lambda _: None, lambda _: None)
    with pytest.raises(BadInput, match="has a test already"):
        audit.collect(plugin, tmp_path)
