"""What the documents say: the rich month against its golden text, and what they must never say."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
import typst

from compliance.verdict import State
from reports import fonts, render
from reports.assess import Assessment
from reports.documents import (
    backup_restorasi,
    daftar_periksa,
    peringatan_dini,
    pola_akses,
    rekap_bulanan,
    sistem_keamanan,
)
from reports.documents.boxes import Box
from reports.documents.parts import DASH, Cell
from reports.period import Period
from tests.unit.reports import sample
from tests.unit.reports.conftest import assessed

GOLDEN = Path(__file__).parents[2] / "golden"
DOCUMENTS = pytest.mark.parametrize(
    "document",
    [rekap_bulanan, pola_akses, daftar_periksa, peringatan_dini, sistem_keamanan, backup_restorasi],
    ids=lambda d: str(d.CODE),
)


class Text(HTMLParser):
    """The words of a page, a line for each block."""

    BLOCKS = frozenset(
        [
            "p",
            "h1",
            "h2",
            "h3",
            "li",
            "tr",
            "caption",
            "section",
            "figure",
            "div",
            "footer",
            "title",
            "text",
        ]
    )
    SKIPPED = frozenset({"style"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._skip = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip = tag in self.SKIPPED
        classes = dict(attrs).get("class") or ""
        if tag in self.BLOCKS:
            self.parts.append("\n")
        elif tag in ("td", "th") or "note" in classes:
            self.parts.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        self._skip = False
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.parts.append(data)

    def __str__(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self.parts).splitlines())
        return "".join(line.removeprefix("| ") + "\n" for line in lines if line)


def page(document: ModuleType, assessment: Assessment) -> str:
    return render.html(document.TEMPLATE, document.build(assessment))


@DOCUMENTS
def test_the_rich_month_reads_as_its_golden_text(document: ModuleType, rich: Assessment) -> None:
    """A changed document is seen. TAMENG_UPDATE_GOLDEN=1 writes what is said now."""
    told = str(Text(page(document, rich)))
    for run in rich.month.audits:
        told = told.replace(str(run.manifest_sha256), "<manifest>")
        told = told.replace(str(run.manifest_sha256)[:16], "<manifest>")
    golden = GOLDEN / f"{document.FILE}.txt"
    if os.environ.get("TAMENG_UPDATE_GOLDEN"):
        golden.write_text(told)
    assert told == golden.read_text()


@DOCUMENTS
def test_a_month_without_evidence_claims_nothing(document: ModuleType, court: sample.Court) -> None:
    """It says so, and Sesuai is nowhere a result."""
    told = str(Text(page(document, assessed(court))))
    assert "Tidak ada bukti pemeriksaan yang tersimpan untuk bulan ini" in told
    assert "Tidak ada pemeriksaan lengkap" in told
    assert State.NOT_RUN.printed in told
    assert 'class="sign pass"' not in page(document, assessed(court))


def test_an_empty_month_has_no_annex_and_no_zeros(court: sample.Court) -> None:
    doc = rekap_bulanan.build(assessed(court))
    assert doc.annex == ()
    assert [f.value for f in doc.first.figures[:3]] == [DASH] * 3
    assert doc.frame.created == ""


@DOCUMENTS
def test_what_is_a_persons_to_give_stays_blank(document: ModuleType, rich: Assessment) -> None:
    """The number, the day of signing and the decision are never filled in."""
    frame = document.build(rich).frame
    assert frame.number.startswith("Nomor: ......../KPA.W17-A8/")
    assert frame.number.endswith("/XI/2026")
    assert frame.signatures[1].lead.startswith("Penajam, ....")
    assert "bsre" not in page(document, rich).lower()


def test_a_stand_in_signs_as_one(rich: Assessment) -> None:
    left, right = rekap_bulanan.build(rich).frame.signatures
    assert left.role == "Plt. Kabag Perencanaan dan Kepegawaian,"
    assert right.nip == "NIP. 19960630 202012 1 001"


def test_a_post_nobody_holds_is_left_to_be_written(court: sample.Court) -> None:
    text = (court.inventory / "court.yml").read_text()
    ended = text.replace("{person: dimas, since: 2021-01-04}", "{person: dimas, since: 2030-01-04}")
    (court.inventory / "court.yml").write_text(ended)
    assert rekap_bulanan.build(assessed(court)).frame.signatures[1].name.startswith("....")


@pytest.mark.parametrize("document", [rekap_bulanan, daftar_periksa])
def test_every_control_of_the_catalogue_is_in_it(document: ModuleType, rich: Assessment) -> None:
    told = str(Text(page(document, rich)))
    assert [c.id for c in rich.catalogue if c.id not in told] == []


@pytest.mark.parametrize("document", [pola_akses, peringatan_dini], ids=lambda d: str(d.CODE))
def test_every_warning_is_in_it_and_unjudged_ones_are_red(
    document: ModuleType, rich: Assessment
) -> None:
    """Judged by a person, or red; and whatever the evidence doesn't know isn't counted."""
    table = next(s for s in document.build(rich).sections if s.anchor == "peringatan")
    tones = {row.cells[0].text: row.cells[5].tone for row in table.tables[0].rows}
    assert tones == {"20261110-1": "", "20261118-2": "fail", "20261120-3": "fail"}


def rows_of(document: ModuleType, a: Assessment, anchor: str) -> dict[str, list[str]]:
    """{first cell: the other cells} of a section's first table."""
    section = next(s for s in document.build(a).sections if s.anchor == anchor)
    return {row.cells[0].text: [c.text for c in row.cells[1:]] for row in section.tables[0].rows}


