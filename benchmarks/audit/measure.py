"""The cost of asking: stock testinfra over ssh://, our transport, and the floor, in one run.

    sudo ./tameng lab up && ./tameng apply
    .venv/bin/python -m benchmarks.audit.measure [--host app] [--limit app:pc-1] [--rounds 3]

Three ways put the same questions to the same hosts, in turn, ROUNDS times; the tables have the
medians:
  ssh://    the suite through testinfra's own backend, which starts ssh and sudo for each question,
            asks again what it asked before, and one host after the other
  tameng    the suite through compliance/transport.py, all hosts side by side, logging in included
  floor     each host's questions, each once, as one script in one shell on the host itself, all
            hosts side by side
  alone     the slowest host by our transport, when hosts are asked one after the other: what an
            estate takes whose machines have processors of their own (the lab's share two)
The first table is of the whole estate, the second of one host of it (whose part of the time it is
by ssh://). The third does the same with 220 small questions to it, where the transport is all
that there is. What can't pass here by nature, so that the inventory waives it, is asked by none.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shlex
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import testinfra
from testinfra.host import Host as Asked

from compliance import audit, catalogue, inventory, transport, waivers
from compliance.evidence import Answer, Verdict
from compliance.plugin import Plugin
from compliance.verdict import State
from inputs import court, paths

SMALL = [f"test -d /etc && echo {number}" for number in range(220)]
LONGEST = 900.0  # seconds that a whole script may take
END = "END OF QUESTIONS"
WAYS = ("ssh://", "tameng", "floor")
Hosts = tuple[inventory.Host, ...]
Times = dict[str, list[float]]


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


def stock(target: inventory.Host, record: Callable[[Answer], None]) -> Any:  # noqa: ARG001
    return None, Stock(target)


def suite(
    hosts: Hosts,
    known: catalogue.Catalogue,
    ids: frozenset[str],
    spoiled: bool = False,
) -> tuple[float, list[Any]]:
    """Seconds from the first question to the last answer, and all records. Any answer but the right
    one ends the run, or is only told where it is the way that has ``spoiled`` it."""
    records: list[Answer | Verdict] = []
    times: list[float] = []

    def stamp(*_: object) -> None:
        times.append(time.monotonic())

    plugin = Plugin(known, hosts, ids, stamp, records.append, stamp)
    audit.collect(plugin)
    for verdict in (r for r in records if isinstance(r, Verdict)):
        if verdict.state not in (State.PASS, State.NOT_APPLICABLE):
            told = f"not pass: {verdict.control} on {verdict.host}: {verdict.message}"
            if not spoiled:
                raise SystemExit(f"apply first; {told}")
            print(told, flush=True)
    return times[-1] - times[0], records


def one_after_another(
    hosts: Hosts, known: catalogue.Catalogue, ids: frozenset[str]
) -> dict[str, tuple[float, int]]:
    """Each host's seconds by stock testinfra, and how many questions it put. Some it gets wrong: it
    runs sudo for each command, and these drown in sudo's log what one question looks for."""
    ours, transport.connect = transport.connect, stock
    told = {}
    try:
        for host in hosts:
            seconds, records = suite((host,), known, ids, spoiled=True)
            put = sum(len(r.commands) for r in records if isinstance(r, Verdict))
            told[host.name] = (seconds, put)
            print(f"ssh:// to {host.name}: {put} questions in {seconds:.1f} s", flush=True)
    finally:
        transport.connect = ours
    return told


def waived(found: inventory.Inventory, known: catalogue.Catalogue) -> frozenset[str]:
    """What is red here by nature, on some host at least."""
    written = waivers.load(found.folder, known, court.load(found.folder), found.estate)
    today = dt.datetime.now(dt.UTC).date()
    return frozenset(waiver.control for waiver in written.all if waiver.in_force(today))


