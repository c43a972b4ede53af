"""Run one function a host, side by side, each in a process of its own.

Forked, because what pytest has collected is shared that way and costs no second start of Python;
and processes, because neither pytest nor Ansible's templating may run in several threads.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, cast

# Beyond this many, the next ones wait for a free place.
MOST_AT_ONCE = 50
_PR_SET_PDEATHSIG = 1  # prctl(2)

Work = Callable[[Callable[[Any], None]], None]  # is given the function that sends a message home


@dataclass(frozen=True)
class Ended:
    """The last message of each process, in its name: 0, or how it died (subprocess's codes)."""

    exit: int | None


def side_by_side(jobs: Mapping[str, Work]) -> Generator[tuple[str, Any], None, None]:
    """Yield (name, message) as messages come, and (name, Ended) for each job, whatever became of
    it. Closing the iterator ends the processes that still run."""
    waiting = list(jobs.items())
    running: dict[Connection, tuple[str, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < MOST_AT_ONCE:
                name, work = waiting.pop(0)
                connection, process = _start(work)
                running[connection] = (name, process)
            for connection in cast(list[Connection], wait(list(running))):
                name, process = running[connection]
                try:
                    message = connection.recv()
                except EOFError:
                    del running[connection]
                    process.join()
                    message = Ended(process.exitcode)
                yield name, message
    finally:
        for _, process in running.values():
            process.kill()


def _start(work: Work) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live, args=(work, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _live(work: Work, home: Connection, parent: int) -> None:
    # Killed with its parent, even when that one is killed: nobody asks for nobody.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before we could ask to be told
    work(home.send)
    home.close()
    os._exit(0)  # what the parent has begun is not this process's to end
