"""Files: the same bytes everywhere, complete in themselves, and safe with whatever a host said."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from reports import fonts, publish, render
from reports.assess import Assessment
from reports.documents import rekap_bulanan
from tests.unit.reports import sample
from tests.unit.reports.conftest import ROOT, assessed

REBUILD = """
import hashlib, sys
from pathlib import Path
from tests.unit.reports.conftest import assessed
from tests.unit.reports.sample import Court
from reports import publish
court = Court(Path(sys.argv[1]), Path(sys.argv[2]))
for file in publish.build(assessed(court)):
    print(hashlib.sha256(file.data).hexdigest(), file.name)
"""


def test_rebuilt_elsewhere_every_file_is_byte_identical(
    rich_court: sample.Court, rich: Assessment, tmp_path: Path
) -> None:
    """Another process, hash seed, folder, time zone and language."""
    here = [(hashlib.sha256(f.data).hexdigest(), f.name) for f in publish.build(rich)]
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "4711",
        "TZ": "America/St_Johns",
        "LC_ALL": "tr_TR.UTF-8",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", REBUILD, str(rich_court.folder), str(rich_court.inventory)]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{digest} {name}" for digest, name in here]


def test_the_page_needs_nothing_from_outside(rich: Assessment) -> None:
    """One file: no link, script, picture or typeface from elsewhere."""
    page = render.html(rekap_bulanan.TEMPLATE, rekap_bulanan.build(rich))
    assert not re.search(r"""(?:src|href)=["']|@import|<script|<link|url\("(?!data:)""", page)
    assert page.count("data:font/woff2") == 4


def test_the_page_can_be_read_by_ear(rich: Assessment) -> None:
    """Language, headings in order, headed tables, a picture with words."""
    page = render.html(rekap_bulanan.TEMPLATE, rekap_bulanan.build(rich))
    assert '<html lang="id">' in page
    levels = [int(n) for n in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.count("<table") == page.count("<caption>")
    assert page.count("<th>") == 0, "each header cell says its scope"
    assert re.search(r'<svg[^>]*role="img"[^>]*>\s*<title', page)


def test_the_pdf_has_every_character_it_promises(rich: Assessment) -> None:
    """PDF/UA forbids a character without a glyph; all others become a question mark."""
    doc = rekap_bulanan.build(rich)
    everything = "".join(sorted(fonts.CHARACTERS))
    frame = dataclasses.replace(doc.frame, subtitle=everything)
    assert render.pdf(dataclasses.replace(doc, frame=frame))
    assert fonts.printable("Sesuai 人\u202e") == "Sesuai ??"


def test_the_pdf_is_tagged_and_dated_by_its_evidence(rich: Assessment) -> None:
    data = render.pdf(rekap_bulanan.build(rich))
    assert data.startswith(b"%PDF-1.7")
    assert b"<pdfuaid:part>1</pdfuaid:part>" in data
    assert b"D:20261122083023" in data


@pytest.mark.parametrize(
    "said",
    [
        "<script>alert(1)</script>",
        '#import "x" $ a_b *c* @ref `raw` \\ // [',
        "line\nbreak\x00\x1b[31mred\u202e",
        "人 \U0001f512 " + "x" * 5000,
    ],
)
def test_what_a_host_said_stays_text(court: sample.Court, said: str) -> None:
    """A host under somebody else's control must not write the document."""
    wrong = sample.failing(said, value=said)
    answer = sample.faulty({("ssh_keys_only", "app"): wrong})
    court.audit("2026-11-05T01:00:00Z", sample.catalogue(), answer)
    for file in publish.build(assessed(court)):
        assert b"<script" not in file.data
        assert b"\x1b[31m" not in file.data
