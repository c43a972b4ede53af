"""What is written is read back, and what is broken is named by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.evidence import Recorder, Run, TaskResult, Verdict, now, runs
from compliance.verdict import State, exit_status
from inputs.errors import BadInput


def verdict(state: State = State.PASS) -> Verdict:
    return Verdict(
        control="ssh_x", host="app", state=state, at=now(), seconds=0.25, measured={"a": [1, "é"]}
    )


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder.begin(tmp_path / "runs", "audit", {"court": "test"})


def test_what_was_written_is_read(tmp_path: Path, recorder: Recorder) -> None:
    """Records keep their order and their plain data."""
    kept = [verdict(), verdict(State.FAIL)]
    for record in kept:
        recorder.write(record)
    recorder.end(hosts={"app": {"state": "answered"}})
    run = runs(tmp_path)[0]
    assert run.verdicts() == kept
    assert run.answers() == []
    assert run.info["hosts"] == {"app": {"state": "answered"}}
    assert run.info["ended"] >= run.info["started"]
    assert not run.complete


def test_each_line_is_there_at_once(recorder: Recorder) -> None:
    """A killed process loses nothing that it had said."""
    recorder.write(verdict())
    assert len(Run(recorder.folder).verdicts()) == 1


def test_tasks_have_a_file_of_their_own(recorder: Recorder) -> None:
    """A playbook run's records."""
    task = TaskResult(
        host="app", role="firewall", task="t", action="converge", changed=True, state="changed",
        at=now(), seconds=1.0,
    )  # fmt: skip
    recorder.write(task)
    assert Run(recorder.folder).tasks() == [task]


@pytest.mark.parametrize("garbage", ['{"control":"x"', "{}", '{"control":1}', "\x00"])
def test_a_garbled_line_is_named(recorder: Recorder, garbage: str) -> None:
    """File and line of the first line that is no verdict."""
    recorder.write(verdict())
    path = recorder.folder / "verdicts.jsonl"
    with path.open("a") as out:
        out.write(garbage + "\n")
    with pytest.raises(BadInput) as caught:
        Run(recorder.folder).verdicts()
    assert (caught.value.complaints[0].file, caught.value.complaints[0].line) == (path, 2)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": "x"}'])
def test_a_broken_run_file_is_named(recorder: Recorder, text: str) -> None:
    """run.json says at least what it is."""
    (recorder.folder / "run.json").write_text(text)
    with pytest.raises(BadInput, match=r"run\.json"):
        _ = Run(recorder.folder).info


def test_a_full_disk_is_an_error(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that did not fit is not written as if it had."""
    monkeypatch.setattr("compliance.evidence.os.write", lambda _fd, data: len(data) - 1)
    with pytest.raises(OSError, match="not all"):
        recorder.write(verdict())


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({State.PASS}, 0),
        ({State.PASS, State.WAIVED, State.NOT_APPLICABLE}, 0),
        ({State.PASS, State.FAIL}, 1),
        ({State.FAIL, State.UNREACHABLE}, 1),
        ({State.PASS, State.ERROR}, 2),
        ({State.PASS, State.UNREACHABLE}, 2),
        ({State.PASS, State.NOT_RUN}, 2),
        (set(), 2),
    ],
)
def test_exit_status_never_calls_the_missing_a_pass(states: set[State], status: int) -> None:
    """An audit that judged nothing is no success either."""
    assert exit_status(states) == status
