"""A made-up court's evidence, sealed as a real audit's is: always the same bytes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance import chain
from compliance.catalogue import Catalogue, Control, load_sop
from compliance.evidence import TaskResult, Verdict
from compliance.signing import Signer

ESTATE = {
    "app": ["all", "managed", "servers"],
    "backup": ["all", "managed", "servers"],
    "gateway": ["all", "gateways", "managed"],
    "monitor": ["all", "managed", "servers"],
    "pc-1": ["all", "endpoints", "managed"],
    "pc-2": ["all", "endpoints", "managed"],
}

# id, title, severity, steps, groups. The tests' own catalogue, so that golden files stand still.
CONTROLS = (
    ("firewall_default_deny", "Lalu lintas masuk ditolak", "tinggi", "C5 D1", "servers endpoints"),
    ("firewall_drops_recorded", "Penolakan dicatat", "rendah", "D1", "servers gateways"),
    ("ssh_keys_only", "Login SSH hanya dengan kunci", "tinggi", "C5", "managed"),
    ("ssh_no_root_login", "Login SSH sebagai root ditolak", "tinggi", "C5", "managed"),
    ("ssh_warning_shown", "Peringatan tampil sebelum login", "rendah", "C3", "managed"),
    ("time_synchronised", "Jam mesin selaras", "sedang", "C5", "managed"),
    ("updates_automatic", "Pembaruan dipasang otomatis", "sedang", "C6 D4", "servers endpoints"),
    ("updates_in_window", "Pembaruan dalam jendela waktu", "rendah", "C6", "servers"),
)

Answer = Callable[[str, str], dict[str, Any] | None]  # control, host -> fields; None: not asked


def catalogue() -> Catalogue:
    """The controls above with the real SOP."""
    fields = (
        {
            "id": name,
            "title": title,
            "why": "So that the tests have something to ask.",
            "remedy": f"Terapkan peran yang menjaga {name.split('_')[0]}.",
            "sop": steps.split(),
            "severity": severity,
            "applies_to": groups.split(),
            "enforced_by": "ssh_server",
            "references": {"iso27001": "A.8.9"},
            "every": "month",
        }
        for name, title, severity, steps, groups in CONTROLS
    )
    return Catalogue(tuple(Control.model_validate(f) for f in fields), load_sop())


@dataclass
class Court:
    """``var/<court>/`` of the made-up court."""

    folder: Path
    inventory: Path

    @property
    def signer(self) -> Signer:
        return Signer.of(self.folder, self.inventory)

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
        folder = self.folder / "runs" / f"{at:%Y%m%dT%H%M%S}.000Z-{kind}-{at:%d%H}"
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


def rich(court: Court) -> None:
    """Three months with a bit of everything: see what the golden files say of November."""
    known = catalogue()
    off = failing("unattended-upgrades is off", enabled=False)
    root = failing("sshd lets root in: expected no, got yes", permitrootlogin="yes")
    drift = failing("the clock is 4.2 s off", offset_seconds=4.2)
    september = {("ssh_no_root_login", "app"): root, ("time_synchronised", "pc-1"): drift}
    early = {("updates_automatic", "app"): off}
    late = {
        ("updates_automatic", "app"): off,
        ("ssh_no_root_login", "app"): root,
        ("ssh_no_root_login", "pc-1"): root,
        ("time_synchronised", "pc-1"): drift,
        ("firewall_default_deny", "backup"): {"state": "error", "message": "nft printed nothing"},
        ("updates_in_window", "monitor"): {"state": "not_applicable", "message": "no timer here"},
    }
    court.audit("2026-09-29T02:00:00Z", known, faulty(september, down=["monitor"]))
    court.audit("2026-10-29T02:00:00Z", known, faulty({("time_synchronised", "pc-1"): drift}))
    court.audit("2026-11-05T01:10:00Z", known, faulty(early))
    court.audit("2026-11-11T01:10:00Z", known, faulty(early), sealed=False)
    court.apply(
        "2026-11-12T03:00:00Z",
        [
            {"host": "app", "task": "Write the drop-in", "changed": True, "state": "changed"},
            {"host": "pc-2", "task": "Write the drop-in", "changed": False, "state": "unreachable"},
        ],
    )
    court.audit("2026-11-22T08:30:12Z", known, faulty(late, down=["pc-2"]))


WAIVERS = """\
waivers:
- control: updates_automatic
  hosts: [app]
  reason: Aplikasi perkara baru diuji vendor dengan pembaruan otomatis pada Desember.
  owner: nurul
  approver: sri
  granted: 2026-08-01
  expires: 2026-12-10
- control: firewall_drops_recorded
  hosts: [gateway]
  reason: Catatan penolakan sementara dikirim ke perangkat lain.
  owner: dimas
  approver: nurul
  granted: 2026-09-01
  expires: 2027-02-15
"""


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