def floor(hosts: Hosts, commands: dict[str, list[str]]) -> float:
    """Seconds, measured on the hosts, that one shell on each needs for its commands."""

    def script(target: inventory.Host) -> float:
        lines = [
            f"(eval {shlex.quote(c)}) </dev/null >/dev/null 2>&1" for c in commands[target.name]
        ]
        timed = "\n".join(["date +%s.%N", *lines, "date +%s.%N"])
        # Not as an argument: the kernel bounds the length of one.
        said = asked[target.name].run(f"sh <<'{END}'\n{timed}\n{END}", timeout=LONGEST).stdout
        first, last = said.split()
        return float(last) - float(first)

    opened = {host.name: transport.connect(host, lambda _: None) for host in hosts}
    asked = {name: host for name, (host, _) in opened.items()}
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: host.run("true"), asked.values()))
        seconds = list(pool.map(script, hosts))
    for _, shell in opened.values():
        shell.close()
    return max(seconds)


def small(asked: Asked) -> None:
    for command in SMALL:
        assert asked.run(command).rc == 0  # noqa: S101 (a wrong answer measures nothing)


def small_ways(target: inventory.Host) -> dict[str, float]:
    began = time.monotonic()
    small(Stock(target)._host)
    between = time.monotonic()
    asked, shell = transport.connect(target, lambda _: None)
    with closing(shell):
        small(asked)
    ended = time.monotonic()
    least = floor((target,), {target.name: SMALL})
    return dict(zip(WAYS, (between - began, ended - between, least), strict=True))


def suite_ways(
    hosts: Hosts,
    slow: dict[str, tuple[float, int]],
    known: catalogue.Catalogue,
    ids: frozenset[str],
) -> tuple[dict[str, float], str]:
    """Seconds by each way, and what was asked."""
    ours, records = suite(hosts, known, ids)
    questions: dict[str, list[str]] = {host.name: [] for host in hosts}
    for answer in (r for r in records if isinstance(r, Answer)):
        questions[answer.host].append(answer.command)
    seconds, put = (sum(column) for column in zip(*(slow[h.name] for h in hosts), strict=True))
    verdicts = sum(isinstance(r, Verdict) for r in records)
    different = sum(map(len, questions.values()))
    what = f": {verdicts} checks, {different} different questions ({put} put by ssh://)"
    return dict(zip(WAYS, (seconds, ours, floor(hosts, questions)), strict=True)), what


def table(title: str, measured: Times) -> None:
    medians = {name: statistics.median(values) for name, values in measured.items()}
    ours = medians["tameng"]
    print(f"\n{title}\n\n| way | seconds (median, min-max) | against tameng |\n|---|---|---|")
    for name, values in measured.items():
        spread = f"{medians[name]:.2f} ({min(values):.2f}-{max(values):.2f})"
        print(f"| {name} | {spread} | {medians[name] / ours:.2f} |")
    beyond = {n: medians[n] - medians["floor"] for n in ("ssh://", "tameng")}
    print(
        f"\nseconds beyond the floor: ssh:// {beyond['ssh://']:.2f}, tameng {beyond['tameng']:.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--host", default="app")
    parser.add_argument("--limit", help="of the estate these hosts only")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    estate, known = inventory.load(paths.inventory("lab")), catalogue.load()
    one, every = estate.select(args.host), estate.select(args.limit)
    ids = frozenset(known.by_id) - waived(estate, known)
    suite(every, known, ids)  # nobody comes first
    tables: dict[str, Times] = {}
    asked: dict[str, str] = {}
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        everywhere, here = f"the suite, {len(every)} hosts", f"the suite, {args.host}"
        least = f"{len(SMALL)} small questions, {args.host}"
        found = {}
        slow = one_after_another(every, known, ids)
        found[everywhere], asked[everywhere] = suite_ways(every, slow, known, ids)
        found[everywhere]["alone"] = max(suite((host,), known, ids)[0] for host in every)
        found[here], asked[here] = suite_ways(one, slow, known, ids)
        found[least], asked[least] = small_ways(one[0]), ""
        for title, times in found.items():
            for way, seconds in times.items():
                tables.setdefault(title, {}).setdefault(way, []).append(seconds)
    for title, measured in tables.items():
        table(f"{title}{asked[title]}", measured)


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the module's own layout."""


if __name__ == "__main__":
    main()
