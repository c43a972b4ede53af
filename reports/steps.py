"""The SOP's steps in a month: one word of conformity for each, and whether it was in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from compliance.catalogue import Step
from compliance.verdict import State
from reports.assess import Assessment, Result, count


class Word(StrEnum):
    """A step's conformity as documents print it."""

    CONFORMS = "Sesuai"
    FAILS = "Tidak Sesuai"
    PARTIAL = "Belum Lengkap"  # some of what is due was not answered
    NOT_RUN = "Tidak Diperiksa"  # nothing of what is due was answered
    WAIVED = "Dikecualikan"  # nothing passes, the failures are waived
    NOT_APPLICABLE = "Tidak Berlaku"
    NO_CONTROL = "Belum ada kontrol"


class Timing(StrEnum):
    """How a monthly step stands against its due day."""

    ON_TIME = "Tepat waktu"
    LATE = "Terlambat"
    OPEN = "Belum selesai"
    BY_HAND = "Dicatat manual"  # no control yet: its proof is what people write down


@dataclass(frozen=True)
class StepResult:
    """One SOP step in the month."""

    step: Step
    word: Word
    due: int
    states: Mapping[State, int]
    planned: dt.date | None  # None: no monthly step
    done: dt.date | None  # the day its last due question was first answered
    timing: Timing | None

    @property
    def answered(self) -> int:
        return sum(self.states.get(state, 0) for state in _ANSWERS)


_ANSWERS = (State.PASS, State.FAIL, State.WAIVED, State.NOT_APPLICABLE)


def steps(assessment: Assessment) -> list[StepResult]:
    """All steps of the SOP, in its order."""
    return [_step(assessment, step) for step in assessment.catalogue.sop.steps]


def _step(assessment: Assessment, step: Step) -> StepResult:
    results = assessment.of_step(step.id)
    has_controls = bool(assessment.catalogue.by_step[step.id])
    planned = assessment.period.due if step.monthly else None
    done = _done(results)
    timing = timing_of(planned, done, assessment.day, has_controls) if planned else None
    word = conformity(results) if has_controls else Word.NO_CONTROL
    return StepResult(step, word, len(results), count(results), planned, done, timing)


def conformity(results: list[Result]) -> Word:
    """``Sesuai`` only where every due question was answered, nothing fails and something passes."""
    states = {result.state for result in results}
    if State.FAIL in states:
        return Word.FAILS
    if states & {State.NOT_RUN, State.ERROR, State.UNREACHABLE}:
        return Word.PARTIAL if states & set(_ANSWERS) else Word.NOT_RUN
    if State.PASS in states:
        return Word.CONFORMS
    return Word.WAIVED if State.WAIVED in states else Word.NOT_APPLICABLE


def _done(results: list[Result]) -> dt.date | None:
    days = [r.first_answered for r in results]
    return max(day for day in days if day) if days and all(days) else None


def timing_of(
    planned: dt.date, done: dt.date | None, day: dt.date, has_controls: bool
) -> Timing | None:
    """``day`` is the one that the document speaks of, not today."""
    if not has_controls:
        return Timing.BY_HAND
    if done:
        return Timing.ON_TIME if done <= planned else Timing.LATE
    return Timing.LATE if day > planned else Timing.OPEN
