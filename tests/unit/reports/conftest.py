"""A made-up court, with and without evidence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from compliance import evidence, waivers
from compliance.waivers import Waivers
from inputs import court as courts
from inputs import network
from inputs.records import OCCURRENCES, OFFLINE_COPIES
from reports import history
from reports.assess import Assessment, assess
from reports.period import Period
from tests.unit.reports import sample

ROOT = Path(__file__).parents[3]
NOVEMBER = Period(2026, 11)


@pytest.fixture
def court(tmp_path: Path) -> sample.Court:
    """No evidence yet, no waivers."""
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    shutil.copy(ROOT / "inventory" / "lab" / "court.yml", inventory)
    (inventory / "waivers.yml").write_text("waivers: []\n")
    return sample.Court(tmp_path / "var", inventory)


def assessed(court: sample.Court, period: Period = NOVEMBER) -> Assessment:
    """The month's assessment of whatever evidence the court has by now."""
    known, officers = sample.catalogue(), courts.load(court.inventory)
    months = history.by_month(evidence.runs(court.folder), officers.tz, period.back(11), period)
    exceptions: Waivers = waivers.load(court.inventory, known, officers, sample.ESTATE)
    return replace(
        assess(period, months, known, exceptions, officers, sample.ESTATE),
        network=network.written(court.inventory),
        judged=OCCURRENCES.load(court.inventory, officers.people),
        copies=OFFLINE_COPIES.load(court.inventory, officers.people),
    )


@pytest.fixture(scope="session")
def rich_court(tmp_path_factory: pytest.TempPathFactory) -> sample.Court:
    """Three months with a bit of everything; read only."""
    folder = tmp_path_factory.mktemp("rich")
    inventory = folder / "inventory"
    inventory.mkdir()
    shutil.copy(ROOT / "inventory" / "lab" / "court.yml", inventory)
    (inventory / "waivers.yml").write_text(sample.WAIVERS)
    for file, text in (
        (network.FILE, sample.NETWORK),
        (OCCURRENCES.file, sample.OCCURRENCES),
        (OFFLINE_COPIES.file, sample.OFFLINE_COPIES),
    ):
        (inventory / file).parent.mkdir(parents=True, exist_ok=True)
        (inventory / file).write_text(text)
    made = sample.Court(folder / "var", inventory)
    sample.rich(made)
    return made


@pytest.fixture(scope="session")
def rich(rich_court: sample.Court) -> Assessment:
    return assessed(rich_court)
