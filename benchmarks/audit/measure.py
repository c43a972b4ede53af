"""The cost of asking: stock testinfra over ssh://, our transport, and the floor, in one run.

    sudo ./tameng lab up && ./tameng apply
    .venv/bin/python -m benchmarks.audit.measure [--host app] [--rounds 3]

Three ways put the same questions to one host, in turn, ROUNDS times; the table has the medians:
  ssh://    the suite through testinfra's own backend, which starts ssh and sudo for each question
  tameng    the suite through compliance/transport.py, logging in included
  floor     the questions of the suite, each once, as one script in one shell on the host itself
A second table does the same with 220 small questions, where the transport is all that there is.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import time
from collections.abc import Callable
from typing import Any

import testinfra
from testinfra.host import Host as Asked

from compliance import audit, catalogue, inventory, transport
from compliance.evidence import Answer, Verdict
from compliance.plugin import Plugin
from compliance.verdict import State
from inputs import paths

# Stock testinfra runs sudo for each command: in sudo's log they drown what this one looks for.
DROWNED = frozenset({"accounts_sudo_logged"})
SMALL = [f"test -d /etc && echo {number}" for number in range(220)]


class Stock:
    """What the plugin needs of a Shell, around testinfra's stock backend."""

    failure = None
    host_key = ""

    def __init__(self, target: inventory.Host) -> None:
        user, key = target.var("ansible_user"), target.var("ansible_ssh_private_key_file")
        self._host = testinfra.get_host(
            f"ssh://{user}@{target.address}",
            sudo=True,
            ssh_identity_file=key,
            ssh_extra_args=str(target.var("ansible_ssh_common_args")),
        )
        self.asked: list[str] = []
        run = self._host.backend.run

        def counted(command: str, *args: str, **kwargs: Any) -> Any:
            self.asked.append(command)
            return run(command, *args, **kwargs)

        self._host.backend.run = counted

    def close(self) -> None:
        """Stock testinfra keeps nothing open."""


def suite(
    target: inventory.Host,
    known: catalogue.Catalogue,
    ids: frozenset[str],
    drowned: frozenset[str] = frozenset(),
) -> tuple[float, list[Any]]:
    """Seconds from the first question to the last answer, and all records. Any answer but the right
    one ends the run, except to the `drowned` questions, which the way itself spoils."""
    records: list[Answer | Verdict] = []
    times: list[float] = []

    def stamp(*_: object) -> None:
        times.append(time.monotonic())

    plugin = Plugin(known, (target,), ids, stamp, records.append, stamp)
    audit.collect(plugin)
    for verdict in (r for r in records if isinstance(r, Verdict)):
        if verdict.state not in (State.PASS, State.NOT_APPLICABLE):
            told = f"not pass: {verdict.control}: {verdict.message}"
            if verdict.control not in drowned:
                raise SystemExit(f"apply first; {told}")
            print(told, flush=True)
    return times[1] - times[0], records


def concerning(target: inventory.Host, known: catalogue.Catalogue) -> frozenset[str]:
    """The controls that this host can answer: what isn't asked would cost every way nothing."""
    _, records = suite(target, known, frozenset(known.by_id))
    return frozenset(r.control for r in records if isinstance(r, Verdict) and r.state is State.PASS)


def floor(asked: Asked, commands: list[str]) -> float:
    """Seconds, measured on the host, that one shell needs for these commands."""
    script = "\n".join(f"(eval {shlex.quote(c)}) </dev/null >/dev/null 2>&1" for c in commands)
    timed = f"date +%s.%N\n{script}\ndate +%s.%N"
    first, last = asked.run("sh -c %s", timed).stdout.split()
    return float(last) - float(first)


def small(asked: Asked) -> float:
    began = time.monotonic()
    for command in SMALL:
        assert asked.run(command).rc == 0  # noqa: S101 (a wrong answer measures nothing)
    return time.monotonic() - began


def table(title: str, measured: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in measured.items()}
    ours = medians["tameng"]
    print(f"\n{title}\n\n| way | seconds (median, min-max) | against tameng |\n|---|---|---|")
    for name, values in measured.items():
        spread = f"{medians[name]:.2f} ({min(values):.2f}-{max(values):.2f})"
        print(f"| {name} | {spread} | {medians[name] / ours:.2f} |")
    beyond = {n: medians[n] - medians["floor"] for n in ("ssh://", "tameng")}
    print(
        f"\nseconds beyond the floor: ssh:// {beyond['ssh://']:.2f}, tameng {beyond['tameng']:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--host", default="app")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    target = inventory.load(paths.inventory("lab")).select(args.host)[0]
    known = catalogue.load()
    ours = transport.connect
    ids = concerning(target, known)
    questions: list[str] = []
    whole: dict[str, list[float]] = {"ssh://": [], "tameng": [], "floor": []}
    cheap: dict[str, list[float]] = {"ssh://": [], "tameng": [], "floor": []}

    def stock(target: inventory.Host, record: Callable[[Answer], None]) -> Any:  # noqa: ARG001
        return None, Stock(target)

    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}", flush=True)
        transport.connect = stock
        whole["ssh://"].append(suite(target, known, ids, DROWNED)[0])
        transport.connect = ours
        seconds, records = suite(target, known, ids)
        whole["tameng"].append(seconds)
        questions = [r.command for r in records if isinstance(r, Answer)]
        asked, shell = ours(target, lambda _: None)
        asked.run("true")
        whole["floor"].append(floor(asked, questions))
        cheap["floor"].append(floor(asked, SMALL))
        shell.close()
        began = time.monotonic()
        asked, shell = ours(target, lambda _: None)
        small(asked)
        cheap["tameng"].append(time.monotonic() - began)
        shell.close()
        cheap["ssh://"].append(small(Stock(target)._host))
    table(f"the suite: {len(ids)} controls, {len(questions)} questions", whole)
    table(f"{len(SMALL)} small questions", cheap)


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the module's own layout."""


if __name__ == "__main__":
    main()
