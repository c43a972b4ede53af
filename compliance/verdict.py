"""The seven states of a verdict and what a document prints for each."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Nothing missing ever counts as PASS: whatever was not judged has a state of its own."""

    PASS = "pass"  # noqa: S105 (a state, not a password)
    FAIL = "fail"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"
    UNREACHABLE = "unreachable"
    NOT_RUN = "not_run"

    @property
    def printed(self) -> str:
        """The Indonesian word in documents."""
        return _PRINTED[self]


_PRINTED = {
    State.PASS: "Sesuai",
    State.FAIL: "Tidak Sesuai",
    State.WAIVED: "Dikecualikan",
    State.NOT_APPLICABLE: "Tidak Berlaku",
    State.ERROR: "Galat",
    State.UNREACHABLE: "Tidak Terjangkau",
    State.NOT_RUN: "Tidak Diperiksa",
}


def exit_status(states: set[State]) -> int:
    """0 all pass, waived or not applicable; 1 something fails; 2 something could not be judged.

    A failure outranks a question that could not be asked: it is certain. No verdict at all is 2.
    """
    if State.FAIL in states:
        return 1
    if not states or states & {State.ERROR, State.UNREACHABLE, State.NOT_RUN}:
        return 2
    return 0
