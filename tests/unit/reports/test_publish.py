"""Bad evidence and bad input: named by file and line, exit 2, nothing written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.__main__ import main
from compliance import catalogue
from inputs import paths
from inputs.records import OCCURRENCES
from tests.unit.reports import sample


@pytest.fixture
def home(court: sample.Court, monkeypatch: pytest.MonkeyPatch) -> sample.Court:
    """The made-up court as the command line finds it, with one good audit."""
    (court.inventory / "hosts.yml").write_text(
        "all: {children: {managed: {children: {servers: {hosts: {app: {}, backup: {}}}}}}}\n"
    )
    monkeypatch.setattr(paths, "var", lambda _court: court.folder)
    court.audit("2026-11-05T01:00:00Z", catalogue.load(), sample.passing)
    return court


def report(court: sample.Court, *more: str) -> int:
    return main(["report", "2026-11", "-i", str(court.inventory), *more])


def test_it_writes_all_documents_and_says_what_next(
    home: sample.Court, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(home) == 0
    written = sorted(p.name for p in (home.folder / "documents" / "2026-11").iterdir())
    assert written == [
        "C2-rekap-pola-akses.html",
        "C2-rekap-pola-akses.pdf",
        "C3-daftar-periksa.html",
        "C3-daftar-periksa.pdf",
        "C9-rekap-bulanan.html",
        "C9-rekap-bulanan.pdf",
        "D1-peringatan-dini.html",
        "D1-peringatan-dini.pdf",
        "D5-sistem-keamanan.html",
        "D5-sistem-keamanan.pdf",
        "D7-backup-restorasi.html",
        "D7-backup-restorasi.pdf",
    ]
    assert "next: " in capsys.readouterr().out


def test_a_month_without_evidence_is_written_too(
    home: sample.Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["report", "2026-08", "-i", str(home.inventory), "--out", str(out)]) == 0
    assert "no complete audit in 2026-08" in capsys.readouterr().out
    assert (out / "C9-rekap-bulanan.pdf").exists()


def change_a_verdict(court: sample.Court) -> Path:
    (path,) = court.folder.glob("runs/*/verdicts.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"pass"', '"fail"')
    path.write_text("".join(lines))
    return path


def cut_a_verdict(court: sample.Court) -> Path:
    (path,) = court.folder.glob("runs/*/verdicts.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2][:20] + "\n"
    path.write_text("".join(lines))
    return path


def break_the_court(court: sample.Court) -> Path:
    path = court.inventory / "court.yml"
    path.write_text(path.read_text().replace("short_name: PA Penajam", "short_nam: PA", 1))
    return path


def break_the_waivers(court: sample.Court) -> Path:
    path = court.inventory / "waivers.yml"
    path.write_text("# none\nwaivers:\n- control: ssh_nothing\n")
    return path


def break_the_occurrences(court: sample.Court) -> Path:
    path = court.inventory / OCCURRENCES.file
    path.parent.mkdir()
    path.write_text(sample.OCCURRENCES.replace("by: nurul", "by: siapa"))
    return path


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (change_a_verdict, 3),
        (cut_a_verdict, 3),
        (break_the_court, 4),
        (break_the_waivers, 3),
        (break_the_occurrences, 6),
    ],
)
def test_damage_is_named_and_the_old_files_stay(
    home: sample.Court,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[sample.Court], Path],
    line: int,
) -> None:
    folder = home.folder / "documents" / "2026-11"
    folder.mkdir(parents=True)
    (folder / "C9-rekap-bulanan.pdf").write_text("of yesterday")
    path = damage(home)
    assert report(home) == 2
    assert f"{path}:{line}: " in capsys.readouterr().err
    assert [p.read_text() for p in folder.iterdir()] == ["of yesterday"]


def test_a_folder_that_cannot_be_written_is_named(
    home: sample.Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert report(home, "--out", str(tmp_path / "file" / "x")) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("period", ["2026-13", "november", "2026"])
def test_a_wrong_period_says_what_is_expected(
    period: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", period])
    assert stop.value.code == 2
    assert "expected a month such as 2026-11" in capsys.readouterr().err
