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
    "backup": ["all", "backup_servers", "managed", "servers"],
    "gateway": ["all", "gateways", "managed"],
    "monitor": ["all", "log_servers", "managed", "servers"],
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
    ("warnings_nothing_waits", "Peringatan tidak tertahan", "tinggi", "C2 D1", "log_servers"),
    ("bans_noted", "Pemblokiran dicatat", "sedang", "C2 D1", "servers gateways"),
    ("antivirus_running", "Antivirus menjawab", "tinggi", "D5", "servers endpoints"),
    ("antivirus_noted", "Temuan dicatat", "tinggi", "D5", "servers endpoints"),
    ("antivirus_signatures_fresh", "Tanda virus baru", "tinggi", "D5", "servers endpoints"),
    ("antivirus_scanned", "Seluruh berkas dipindai", "sedang", "D5", "servers endpoints"),
    ("antivirus_quarantine_decided", "Temuan diputuskan", "sedang", "D5", "servers endpoints"),
    ("backup_fresh", "Arsip terbaru ada", "tinggi", "D5", "backup_servers"),
    ("backup_checked", "Repositori diperiksa", "sedang", "D5", "backup_servers"),
    ("backup_restored", "Arsip diuji pulih", "tinggi", "D5", "backup_servers"),
    ("backup_offline_copy", "Salinan di luar jaringan", "tinggi", "D5", "backup_servers"),
    ("backup_second_copy", "Salinan kedua di tempat lain", "tinggi", "D5", "backup_servers"),
    ("backup_escrow_opens", "Titipan membuka repositori", "tinggi", "D5", "backup_servers"),
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
        ("warnings_nothing_waits", "monitor"): {"state": "pass", "measured": WARNED},
        ("bans_noted", "app"): {"state": "pass", "measured": BANNED},
        ("bans_noted", "backup"): {"state": "pass", "measured": {"bans_count": 0, "bans": []}},
        **GUARDED,
        **ARCHIVED,
        ("bans_noted", "gateway"): {"state": "error", "message": "fail2ban said nothing"},
    }
    october = {
        ("time_synchronised", "pc-1"): drift,
        ("warnings_nothing_waits", "monitor"): {"state": "pass", "measured": WARNED_IN_OCTOBER},
        ("antivirus_noted", "pc-1"): {"state": "pass", "measured": {"found_count": 2, "found": []}},
    }
    court.audit("2026-09-29T02:00:00Z", known, faulty(september, down=["monitor"]))
    court.audit("2026-10-29T02:00:00Z", known, faulty(october))
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


WARNED = {
    "since": "2026-10-31T16:00:00Z",
    "waiting": 1,
    "events": [
        {"kind": "crossing_refused", "zone": "guest", "week": "2026-11-16", "count": 1204},
        {"kind": "login", "zone": "management", "week": "2026-11-09", "count": 31},
        {"kind": "login", "zone": "management", "week": "2026-11-16", "count": 44},
        {"kind": "login_refused", "zone": "staff", "week": "2026-11-09", "count": 12},
        {"kind": "scan_seen", "zone": "guest", "week": "2026-11-16", "count": 2},
        {"kind": "sudo_refused", "zone": "", "week": "2026-11-16", "count": 1},
    ],
    "sources": [
        {"source": "10.77.40.11", "zone": "guest", "count": 1204},
        {"source": "10.77.20.12", "zone": "staff", "count": 12},
        {"source": "budi@pc-1", "zone": "", "count": 1},
    ],
    "warnings_count": 3,
    "warnings": [
        {
            "name": "20261120-3", "kind": "sudo_refused", "subject": "budi@pc-1", "zone": "",
            "grade": "sedang", "hosts": ["pc-1"], "count": 1, "opened": "2026-11-20T13:05:00Z",
            "last": "2026-11-20T13:05:00Z", "sent": None,
        },
        {
            "name": "20261118-2", "kind": "scan", "subject": "10.77.40.11", "zone": "guest",
            "grade": "sedang", "hosts": ["gateway"], "count": 1204,
            "opened": "2026-11-18T02:10:00Z", "last": "2026-11-18T02:41:30Z",
            "sent": "2026-11-18T02:10:07Z",
        },
        {
            "name": "20261110-1", "kind": "login_refused", "subject": "10.77.20.12",
            "zone": "staff", "grade": "sedang", "hosts": ["app", "backup"], "count": 12,
            "opened": "2026-11-10T01:00:00Z", "last": "2026-11-10T01:02:00Z",
            "sent": "2026-11-10T01:00:09Z",
        },
    ],
}  # fmt: skip

