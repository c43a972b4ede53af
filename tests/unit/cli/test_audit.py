"""An audit refuses a waiver that may not stand before it asks any machine."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pytest

from cli import audit as verb
from compliance import audit
from inputs import paths
from inputs.errors import BadInput

GOOD = """\
  - control: ssh_few_tries
    hosts: [app]
    reason: The scanner of the court above tries many keys.
    owner: nurul
    approver: bagus
    granted: 2026-06-01
    expires: 2026-11-28
"""
DEFECTS = {
    "owner: nurul": ("owner: nobody", 5, "not among the people"),
    "approver: bagus": ("approver: nurul", 6, "another person"),
    "expires: 2026-11-28": ("expires: 2026-11-29", 8, "at most 180 days"),
    "control: ssh_few_tries": ("control: ssh_nothing", 2, "no control of the catalogue"),
    "hosts: [app]": ("hosts: [mars]", 3, "no host or group"),
}


@pytest.mark.parametrize("old", DEFECTS)
def test_a_waiver_that_may_not_stand_stops_the_audit(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its file and line; no machine is asked, no run is begun."""
    new, line, says = DEFECTS[old]
    folder = shutil.copytree(paths.inventory("lab"), tmp_path / "inventory/lab")
    (folder / "waivers.yml").write_text("waivers:\n" + GOOD.replace(old, new))
    monkeypatch.setattr(audit, "run", lambda *_: pytest.fail("a machine was asked"))
    args = argparse.Namespace(inventory=str(folder), limit=None, sop=[], control=[])
    with pytest.raises(BadInput) as refused:
        verb.run(args)
    (complaint,) = refused.value.complaints
    assert (complaint.file, complaint.line) == (folder / "waivers.yml", line)
    assert says in complaint.what