def test_each_kind_is_held_against_the_months_before(rich: Assessment) -> None:
    """October was counted, September wasn't: it is no month of zeros."""
    rows = rows_of(pola_akses, rich, "kecenderungan")
    assert rows["Masuk SSH"] == ["80", "75", "turun 7%"]
    assert rows["Masuk SSH ditolak"] == ["12", "12", "tetap"]
    assert rows["Sambungan antarzona ditolak di gerbang"] == ["100", "1.204", "naik 1.104%"]
    assert rows["Hak root ditolak"] == ["0", "1", "baru"]


def test_a_first_month_is_held_against_nothing(court: sample.Court) -> None:
    warned = {("warnings_nothing_waits", "monitor"): {"state": "pass", "measured": sample.WARNED}}
    court.audit("2026-11-22T08:30:12Z", sample.catalogue(), sample.faulty(warned))
    assert rows_of(pola_akses, assessed(court), "kecenderungan")["Masuk SSH"] == ["75", DASH]


def test_who_was_shut_out_is_told_by_each_host(rich: Assessment) -> None:
    """A host that didn't answer has no zero."""
    rows = rows_of(pola_akses, rich, "pemblokiran")
    assert rows["app"][:2] == ["3", "10.77.20.12 (2), fd00:10:77:20::19 (1)"]
    assert rows["backup"][:2] == ["0", DASH]
    assert rows["gateway"][:2] == [State.ERROR.printed, DASH]


def test_partial_signatures_and_open_findings_are_red(rich: Assessment) -> None:
    """What a host didn't tell is no date and no zero."""
    sections = {s.anchor: s.tables[0].rows for s in sistem_keamanan.build(rich).sections}
    engines = {row.cells[0].text: row.cells[2] for row in sections["antivirus"]}
    assert (engines["pc-1"].text, engines["pc-1"].tone) == ("Sebagian", "fail")
    assert engines["app"].text == "22-11 09.00"
    assert engines["monitor"].text == DASH
    assert {row.cells[0].text: row.cells[4].tone for row in sections["temuan"]} == {
        "20261117-a1b2c3": "",
        "20261118-d4e5f6": "fail",
        "20261121-a7b8c9": "fail",
    }
    rows = rows_of(sistem_keamanan, rich, "bulan")
    assert rows["pc-1"] == ["2", "3"]
    assert rows["app"] == [DASH, "0"]
    assert rows["monitor"] == [DASH, DASH]


