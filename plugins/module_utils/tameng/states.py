"""What no file can tell: a question about the running system, and what makes the answer right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .shell import Refused, must, run


@dataclass(frozen=True)
class State:
    """`check` exits 0 when all is as it should be; otherwise what it prints says what isn't."""

    name: str
    check: str
    make: str

    @classmethod
    def read(cls, item: dict[str, Any]) -> State:
        return cls(item["name"], item["check"], item["make"])


@dataclass(frozen=True)
class Broken:
    """A state that doesn't hold, with what its check said."""

    state: State
    said: str


def broken(states: list[State]) -> list[Broken]:
    """The states that don't hold."""
    asked = [(state, run(state.check)) for state in states]
    return [Broken(state, done.said()) for state, done in asked if not done.ok]


def make(found: list[Broken]) -> None:
    """Make them right, and ask again: a remedy that doesn't help is a failure, not a change."""
    for item in found:
        must(item.state.make)
        again = run(item.state.check)
        if not again.ok:
            raise Refused(f"{item.state.name}: still not so: {again.said()}")