WARNED_IN_OCTOBER: dict[str, Any] = {
    "since": "2026-09-30T16:00:00Z",
    "waiting": 0,
    "events": [
        {"kind": "crossing_refused", "zone": "guest", "week": "2026-10-12", "count": 96},
        {"kind": "crossing_refused", "zone": "staff", "week": "2026-10-19", "count": 4},
        {"kind": "login", "zone": "management", "week": "2026-10-19", "count": 80},
        {"kind": "login_refused", "zone": "staff", "week": "2026-10-19", "count": 12},
    ],
    "sources": [{"source": "10.77.40.11", "zone": "guest", "count": 96}],
    "warnings_count": 0,
    "warnings": [],
}

BANNED = {
    "logtarget": "SYSTEMD-JOURNAL",
    "bans_count": 3,
    "bans": [
        {"jail": "sshd", "address": "10.77.20.12", "count": 2},
        {"jail": "sshd", "address": "fd00:10:77:20::19", "count": 1},
    ],
}

OCCURRENCES = """\
---
occurrences:
  - warning: 20261110-1
    judged: exercise
    note: "Latihan penetrasi oleh tim TI, sesuai rencana bulan ini"
    by: nurul
    at: 2026-11-10T03:00:00Z
"""

OFFLINE_COPIES = """\
---
offline_copies:
  - name: 20261116-021500
    medium: "Disk A, WD Elements 4711"
    place: "Brankas kepaniteraan"
    holder: nurul
    by: dimas
    at: 2026-11-16T03:00:00Z
"""

NETWORK = """\
network_zones:
  staff: {interface: staff, networks: [10.77.20.0/24]}
  guest: {interface: guest, isolated: true, networks: ["{{ net }}.40.0/24"]}
network_addresses: []
network_flows:
  - {id: web, from: [staff], to: [app], services: [tcp/443], review: "2027-05-31",
     why: Pegawai bekerja dengan aplikasi perkara., owner: nurul}
  - {id: printer, from: [staff, management], to: [backup], services: [tcp/9100, ping],
     why: Uji cetak dari peladen cadangan., owner: dimas, review: "2026-11-01"}
"""

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


def _found(name: str, **fields: Any) -> dict[str, Any]:
    """As the antivirus records it."""
    told = {"id": name, "found": "Win.Trojan.Contoh-1", "path": "/home/budi/Unduhan/surat.doc.exe",
            "owner": "budi", "sha256": "5e" * 32, "by": "access", "left": "", "decided": None,
            "at": "2026-11-17T03:20:00Z"}  # fmt: skip
    return told | fields


def _restore(day: str, **fields: Any) -> dict[str, Any]:
    """As a restore's record, kept at noon."""
    kept = dt.datetime.fromisoformat(f"{day}T04:00:00+00:00").timestamp()
    return {"client": "app", "on": "monitor", "kept": kept, "wrong": []} | fields


APP = {"archive": "app-2026-11-20T04:10:07", "id": "a1b2" * 16}
COPIED = ("20261019-021500", "20261116-021500", "20261121-030000")


