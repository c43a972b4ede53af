"""From stored evidence to a month's files: everything is built first, then written at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compliance import evidence, waivers
from compliance.catalogue import Catalogue
from compliance.waivers import Estate
from inputs import network
from inputs.court import Court
from inputs.errors import BadInput
from inputs.records import OCCURRENCES, OFFLINE_COPIES
from reports import history, render
from reports.assess import Assessment, assess
from reports.documents import (
    backup_restorasi,
    daftar_periksa,
    peringatan_dini,
    pola_akses,
    rekap_bulanan,
    sistem_keamanan,
)
from reports.period import Period

DOCUMENTS = (
    rekap_bulanan,
    pola_akses,
    daftar_periksa,
    peringatan_dini,
    sistem_keamanan,
    backup_restorasi,
)
MONTHS_BACK = 11  # of evidence before the period, for what came back and for the trend


@dataclass(frozen=True)
class File:
    name: str
    data: bytes


def read(
    period: Period,
    court_var: Path,
    inventory: Path,
    court: Court,
    catalogue: Catalogue,
    estate: Estate,
) -> Assessment:
    """The month's assessment from stored evidence, which the caller has verified."""
    runs = evidence.runs(court_var)
    months = history.by_month(runs, court.tz, period.back(MONTHS_BACK), period)
    # A waiver may name a host that the inventory had while the evidence was made.
    known = {host: groups for m in months.values() for host, groups in m.estate.items()}
    known |= {host: list(groups) for host, groups in estate.items()}
    exceptions = waivers.load(inventory, catalogue, court, known)
    return replace(
        assess(period, months, catalogue, exceptions, court, estate),
        network=network.written(inventory),
        judged=OCCURRENCES.load(inventory, court.people),
        copies=OFFLINE_COPIES.load(inventory, court.people),
    )


def build(assessment: Assessment) -> list[File]:
    """Each document as HTML and as PDF."""
    files = []
    for document in DOCUMENTS:
        doc = document.build(assessment)
        page = render.html(document.TEMPLATE, doc)
        files.append(File(f"{document.FILE}.html", page.encode()))
        files.append(File(f"{document.FILE}.pdf", render.pdf(doc)))
    return files


def write(files: Sequence[File], folder: Path) -> list[Path]:
    """Write all files; none of them is ever half there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            evidence.write_atomically(folder / file.name, file.data)
    except OSError as exc:
        raise BadInput.at(folder, 0, f"cannot be written: {exc.strerror}") from None
    return [folder / file.name for file in files]
