"""What documentation promises: links that lead somewhere, verbs that exist, figures that are so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compliance import catalogue
from inputs.paths import ROOT
from reports.publish import DOCUMENTS

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "plugins/README.md"])
LINK = re.compile(r"""\]\(([^)#:]+)(?:#[^)]*)?\)|<img src="([^"]+)\"""")
VERB = re.compile(r"\./tameng (?:-\S+ )*([a-z]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A reader on the code host or in a checkout finds what is pointed at."""
    for groups in LINK.findall(page.read_text(encoding="utf-8")):
        target = next(filter(None, groups))
        assert (page.parent / target).exists(), target


def test_every_verb_in_the_documentation_exists() -> None:
    """Nobody types a command that is not there (yet)."""
    command = [sys.executable, "-m", "cli", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    verbs = set(re.findall(r"^    ([a-z]+) ", shown, re.MULTILINE))
    named = {verb for page in PAGES for verb in VERB.findall(page.read_text(encoding="utf-8"))}
    assert verbs
    assert named <= verbs


def test_the_readme_says_how_much_is_covered() -> None:
    """It claims neither more nor less than the catalogue has."""
    known = catalogue.load()
    served = [step for step, controls in known.by_step.items() if controls]
    bare = set(known.by_step) - set(served) - {document.CODE for document in DOCUMENTS}
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(known.by_id)} controls in {len({c.family for c in known})} families" in text
    assert f"serve {len(served)} SOP steps: {', '.join(served)}" in text
    assert f"{len(bare)} steps have neither" in text
