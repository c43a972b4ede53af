"""What a suite is written with: which control a test proves, how to break it, what it measured.

The fixtures (``host``, ``ask``, ``evidence``, ``public``) come from compliance/plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest


class NotApplicable(Exception):
    """The host itself says that the control does not concern it."""


class QuestionBroken(Exception):
    """The question could not be judged: a tool is missing, or its answer makes no sense."""


def control(
    control_id: str,
    *,
    sabotage: str,
    says: str,
    also: tuple[str, ...] = (),
    elsewhere: tuple[str, ...] = (),
) -> Callable[[Any], Any]:
    """Mark a test as the proof of a control.

    ``sabotage`` is a line of shell that makes it untrue on a lab host, using the functions of
    tests/lab/sabotage.sh; the role must heal it. ``says`` must stand in the message of the verdict
    that it causes, so that a reader sees the cause. ``also`` names the controls that the same
    sabotage makes untrue on that host as well, ``elsewhere`` those of other hosts that rest on it;
    every other one must stay right.
    """
    return pytest.mark.control(
        control_id, sabotage=sabotage, says=says, also=also, elsewhere=elsewhere
    )


def not_applicable(reason: str) -> NoReturn:
    """The control does not concern this host, for a reason that was measured on it."""
    raise NotApplicable(reason)


def broken(reason: str) -> NoReturn:
    """The question broke; nothing is known."""
    raise QuestionBroken(reason)


@dataclass
class Evidence:
    """What a test measured; goes into its verdict as it is, so plain data only."""

    values: dict[str, Any] = field(default_factory=dict)

    def measured(self, name: str, value: Any) -> None:
        self.values[name] = value


@dataclass(frozen=True)
class Ask:
    """Put a question that must be answerable: anything else than an expected exit is broken."""

    host: Any

    def __call__(self, command: str, *args: str, exits: tuple[int, ...] = (0,)) -> str:
        done = self.host.run(command, *args)
        if done.rc not in exits:
            said = (done.stderr or done.stdout).strip().splitlines()
            broken(f"`{command}` ended with {done.rc}: {said[-1] if said else 'no output'}")
        return str(done.stdout)


@dataclass(frozen=True)
class Proof:
    """What a suite says of one control: its test, and how to break what it proves. ``own_kernel``:
    a container can't answer it."""

    test: str
    sabotage: str
    says: str
    also: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    own_kernel: bool = False