def _copy(name: str, **more: Any) -> dict[str, Any]:
    """One repository's part of a copy."""
    at = dt.datetime.strptime(name, "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC).timestamp()
    return {
        "name": name, "kept": at + 600, "minutes": 10.0, "archives": 1_214, "files": 2_408,
        "bytes": 7_516_192_768, "newest": APP["archive"], "id": APP["id"], "newest_at": at,
        "disk": {"uuid": "5c1a-77", "label": "LUAR-A", "fstype": "ext4"}, **more,
    }  # fmt: skip


def _second(**more: Any) -> dict[str, Any]:
    """What the second site says of one repository, and what was sent there last."""
    at = dt.datetime(2026, 11, 20, 13, 40, tzinfo=dt.UTC).timestamp()
    return {
        "list": "20261120T134000Z", "lists": 41, "sha256": "ab" * 32, "files": 2_409, "missing": [],
        "bytes": 7_516_194_100,
        "record": {
            "kept": at, "list": "20261120T134000Z", "sha256": "ab" * 32, "files": 2_409,
            "sent": 52_428_800, "read": at - 864_000, "bad": 0, "minutes": 1.4, "archives": 1_214,
            "newest": APP["archive"], "id": APP["id"], "newest_at": at,
        },
        **more,
    }  # fmt: skip


RESTORED = [
    _restore(
        "2026-10-20", **APP, rpo_hours=3.0, rto_minutes=9.0, bytes=1, files=1, tables=0, rows=0,
    ),
    _restore("2026-11-18", wrong=["borg list: Connection refused"]),
    _restore(
        "2026-11-20", **APP, rpo_hours=0.5, rto_minutes=1.26, bytes=5_767_168, files=1_204,
        application={"name": "wordpress", "title": "Pengadilan Agama Penajam", "user": "pengelola"},
        tables=12, rows=15_530, on="app", placed={"files": 310, "bytes": 4_194_304},
    ),
]  # fmt: skip
ARCHIVED: dict[tuple[str, str], dict[str, Any]] = {
    ("backup_fresh", "backup"): {
        "state": "pass",
        "measured": {
            "kept": {
                "app": {
                    "archives": 1_214, "hours": 26.04, "newest": APP["archive"], "id": APP["id"],
                    "bytes": 7_516_192_768,
                },
            },
        },
    },
    ("backup_checked", "backup"): {
        "state": "pass",
        "measured": {
            "checks": {
                "app": {"days": 2.0, "data": 20.5}, "monitor": {"days": 2.0, "data": 20.5},
            },
        },
    },
    ("backup_restored", "backup"): {
        "state": "pass", "measured": {"restores": {"app": RESTORED}},
    },
    ("backup_escrow_opens", "backup"): {
        "state": "pass",
        "measured": {
            "holders": {"nurul": "AbCd1w", "sri": "EfGh2x"},
            "app": ["AbCd1w", "EfGh2x", "server"], "monitor": ["AbCd1w", "server"],
        },
    },
    ("backup_second_copy", "backup"): {
        "state": "fail",
        "message": "monitor: the second site lacks repository/data/0/14",
        "measured": {
            "place": "Gedung arsip",
            "second": {"app": _second(), "monitor": _second(missing=["repository/data/0/14"])},
        },
    },
    ("backup_offline_copy", "backup"): {
        "state": "pass",
        "measured": {
            "copies": {
                "app": [_copy(n) for n in COPIED],
                "monitor": [_copy("20261116-021500", archives=14)],
            },
            "plugged": True,
        },
    },
}  # fmt: skip
DELETED = {"what": "delete", "who": "tameng", "why": "Lampiran surel palsu.",
           "at": "2026-11-17T04:00:00Z"}  # fmt: skip
LEFT = {"by": "scan", "left": "the disk is full", "at": "2026-11-20T18:00:00Z"}
GUARDED: dict[tuple[str, str], dict[str, Any]] = {
    ("antivirus_running", "app"): {"state": "pass", "measured": {"engine": "ClamAV 1.4.6"}},
    ("antivirus_running", "pc-1"): {"state": "pass", "measured": {"engine": "ClamAV 1.4.6"}},
    ("antivirus_running", "backup"): {"state": "not_applicable", "message": "1024 MiB of memory"},
    ("antivirus_signatures_fresh", "app"): {
        "state": "pass",
        "measured": {
            "official": "2026-11-22T01:00:00Z",
            "updated": "2026-11-22T04:10:00Z",
            "files": ["daily.cld", "main.cvd", "tameng.hsb"],
        },
    },
    ("antivirus_signatures_fresh", "pc-1"): {
        "state": "pass",
        "measured": {
            "official": None, "updated": "2026-11-22T04:10:00Z", "files": ["tameng.hsb"],
        },
    },
    ("antivirus_scanned", "app"): {"state": "pass", "measured": {"full": "2026-11-21T19:02:00Z"}},
    ("antivirus_noted", "app"): {"state": "pass", "measured": {"found_count": 0, "found": []}},
    ("antivirus_noted", "pc-1"): {
        "state": "pass",
        "measured": {
            "found_count": 3,
            "found": [
                _found("20261117-a1b2c3", decided=DELETED),
                _found("20261118-d4e5f6", at="2026-11-18T01:00:00Z"),
                _found("20261121-a7b8c9", **LEFT),
            ],
        },
    },
    ("antivirus_quarantine_decided", "pc-1"): {"state": "pass", "measured": {"waiting": 2}},
}  # fmt: skip
