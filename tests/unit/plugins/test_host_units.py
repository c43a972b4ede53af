"""systemd units: what differs, and that a daemon with stale settings is told."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.tameng import units
from plugins.module_utils.tameng.shell import Done, Refused
from plugins.module_utils.tameng.units import Unit


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a test say what ``systemctl show`` answers; all is as it should be by default."""

    def say(*answers: dict[str, str]) -> None:
        usual = {
            "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled",
            "NeedDaemonReload": "no",
            "StateChangeTimestamp": f"{datetime.now(UTC):%a %F %T.%f} UTC",
        }  # fmt: skip
        blocks = ["\n".join(f"{k}={v}" for k, v in (usual | a).items()) for a in answers]
        done = Done("systemctl show", 0, "\n\n".join(blocks) + "\n", "")
        monkeypatch.setattr(units, "must", lambda _argv: done)

    return say


def argvs(steps: list[units.Step]) -> list[str]:
    return [" ".join(step.argv) for step in steps]


WANTED = Unit("a.service", enabled=True, active=True)


def test_a_unit_as_it_should_be_needs_nothing(systemd: Any) -> None:
    """One question for all units, and no call after it."""
    systemd({}, {"LoadState": "masked"})
    assert units.plan([WANTED, Unit("rival.service", masked=True)]) == []


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ({"ActiveState": "failed"}, ["start a.service"]),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"},
         ["enable a.service", "start a.service"]),
        ({"UnitFileState": "disabled"},
         ["stop a.service", "enable a.service", "start a.service"]),
        ({"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"},
         ["unmask a.service", "enable a.service", "start a.service"]),
        ({"NeedDaemonReload": "yes"}, ["daemon-reload"]),
    ],
)  # fmt: skip
def test_what_was_stopped_is_started(systemd: Any, said: dict[str, str], calls: list[str]) -> None:
    """Stopped, disabled, masked; and every call but a reload can be taken back."""
    systemd(said)
    steps = units.plan([WANTED])
    assert argvs(steps) == calls
    assert all(step.undo or step.again for step in steps if step.argv != ["daemon-reload"])


@pytest.mark.parametrize(("state", "call"), [("inactive", "mask"), ("active", "mask --now")])
def test_a_rival_is_masked_and_an_unwanted_unit_stopped(
    systemd: Any, state: str, call: str
) -> None:
    """Masked, so that no package starts it again. A stop goes on to the units that call themselves
    parts of it, so one that doesn't run isn't stopped."""
    systemd({"ActiveState": state}, {})
    steps = units.plan([Unit("rival.service", masked=True), Unit("b.socket", False, False)])
    assert argvs(steps) == [f"{call} rival.service", "disable b.socket", "stop b.socket"]


def test_a_masked_unit_with_a_drop_in_has_nothing_to_be_read(systemd: Any) -> None:
    """systemd 252 says for ever that it has: a second run would change something."""
    masked = {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}
    systemd(masked | {"NeedDaemonReload": "yes"})
    assert units.plan([Unit("rival.service", masked=True)]) == []


def test_a_daemon_older_than_its_files_is_told(systemd: Any, tmp_path: Path) -> None:
    """Whoever changed the file, and also when a file was taken out of a watched folder."""
    folder = tmp_path / "conf.d"
    folder.mkdir()
    unit = Unit("a.service", active=True, watch=(str(folder),), by="reload")
    later = datetime.now(UTC) + timedelta(seconds=5)
    systemd({"StateChangeTimestamp": f"{later:%a %F %T.%f} UTC"})
    assert units.plan([unit]) == []
    assert argvs(units.plan([unit], [folder / "new.conf"])) == ["reload a.service"]
    assert units.plan([unit], [tmp_path / "elsewhere"]) == []
    earlier = datetime.now(UTC) - timedelta(seconds=5)
    systemd({"StateChangeTimestamp": f"{earlier:%a %F %T.%f} UTC"})
    assert "younger" in units.plan([unit])[0].why
    (folder / "x").write_text("")
    os.utime(folder / "x", (0, 0))  # a copy with its old time: the change time still tells
    os.utime(folder, (0, 0))
    assert argvs(units.plan([unit])) == ["reload a.service"]


def test_a_forgotten_process_is_ended_after_the_start_failed(
    systemd: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that its unit no longer knows is ended, but not before a start has failed."""
    calls: list[str] = []
    systemd({"ActiveState": "inactive"})
    steps = units.plan([WANTED])
    with subprocess.Popen(["sleep", "60"]) as old:
        (tmp_path / "a").mkdir()
        (tmp_path / "a/cgroup.procs").write_text(f"{old.pid}\n{os.getpid()}\n")
        monkeypatch.setattr(units, "PID_1", str(os.getpid()))  # so this test itself is spared

        def run(argv: list[str]) -> Done:
            calls.append(" ".join(argv))
            # As the product asks: what the thread below knows comes a moment later.
            failed = calls[-1].endswith("start a.service") and Path(f"/proc/{old.pid}").exists()
            return Done(calls[-1], int(failed), "", "")

        monkeypatch.setattr(units, "run", run)
        monkeypatch.setattr(units, "must", lambda argv: Done(" ".join(argv), 0, "/a\n", ""))
        monkeypatch.setattr(units, "CGROUPS", tmp_path)
        threading.Thread(target=old.wait).start()  # it is nobody's child there
        units.apply(steps)
    assert calls == [
        "systemctl --quiet start a.service",
        "systemctl reset-failed a.service",
        "systemctl --quiet start a.service",
    ]


JOURNAL = """\
{"_PID": "1", "MESSAGE": "Starting a.service"}
{"_PID": "4711", "MESSAGE": "Address in use"}
{"_PID": "1", "MESSAGE": "a.service: Failed with result 'exit-code'."}
{"_PID": "1", "MESSAGE": "Failed to start a.service"}
"""


def test_a_failed_call_carries_the_units_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemctl --quiet` itself says nothing, and systemd's own words in the journal don't say
    why."""

    def run(argv: list[str]) -> Done:
        journal = argv[0] == "journalctl"
        return Done(" ".join(argv), 0 if journal else 1, JOURNAL if journal else "", "")

    monkeypatch.setattr(units, "run", run)
    monkeypatch.setattr(units, "must", lambda argv: Done(" ".join(argv), 0, "/none\n", ""))
    with pytest.raises(Refused, match=r"start a.service` failed: Address in use$"):
        units.apply([units.Step(["start", "a.service"], "")])


def test_what_will_be_masked_does_not_run_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the packages don't come in."""
    called: list[str] = []
    monkeypatch.setattr(units, "must", lambda argv: called.append(" ".join(argv)))

    def install() -> None:
        with units.unstarted([WANTED, Unit("rival.service", masked=True)]):
            called.append("packages")
            raise Refused("no packages")

    with pytest.raises(Refused):
        install()
    assert called == [
        "systemctl --quiet --runtime mask rival.service",
        "packages",
        "systemctl --quiet --runtime unmask rival.service",
    ]
