"""Seal a run (manifest, signature, link to the run before) and verify all that was sealed.

The manifest lists the sha256 of each file and of each of its lines, and the link to the previous
sealed run. ``runs/CHAIN`` lists all links in order, so that a removed run is seen too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compliance.evidence import Run, runs, sha256_file, write_atomically
from compliance.signing import Signer, canonical
from inputs.errors import Complaint

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
CHAIN = "CHAIN"
_OURS = {MANIFEST, SIGNATURE}
_CHANGED = "changed since the run was sealed"
_RUN_ID = re.compile(r"\d{8}T\d{6}(\.\d{3})?Z-[a-z]+-[0-9a-f]{4}")


def seal(folder: Path, signer: Signer) -> str:
    """Write manifest and signature of a run that has ended; returns the manifest's sha256."""
    signer.make()
    chain = folder.parent / CHAIN
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        links = chain.read_bytes() if chain.exists() else b""
        previous = json.loads(links.splitlines()[-1]) if links else None
        # The manifest gets its name last: a run killed before that stays incomplete.
        draft = folder / ".manifest.json"
        write_atomically(draft, _manifest(folder, previous))
        write_atomically(folder / SIGNATURE, signer.sign(draft))
        link = _link(folder.name, draft, folder / SIGNATURE)
        write_atomically(chain, links + _line(link))
        draft.replace(folder / MANIFEST)
    return str(link["manifest_sha256"])


def verify(court_var: Path, signer: Signer) -> tuple[list[Complaint], list[Run], list[Run]]:
    """Check every sealed run. Returns (defects with file and line, sealed runs, incomplete)."""
    folder = court_var / "runs"
    chain = folder / CHAIN
    known = {run.id: run for run in runs(court_var)}
    links, defects = _read_chain(chain, known)
    listed = {link["run"] for link in links if link}
    for run in known.values():
        if run.complete and run.id not in listed:
            defects.append(Complaint(chain, len(links) + 1, f"{run.id} is sealed but not listed"))
    for index, link in enumerate(links):
        if not link:
            continue
        if link["run"] not in known:
            # Either of the two: the run was taken away, or its name here was changed.
            defects.append(Complaint(folder / link["run"], 0, "gone: this run had been sealed"))
            defects.append(Complaint(chain, index + 1, f"names {link['run']}, which is gone"))
            continue
        before = links[index - 1] if index else None
        defects += _check_run(known[link["run"]].folder, signer, link, before, chain, index + 1)
    sealed = [run for run in known.values() if run.complete or run.id in listed]
    incomplete = [run for run in known.values() if run not in sealed]
    return list(dict.fromkeys(defects)), sealed, incomplete


def _check_run(
    folder: Path,
    signer: Signer,
    link: dict[str, Any],
    before: dict[str, Any] | None,
    chain: Path,
    number: int,
) -> Iterator[Complaint]:
    manifest, signature = folder / MANIFEST, folder / SIGNATURE
    for path in (manifest, signature):
        if not path.is_file():
            yield Complaint(path, 0, "missing: this run had been sealed")
            return
    data, armour = manifest.read_bytes(), signature.read_bytes()
    if not signer.accepts(data, signature):
        yield from _blame(folder, signer, link, before)
        return
    stored = json.loads(data)
    yield from _check_files(folder, stored["files"])
    strange = list(_differing(_line_hashes(canonical(armour)), _line_hashes(armour)))
    yield from (Complaint(signature, n, _CHANGED) for n in strange)
    if not strange and link != _link(folder.name, manifest, signature):
        yield Complaint(chain, number, f"does not fit the signed {folder.name}")
    previous = stored["previous"]
    if (previous or {}).get("run") != (before or {}).get("run"):
        what = f"{folder.name} follows {(previous or {}).get('run', 'no run')}, which is not here"
        yield Complaint(chain, number, what)


def _blame(
    folder: Path, signer: Signer, link: dict[str, Any], before: dict[str, Any] | None
) -> Iterator[Complaint]:
    """The signature does not fit the manifest: find which of the two was changed, and where."""
    manifest, signature = folder / MANIFEST, folder / SIGNATURE
    data = manifest.read_bytes()
    try:
        stored_before = json.loads(data)["previous"]
    except (ValueError, KeyError, TypeError):
        stored_before = before
    for previous in (before, stored_before):
        rebuilt = _manifest(folder, previous)
        if signer.accepts(rebuilt, signature):
            line = next(_differing(_line_hashes(rebuilt), _line_hashes(data)))
            yield Complaint(manifest, line, _CHANGED)
            return
    lines = list(_differing(link["signature_lines"], _line_hashes(signature.read_bytes())))
    yield from (Complaint(signature, n, _CHANGED) for n in lines)
    if not lines:
        yield Complaint(manifest, 0, f"nobody listed in {signer.allowed} signed this manifest")


def _check_files(folder: Path, files: dict[str, Any]) -> Iterator[Complaint]:
    present = {p.name for p in folder.iterdir()} - _OURS
    for name in sorted(present - set(files)):
        yield Complaint(folder / name, 0, "was not there when the run was sealed")
    for name, entry in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            yield Complaint(path, 0, "missing: it was there when the run was sealed")
            continue
        for number in _differing(entry["lines"], _line_hashes(path.read_bytes())):
            yield Complaint(path, number, _CHANGED)


def _read_chain(
    chain: Path, known: dict[str, Run]
) -> tuple[list[dict[str, Any] | None], list[Complaint]]:
    """The links in the order of sealing; None where a line is no link any more."""
    if not chain.exists():
        return [], []
    links: list[dict[str, Any] | None] = []
    defects: list[Complaint] = []
    for number, line in enumerate(chain.read_bytes().splitlines(keepends=True), 1):
        try:
            link = json.loads(line)
            if line != _line(link) or set(link) != {"run", "manifest_sha256", "signature_lines"}:
                raise ValueError("not as it was written")
            if link["run"] not in known and not _RUN_ID.fullmatch(link["run"]):
                raise ValueError("no run's name")
            links.append(link)
        except (ValueError, TypeError):
            links.append(None)
            defects.append(Complaint(chain, number, _CHANGED))
    return links, defects


def _manifest(folder: Path, previous: Any) -> bytes:
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name not in _OURS and not path.name.startswith("."):
            data = path.read_bytes()
            files[path.name] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "lines": _line_hashes(data),
            }
    manifest = {"run": folder.name, "files": files, "previous": previous}
    return (json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _link(run: str, manifest: Path, signature: Path) -> dict[str, Any]:
    return {
        "run": run,
        "manifest_sha256": sha256_file(manifest),
        "signature_lines": _line_hashes(signature.read_bytes()),
    }


def _line(link: Any) -> bytes:
    return (json.dumps(link, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _line_hashes(data: bytes) -> list[str]:
    """First 16 hex digits (64 bits) of each line's sha256; the file's own hash is whole."""
    return [hashlib.sha256(line).hexdigest()[:16] for line in data.splitlines(keepends=True)]


def _differing(expected: list[str], actual: list[str]) -> Iterator[int]:
    """Numbers (from 1) of lines changed, added or missing."""
    for index in range(max(len(expected), len(actual))):
        if expected[index : index + 1] != actual[index : index + 1]:
            yield index + 1
