"""No changed byte of sealed evidence goes unseen, and the complaint names its file and line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from compliance import chain
from compliance.evidence import Answer, Recorder, Verdict, now, runs, sha256_file
from compliance.signing import Signer
from compliance.verdict import State
from inputs.errors import BadInput, Complaint


def write_run(court: Path, signer: Signer, lines: int = 4) -> Path:
    recorder = Recorder.begin(court / "runs", "audit", {"court": "test"})
    for number in range(lines):
        recorder.write(
            Answer(
                id=f"app:{number}", host="app", command="true", exit=0, stdout_sha256="0" * 64,
                stderr_sha256="0" * 64, stdout_bytes=0, at=now(), seconds=0.1,
            )
        )  # fmt: skip
        recorder.write(
            Verdict(control=f"ssh_{number}", host="app", state=State.PASS, at=now(), seconds=0.1)
        )
    recorder.end(hosts={})
    chain.seal(recorder.folder, signer)
    return recorder.folder


@pytest.fixture
def court(tmp_path: Path) -> Path:
    """Three sealed runs."""
    signer = Signer.of(tmp_path, tmp_path)
    for _ in range(3):
        write_run(tmp_path, signer)
    return tmp_path


def defects(court: Path) -> list[Complaint]:
    return chain.verify(court, Signer.of(court, court))[0]


def test_untouched_evidence_verifies(court: Path) -> None:
    """Three runs, sealed, linked, signed."""
    found, sealed, incomplete = chain.verify(court, Signer.of(court, court))
    assert (found, len(sealed), incomplete) == ([], 3, [])


def test_every_flipped_byte_is_named(court: Path) -> None:
    """In every file of every run, at both ends and at random places: file and line are right."""
    dice = random.Random(20261122)  # noqa: S311 (not for secrets)
    files = [p for p in (court / "runs").rglob("*") if p.is_file() and p.stat().st_size]
    assert len(files) == 3 * 5 + 1
    for file in files:
        whole = file.read_bytes()
        for place in {0, len(whole) - 1, *dice.sample(range(len(whole)), 4)}:
            changed = bytearray(whole)
            changed[place] ^= dice.choice([1, 2, 4, 32, 128])
            file.write_bytes(changed)
            line = whole[:place].count(b"\n") + 1
            named = {(c.file, c.line) for c in defects(court)}
            assert (file, line) in named, f"{file.name} byte {place}: {named}"
        file.write_bytes(whole)
    assert not defects(court)


def test_added_and_removed_lines_are_named(court: Path) -> None:
    """A line more or less is a change of that line."""
    file = next((court / "runs").glob("*/verdicts.jsonl"))
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines(keepends=True)[0])
    assert (file, 5) in {(c.file, c.line) for c in defects(court)}
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert (file, 4) in {(c.file, c.line) for c in defects(court)}


@pytest.mark.parametrize(
    "name", ["run.json", "verdicts.jsonl", "manifest.json", "manifest.json.sig"]
)
def test_a_removed_file_is_named(court: Path, name: str) -> None:
    """Nothing that was sealed may be gone."""
    file = next((court / "runs").glob(f"*/{name}"))
    file.unlink()
    assert file in {c.file for c in defects(court)}


def test_a_removed_run_is_named(court: Path) -> None:
    """The chain knows that it was there."""
    middle = sorted((court / "runs").glob("2*"))[1]
    shutil.rmtree(middle)
    assert middle in {c.file for c in defects(court)}


def test_an_added_file_is_named(court: Path) -> None:
    """Evidence can't be brought later."""
    extra = next((court / "runs").glob("2*")) / "extra.jsonl"
    extra.write_text("{}\n")
    assert extra in {c.file for c in defects(court)}


def test_a_forged_run_is_named(court: Path) -> None:
    """A run rewritten and signed by somebody who is not on the list does not verify."""
    folder = sorted((court / "runs").glob("2*"))[0]
    stranger = Signer(court / "stranger", court / "strangers")
    stranger.make()
    verdicts = folder / "verdicts.jsonl"
    verdicts.write_text(verdicts.read_text().replace('"pass"', '"fail"'))
    manifest = folder / "manifest.json"
    manifest.write_bytes(chain._manifest(folder, None))
    (folder / "manifest.json.sig").write_bytes(stranger.sign(manifest))
    assert folder in {c.file.parent for c in defects(court)}


def test_an_unsealed_run_is_incomplete(court: Path) -> None:
    """Killed before its manifest: listed, and no defect."""
    recorder = Recorder.begin(court / "runs", "audit", {"court": "test"})
    recorder.write(Verdict(control="c", host="app", state=State.PASS, at=now(), seconds=0.1))
    found, sealed, incomplete = chain.verify(court, Signer.of(court, court))
    assert not found
    assert len(sealed) == 3
    assert [run.folder for run in incomplete] == [recorder.folder]
    assert not runs(court)[-1].complete


def test_each_run_links_to_the_one_before(court: Path) -> None:
    """A chain, from the first one on."""
    folders = sorted(
        (court / "runs").glob("2*"), key=lambda p: (p / "manifest.json").stat().st_mtime_ns
    )
    manifests = [json.loads((f / "manifest.json").read_text()) for f in folders]
    assert manifests[0]["previous"] is None
    for before, after in zip(folders, manifests[1:], strict=False):
        assert after["previous"]["run"] == before.name
        assert after["previous"]["manifest_sha256"] == sha256_file(before / "manifest.json")


def test_a_key_that_cannot_sign_is_named(tmp_path: Path) -> None:
    """Which file, and that it can't sign."""
    (tmp_path / "evidence_ed25519").write_text("no key\n")
    (tmp_path / "evidence_ed25519").chmod(0o600)
    (tmp_path / "allowed_signers").write_text("")
    with pytest.raises(BadInput, match=r"evidence_ed25519: this key cannot sign"):
        write_run(tmp_path, Signer.of(tmp_path, tmp_path))
