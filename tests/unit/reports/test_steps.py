"""The one word that a step gets, and whether it was in time."""

from __future__ import annotations

import datetime as dt

import pytest

from compliance.verdict import State
from reports import steps
from reports.assess import Result
from reports.steps import Timing, Word
from tests.unit.reports import sample
from tests.unit.reports.conftest import assessed

CONTROL = sample.catalogue().controls[0]
PASS, FAIL, WAIVED, NA = State.PASS, State.FAIL, State.WAIVED, State.NOT_APPLICABLE
ERROR, SILENT, NOT_RUN = State.ERROR, State.UNREACHABLE, State.NOT_RUN


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([PASS], Word.CONFORMS),
        ([PASS, WAIVED, NA], Word.CONFORMS),
        ([PASS, FAIL], Word.FAILS),
        ([FAIL, NOT_RUN], Word.FAILS),
        ([PASS, NOT_RUN], Word.PARTIAL),
        ([PASS, ERROR], Word.PARTIAL),
        ([PASS, SILENT], Word.PARTIAL),
        ([NOT_RUN, SILENT, ERROR], Word.NOT_RUN),
        ([WAIVED, NA], Word.WAIVED),
        ([NA], Word.NOT_APPLICABLE),
        ([], Word.NOT_APPLICABLE),
    ],
)
def test_a_step_conforms_only_if_all_answered_and_something_passes(
    states: list[State], word: Word
) -> None:
    """The sentence the whole project rests on."""
    assert steps.conformity([Result(CONTROL, "app", s, None) for s in states]) is word


def test_no_set_of_states_without_a_pass_conforms() -> None:
    """Exhaustively, over all 128 sets of states."""
    for bits in range(2 ** len(State)):
        states = [s for i, s in enumerate(State) if bits >> i & 1]
        conforms = steps.conformity([Result(CONTROL, "a", s, None) for s in states])
        if conforms is Word.CONFORMS:
            assert PASS in states
            assert not {FAIL, ERROR, SILENT, NOT_RUN} & set(states)


def by_id(court: sample.Court) -> dict[str, steps.StepResult]:
    return {s.step.id: s for s in steps.steps(assessed(court))}


def test_all_29_steps_stand_in_every_month(court: sample.Court) -> None:
    """A step without a control says so, and is never Sesuai."""
    court.audit("2026-11-05T01:00:00Z", sample.catalogue(), sample.passing)
    found = by_id(court)
    assert len(found) == 29
    assert found["C5"].word is Word.CONFORMS
    assert found["D7"].word is Word.NO_CONTROL
    assert found["D7"].timing is Timing.BY_HAND


def test_a_step_is_done_when_its_last_question_is_answered(court: sample.Court) -> None:
    """Planned beside done: the 30th is kept though one host answered only later."""
    court.audit("2026-11-05T01:00:00Z", sample.catalogue(), sample.faulty({}, down=["pc-2"]))
    assert by_id(court)["C5"].timing is Timing.OPEN
    court.audit("2026-11-20T01:00:00Z", sample.catalogue(), sample.passing)
    done = by_id(court)["C5"]
    assert (done.planned, done.done) == (dt.date(2026, 11, 30), dt.date(2026, 11, 20))
    assert done.timing is Timing.ON_TIME


@pytest.mark.parametrize(
    ("done", "day", "timing"),
    [
        (dt.date(2026, 12, 30), dt.date(2026, 12, 30), Timing.ON_TIME),
        (dt.date(2026, 12, 31), dt.date(2026, 12, 31), Timing.LATE),
        (None, dt.date(2026, 12, 31), Timing.LATE),
        (None, dt.date(2026, 12, 30), Timing.OPEN),
    ],
)
def test_late_is_after_the_due_day(done: dt.date | None, day: dt.date, timing: Timing) -> None:
    assert steps.timing_of(dt.date(2026, 12, 30), done, day, has_controls=True) is timing
