"""Set the same recap by Typst and by WeasyPrint, side by side; prints a table and the ratio.

    python -m venv /tmp/pdf && /tmp/pdf/bin/pip install typst weasyprint jinja2 pydantic pyyaml
    apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0   # WeasyPrint's
    PYTHONPATH=. /tmp/pdf/bin/python benchmarks/pdf/bench.py [HOSTS ...]

The content is C9 of a made-up November with the real catalogue: the strings that reports/ builds,
laid out by reports/templates/document.typ and by the HTML that goes beside it. Each figure is the
median of three fresh processes; "again" is a second document in the same process. WeasyPrint is no
dependency of Tameng any more: this is how it lost its place (docs/adr/0030).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compliance import catalogue, evidence
from compliance.waivers import Waivers
from inputs import court as courts
from inputs import paths
from reports import history, render
from reports.assess import assess
from reports.documents import rekap_bulanan
from reports.period import Period
from tests.unit.reports import sample

ROUNDS = 3
LAB = paths.ROOT / "inventory" / "lab"


def document(hosts: int, folder: Path) -> rekap_bulanan.Recap:
    """C9 of a court with that many servers: two audits, a fault in every ninth answer."""
    estate = {f"host-{n:02}": ["all", "managed", "servers"] for n in range(1, hosts + 1)}
    known, court = catalogue.load(), courts.load(LAB)

    def answer(control: str, host: str) -> dict[str, Any]:
        if (len(control) * 7 + int(host[-2:])) % 9 == 0:
            return sample.failing("expected no, got yes", permitrootlogin="yes")
        return sample.passing(control, host)

    made = sample.Court(folder / "var", folder)
    for day in ("05", "22"):
        made.audit(f"2026-11-{day}T01:00:00Z", known, answer, estate=estate)
    period = Period(2026, 11)
    months = history.by_month(evidence.runs(made.folder), court.tz, period, period)
    return rekap_bulanan.build(assess(period, months, known, Waivers((), estate), court, estate))


def by_typst(doc: rekap_bulanan.Recap) -> bytes:
    return render.pdf(doc)


def by_weasyprint(doc: rekap_bulanan.Recap) -> bytes:
    import weasyprint  # type: ignore[import-not-found] # noqa: PLC0415 (this process only)

    page = render.html(rekap_bulanan.TEMPLATE, doc)
    return bytes(weasyprint.HTML(string=page).write_pdf(pdf_variant="pdf/ua-1"))


ENGINES = {"typst": by_typst, "weasyprint": by_weasyprint}


def once(engine: str, hosts: int) -> None:
    """One process's figures, as a line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        doc = document(hosts, Path(folder))
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            data = ENGINES[engine](doc)
            seconds.append(time.perf_counter() - began)
        pdf = Path(folder) / "c9.pdf"
        pdf.write_bytes(data)
        told = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
        info = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(
        json.dumps(
            {
                "first": seconds[0],
                "again": seconds[1],
                "kilobytes": len(data) // 1024,
                "pages": int(info["Pages"]),
                "tagged": info["Tagged"].strip(),
                "peak_mb": int(peak) // 1024,
            }
        )
    )


def measure(engine: str, hosts: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--once", engine, str(hosts)]
    rounds = []
    for _ in range(ROUNDS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rounds.append(json.loads(done.stdout))
    middle = {k: statistics.median(r[k] for r in rounds) for k in ("first", "again", "peak_mb")}
    return {**rounds[0], **middle}


def main(sizes: list[int]) -> None:
    print("| hosts | engine | first, s | again, s | peak, MB | size, kB | pages | tagged |")
    print("|---|---|---|---|---|---|---|---|")
    for hosts in sizes:
        figures = {engine: measure(engine, hosts) for engine in ENGINES}
        for engine, f in figures.items():
            print(
                f"| {hosts} | {engine} | {f['first']:.2f} | {f['again']:.2f} "
                f"| {f['peak_mb']:.0f} | {f['kilobytes']} | {f['pages']} | {f['tagged']} |"
            )
        ratio = figures["weasyprint"]["first"] / figures["typst"]["first"]
        print(f"\nWith {hosts} hosts Typst takes 1/{ratio:.1f} of WeasyPrint's time.\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        once(sys.argv[2], int(sys.argv[3]))
    else:
        main([int(n) for n in sys.argv[1:]] or [6, 36])
