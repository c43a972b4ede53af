"""Kept answers: what a run writes while it goes on, and how a finished run is read back.

A run is a folder under ``var/<court>/runs/``; docs/architecture.md gives each file's fields. Files
only grow. The manifest comes last: a run without one is *incomplete* and counts for nothing.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from compliance.verdict import State
from inputs.errors import BadInput
from inputs.yamlfile import Strict

Kind = Literal["audit", "apply"]


class Verdict(Strict):
    """One line of verdicts.jsonl: what one host answered to one control."""

    control: str
    host: str
    state: State
    message: str = ""
    measured: dict[str, Any] = Field(default_factory=dict)
    commands: list[str] = Field(default_factory=list)
    at: str
    seconds: float
    test: str = ""


class Answer(Strict):
    """One line of commands.jsonl: a command, how it ended, and the hashes of what it printed."""

    id: str
    host: str
    command: str
    exit: int | None
    stdout_sha256: str
    stderr_sha256: str
    stdout_bytes: int
    at: str
    seconds: float
    note: str = ""


class TaskResult(Strict):
    """One line of tasks.jsonl: what one task of a playbook did on one host."""

    host: str
    role: str
    task: str
    action: str
    changed: bool
    state: Literal["ok", "changed", "failed", "skipped", "unreachable"]
    at: str
    seconds: float


def now() -> str:
    """UTC, ISO 8601 with milliseconds and Z."""
    stamp = dt.datetime.now(dt.UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z"


def parse_time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@dataclass
class Recorder:
    """The writing side of one run. Each line reaches the operating system before the next."""

    folder: Path
    info: dict[str, Any]
    _files: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, runs: Path, kind: Kind, info: Mapping[str, Any]) -> Recorder:
        """Create the run's folder and its run.json, which says only that it began."""
        started = now()
        stamp = started.replace("-", "").replace(":", "")
        run_id = f"{stamp}-{kind}-{secrets.token_hex(2)}"
        folder = runs / run_id
        folder.mkdir(parents=True)
        recorder = cls(folder, {**info, "run": run_id, "kind": kind, "started": started})
        recorder._write_info()
        return recorder

    def write(self, record: Verdict | Answer | TaskResult) -> None:
        """Append one record to the file of its kind."""
        name = _FILE_OF[type(record)]
        if name not in self._files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._files[name] = os.open(self.folder / name, flags, 0o644)
        line = (_dumps(record.model_dump(mode="json")) + "\n").encode()
        written = os.write(self._files[name], line)
        if written != len(line):
            raise OSError(errno.ENOSPC, "not all of the line fitted", str(self.folder / name))

    def end(self, **info: Any) -> None:
        """Say how it ended and make all of it durable; the manifest (chain.seal) comes after."""
        self.info |= {**info, "ended": now()}
        self._write_info()
        for fd in self._files.values():
            os.fsync(fd)
            os.close(fd)
        self._files.clear()

    def _write_info(self) -> None:
        text = json.dumps(self.info, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(self.folder / "run.json", text.encode())


@dataclass(frozen=True)
class Run:
    """The reading side. ``complete`` means sealed by a manifest, not that all went well."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def complete(self) -> bool:
        return (self.folder / "manifest.json").exists()

    @cached_property
    def info(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput.at(path, 0, "missing: a run has said at least that it began") from None
        except ValueError as exc:
            raise BadInput.at(path, getattr(exc, "lineno", 0), f"not JSON: {exc}") from None
        for key in ("run", "kind", "started"):
            if not isinstance(info, dict) or key not in info:
                raise BadInput.at(path, 1, f"expected the field {key!r}")
        return dict(info)

    @property
    def kind(self) -> str:
        return str(self.info["kind"])

    @property
    def started(self) -> dt.datetime:
        return parse_time(self.info["started"])

    @cached_property
    def manifest_sha256(self) -> str | None:
        """Of manifest.json's bytes; None while the run is incomplete."""
        return sha256_file(self.folder / "manifest.json") if self.complete else None

    def verdicts(self) -> list[Verdict]:
        return list(self._lines("verdicts.jsonl", Verdict))

    def answers(self) -> list[Answer]:
        return list(self._lines("commands.jsonl", Answer))

    def tasks(self) -> list[TaskResult]:
        return list(self._lines("tasks.jsonl", TaskResult))

    def _lines(self, name: str, model: type[Any]) -> Iterator[Any]:
        path = self.folder / name
        if not path.exists():
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield model.model_validate_json(line)
                except ValidationError as exc:
                    error = exc.errors()[0]
                    where = ".".join(map(str, error["loc"]))
                    what = f"not a record of this file: {where} {error['msg']}"
                    raise BadInput.at(path, number, what) from None


def runs(court_var: Path) -> list[Run]:
    """Every run of a court, oldest first, incomplete ones too."""
    folder = court_var / "runs"
    return [Run(p) for p in sorted(folder.iterdir()) if p.is_dir()] if folder.is_dir() else []


def sha256_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Durable, and never half there: a temporary file in the same folder, then a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _dumps(data: Any) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


_FILE_OF = {Verdict: "verdicts.jsonl", Answer: "commands.jsonl", TaskResult: "tasks.jsonl"}
