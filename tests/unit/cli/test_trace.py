"""``tameng trace --norm``: what is printed adds up, and is what the data says."""

from __future__ import annotations

import json

import pytest

from cli.__main__ import main
from compliance import norms


@pytest.mark.parametrize("norm", norms.names())
def test_the_table_adds_up(norm: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The sections' sums are the totals, and each open recommendation stands there by its id."""
    assert main(["trace", "--norm", norm, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert main(["trace", "--norm", norm]) == 0
    shown = capsys.readouterr().out
    rows = [line.split()[1:5] for line in shown.splitlines()[3:] if line[:1].isalnum()]
    sums = [sum(int(row[i]) for row in rows if row[0].isdigit()) for i in range(4)]
    assert sums == [data[x] for x in ("automatable", "proven", "void", "decided")]
    assert data["automatable"] == sum(sums[1:]) + len(data["open"])
    assert set(data["open"]) <= set(shown.split())
    applying = data["automatable"] - data["void"]
    assert f"{100 * data['proven'] / applying:.1f} % proven" in shown
