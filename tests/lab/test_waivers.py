"""A waiver from end to end: a real host fails, the audit and the month's documents say that it may;
the day after the waiver's last they say that it fails."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from compliance import catalogue, evidence, inventory
from compliance.transport import Shell
from compliance.verdict import State
from inputs import court, paths
from reports import publish
from reports.assess import Result
from reports.period import Period

CONTROL = "ssh_few_tries"
REASON = "Pemindai milik pengadilan tinggi mencoba banyak kunci sampai diganti."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, to write waivers into: same hosts, same evidence."""
    (tmp_path / "var").symlink_to(paths.ROOT / "var")
    return shutil.copytree(paths.inventory("lab"), tmp_path / "inventory/lab")


@pytest.fixture
def host(lab: str, lab_limit: str | None) -> Iterator[str]:
    """A host on which the control fails; put back afterwards."""
    chosen = inventory.load(paths.inventory("lab")).select(lab_limit)[-1]
    shell = Shell(chosen, lambda _: None)
    broken = shell.run(
        "sed -i 's/^MaxAuthTries .*/MaxAuthTries 20/' /etc/ssh/sshd_config.d/00-tameng.conf"
        " && systemctl reload ssh.service"
    )
    shell.close()
    assert broken.rc == 0, broken.stderr
    yield chosen.name
    subprocess.run(
        [sys.executable, "-m", "cli", "lab", "reset", "--limit", chosen.name],
        cwd=paths.ROOT, check=True, capture_output=True,
    )  # fmt: skip


def tameng(folder: Path, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", verb, *words, "-i", str(folder)]
    return subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)


def waive(folder: Path, host: str, last_day: dt.date) -> None:
    waiver = {
        "control": CONTROL, "hosts": [host], "reason": REASON, "owner": "nurul",
        "approver": "bagus", "granted": last_day - dt.timedelta(days=30), "expires": last_day,
    }  # fmt: skip
    (folder / "waivers.yml").write_text(yaml.safe_dump({"waivers": [waiver]}))


def reported(folder: Path, lab: str, host: str, today: dt.date) -> Result:
    """What the month's documents rest on, for this control and host."""
    month = publish.read(
        Period.parse(f"{today:%Y-%m}"), paths.var(lab), folder, court.load(folder),
        catalogue.load(), inventory.load(folder).estate,
    )  # fmt: skip
    return next(r for r in month.results if (r.control.id, r.host) == (CONTROL, host))


def test_a_failure_is_waived_to_the_last_day_and_fails_the_day_after(
    lab: str, host: str, folder: Path, tmp_path: Path
) -> None:
    """The machine is asked both times, and its answer is kept as it gave it."""
    today = dt.datetime.now(court.load(folder).tz).date()
    ask = ("audit", "--limit", host, "--control", CONTROL)

    waive(folder, host, last_day=today)
    done = tameng(folder, *ask)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"WAIVED {CONTROL} on {host}: MaxAuthTries is 20" in done.stdout
    kept = evidence.runs(paths.var(lab))[-1]
    assert [v.state for v in kept.verdicts()] == [State.FAIL]
    result = reported(folder, lab, host, today)
    assert result.state is State.WAIVED
    assert result.waiver
    assert result.waiver.reason == REASON
    written = tameng(folder, "report", f"{today:%Y-%m}", "--out", str(tmp_path / "out"))
    assert written.returncode == 0, written.stdout + written.stderr
    pages = sorted((tmp_path / "out").glob("*.html"))
    assert [page.name[:2] for page in pages] == ["C2", "C3", "C9", "D1"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for word in ("Dikecualikan", result.control.title, REASON, "Nurul", "Bagus"):
            assert word in text, f"{page.name} does not say {word}"

    waive(folder, host, last_day=today - dt.timedelta(days=1))
    done = tameng(folder, *ask)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL {CONTROL} on {host}: MaxAuthTries is 20" in done.stdout
    assert reported(folder, lab, host, today).state is State.FAIL