def test_a_restore_that_failed_is_red_and_last_months_is_none_of_this(rich: Assessment) -> None:
    """A machine of which the server told nothing isn't listed with zeros."""
    sections = {s.anchor: s.tables[0].rows for s in backup_restorasi.build(rich).sections}
    told = [(row.cells[2].text, row.cells[4].tone) for row in sections["uji-pulih"]]
    assert told == [(DASH, "fail"), ("app-2026-11-20T04:10:07", "pass")]
    assert sections["uji-pulih"][1].cells[4].notes == ("RPO 0,5 jam", "RTO 1,3 menit")
    assert [row.cells[0].text for row in sections["arsip"]] == ["app"]
    assert sections["arsip"][0].cells[2:5] == tuple(map(Cell, ("26", "1.214", "7 GiB")))


def test_an_overdue_flow_is_red(rich: Assessment) -> None:
    table = peringatan_dini.build(rich).sections[0].tables[0]
    assert {row.cells[0].text: row.cells[5].tone for row in table.rows} == {
        "web": "",
        "printer": "fail",
    }


def test_every_result_of_a_host_names_its_line_of_evidence(rich: Assessment) -> None:
    """The way from a printed word to the kept answer: R2:14 is line 14 of that run's file."""
    annex = {s.title: s for s in rekap_bulanan.build(rich).annex}
    run = rich.month.audits[1]
    lines = (run.folder / "verdicts.jsonl").read_text().splitlines()
    rows = annex["app"].tables[0].rows
    for row in rows:
        label, number = row.cells[4].text.split(":")
        assert label == "R2"
        line = lines[int(number) - 1]
        assert f'"control": "{row.cells[0].notes[0]}"' in line
        assert '"host": "app"' in line
    assert len(rows) == len(rich.of_host("app"))


def test_numbers_of_the_first_page_add_up(rich: Assessment) -> None:
    """Sesuai, Tidak Sesuai, Dikecualikan, not judged and not applicable are all there is."""
    known = sum(rich.states.values())
    assert known == len(rich.results)
    figures = rekap_bulanan.build(rich).first.figures
    passed = rich.states[State.PASS]
    aside = rich.states[State.NOT_APPLICABLE]
    label = f"{passed} dari {known - aside} pemeriksaan Sesuai; {aside} lagi Tidak Berlaku"
    assert figures[0].label == label
    parts = passed + sum(int(f.value) for f in figures[1:4])
    assert parts == known - aside


def test_the_first_page_is_one_page_in_the_worst_month(rich: Assessment) -> None:
    """All boxes full of the longest lines still leave room for decision and signatures."""
    doc = rekap_bulanan.build(rich)
    long = "Perbaiki atau kecualikan: aturan firewall yang berlaku sama dengan yang ditetapkan " * 2
    boxes = tuple(
        Box(b.title, (long,) * 4, "dan 9 lainnya, lihat bagian 2", "") for b in doc.first.boxes
    )
    first = type(doc.first)(doc.first.verdict, doc.first.figures, doc.first.matrix, boxes)
    alone = type(doc)(doc.frame, first, (), doc.annex_title, doc.annex_intro, ())
    pages = typst.compile(
        render.TEMPLATES / "document.typ",
        sys_inputs={"doc": render.as_json(alone)},
        font_paths=[fonts.FOLDER],
        ignore_system_fonts=True,
        format="svg",
    )
    assert not isinstance(pages, list), f"{len(pages)} pages"


def test_a_day_off_is_named_beside_the_due_day(court: sample.Court) -> None:
    """30 January 2027 is a Saturday: the due date stays, and the document says so."""
    court.audit("2027-01-05T01:00:00Z", sample.catalogue(), sample.passing)
    doc = rekap_bulanan.build(assessed(court, Period(2027, 1)))
    assert "30 Januari 2027, Sabtu (akhir pekan)" in doc.sections[0].intro[0]
