"""A made-up court's evidence, sealed as a real audit's is: always the same bytes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance import chain
from compliance.catalogue import Catalogue
from compliance.evidence import TaskResult, Verdict

ESTATE = {
    "app": ["all", "managed", "servers"],
    "backup": ["all", "managed", "servers"],
    "gateway": ["all", "gateway", "managed"],
    "monitor": ["all", "managed", "servers"],
    "pc-1": ["all", "endpoints", "managed"],
    "pc-2": ["all", "endpoints", "managed"],
}

Answer = Callable[[str, str], dict[str, Any] | None]  # control, host -> fields; None: not asked


@dataclass
class Court:
    """``var/<court>/`` of the made-up court."""

    folder: Path
    inventory: Path

    @property
    def signer(self) -> chain.Signer:
        return chain.Signer.of(self.folder, self.inventory)

    def audit(self, started: str, catalogue: Catalogue, answer: Answer, **more: Any) -> Path:
        """One audit of the whole estate; ``sealed=False`` leaves it as a killed one."""
        sealed, estate = more.pop("sealed", True), more.pop("estate", ESTATE)
        at, folder = self._begin(started, "audit")
        lines = []
        for control in catalogue:
            for host in (h for h, groups in estate.items() if control.applies(set(groups))):
                fields = answer(control.id, host)
                if fields is None:
                    continue
                at += dt.timedelta(milliseconds=150)
                record = {"control": control.id, "host": host, "seconds": 0.1, "at": _time(at)}
                lines.append(Verdict.model_validate(record | fields))
        write(folder / "verdicts.jsonl", lines)
        keys = {h: {"state": "answered", "host_key": f"SHA256:{h:x<43}"} for h in estate}
        info = {"estate": estate, "hosts": keys, "selection": {"limit": None}} | more
        self._end(folder, started, at if sealed else None, info)
        return folder

    def apply(self, started: str, tasks: Iterable[dict[str, Any]]) -> Path:
        """One playbook run."""
        at, folder = self._begin(started, "apply")
        common = {"role": "ssh_server", "action": "tree", "seconds": 0.4, "at": _time(at)}
        write(folder / "tasks.jsonl", [TaskResult.model_validate(common | t) for t in tasks])
        self._end(folder, started, at, {})
        return folder

    def _begin(self, started: str, kind: str) -> tuple[dt.datetime, Path]:
        at = dt.datetime.fromisoformat(started)
        folder = self.folder / "runs" / f"{at:%Y%m%dT%H%M%SZ}-{kind}-{at:%d%H}"
        folder.mkdir(parents=True)
        return at, folder

    def _end(
        self, folder: Path, started: str, ended: dt.datetime | None, info: dict[str, Any]
    ) -> None:
        known = {
            "run": folder.name,
            "kind": folder.name.split("-")[1],
            "started": started,
            "operator": "dimas",
            "commit": "4f1c2a9be07d55319c02",
            "dirty": False,
        }
        known |= {"ended": _time(ended)} if ended else {}
        (folder / "run.json").write_text(json.dumps(known | info, sort_keys=True) + "\n")
        if ended:
            chain.seal(folder, self.signer)


def write(path: Path, records: Iterable[Verdict | TaskResult]) -> None:
    lines = (json.dumps(r.model_dump(mode="json"), sort_keys=True) for r in records)
    path.write_text("".join(line + "\n" for line in lines))


def _time(at: dt.datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def passing(control: str, _host: str) -> dict[str, Any]:
    """Everything is as it should be."""
    return {"state": "pass", "measured": {control.split("_", 1)[1]: True}}


def faulty(faults: dict[tuple[str, str], dict[str, Any]], down: Iterable[str] = ()) -> Answer:
    """All pass, but for ``faults`` by (control, host) and hosts that are ``down``."""
    silent = frozenset(down)

    def answer(control: str, host: str) -> dict[str, Any] | None:
        if host in silent:
            return {"state": "unreachable", "message": "no answer on port 22 within 10 s"}
        return faults.get((control, host)) or passing(control, host)

    return answer


def failing(message: str, **measured: Any) -> dict[str, Any]:
    return {"state": "fail", "message": message, "measured": measured}
