"""The early warning's program: what it recognises, what it makes one warning of, when it tells."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.documents import watched

PROGRAM = Path(__file__).parents[3] / "roles/warnings/templates/usr/local/lib/tameng/warnings"
ZONES = {"staff": ["10.0.20.0/24", "fd00:20::/64"], "guest": ["10.0.40.0/24"]}
NOON = time.mktime((2026, 11, 23, 12, 0, 0, 0, 0, -1))
NIGHT = {"from": "21:00", "to": "06:00", "but_for": "tinggi"}


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    """Its modules, as the program itself finds them."""
    sys.path.insert(0, str(PROGRAM))
    names = ["events", "book", "sending"]
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.dont_write_bytecode = before
    sys.path.remove(str(PROGRAM))
    for name in names:
        del sys.modules[name]


@pytest.fixture
def book(program: Any) -> Any:
    """An empty one, at noon, that sends by mail."""
    made: Any = program.book.Book(":memory:", ["mail"], clock=lambda: made.now)
    made.now = NOON
    made.open(365, "{}")
    return made


def entry(said: str, name: str = "sshd-session", **fields: Any) -> dict[str, Any]:
    return {"SYSLOG_IDENTIFIER": name, "MESSAGE": said, "_UID": 0, **fields}


def packet(word: str, port: int = 445, source: str = "10.0.40.9") -> str:
    return (
        f"tameng {word}:  IN=guest OUT=servers MAC=x SRC={source} DST=10.0.10.5 LEN=60"
        f" PROTO=TCP SPT=4 DPT={port} SEQ=1"
    )


def alert(kind: str, source: str = "10.0.40.9", **fields: Any) -> dict[str, Any]:
    """As Suricata 7 writes it to the journal; a rule of others has no kind."""
    rule: dict[str, Any] = {"signature_id": 1, "severity": fields.pop("severity", 3)}
    if kind:
        rule["metadata"] = {"tameng": [kind]}
    seen = {
        "event_type": "alert", "in_iface": "guest0", "src_ip": source, "dest_ip": "10.0.10.5",
        "dest_port": 445, "proto": "TCP", "alert": rule,
    }  # fmt: skip
    said = json.dumps(seen | fields)
    return entry(said, "suricata", _SYSTEMD_UNIT="tameng-detection.service", _UID=61000)


def malware(**fields: Any) -> dict[str, Any]:
    """As the antivirus writes it to the journal."""
    found = {"id": "x", "found": "Win.Trojan.X-1", "path": "/home/budi/a b", "owner": "budi",
             "sha256": "0", "by": "access", "left": "", "test": False}  # fmt: skip
    unit = fields.pop("unit", "tameng-antivirus-quarantine.service")
    said = json.dumps({"antivirus": found | fields})
    return entry(said, "tameng-antivirus", _SYSTEMD_UNIT=unit, _UID=105)


NFLOG: dict[str, Any] = {"name": "ulogd", "_SYSTEMD_UNIT": "ulogd2.service", "_UID": 101}

FAIL2BAN: dict[str, Any] = {"name": "fail2ban", "_SYSTEMD_UNIT": "fail2ban.service"}
SAVES: dict[str, Any] = {"name": "tameng-backup", "_SYSTEMD_UNIT": "tameng-backup.service"}
WEBSITE: dict[str, Any] = {
    "name": "tameng-website", "_SYSTEMD_UNIT": "apache2.service", "_UID": 33,
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "kind", "source", "target", "zone"),
    [
        (entry("Connection closed by invalid user a b 10.0.40.9 port 5 [preauth]"),
         "login_refused", "10.0.40.9", "a b@app", "guest"),
        (entry("Disconnected from authenticating user root fd00:20::7 port 5 [preauth]"),
         "login_refused", "fd00:20::7", "root@app", "staff"),
        (entry("Connection closed by invalid user nobody 127.0.0.1 port 5 [preauth]"),
         "login_refused", "app", "nobody@app", ""),
        (entry("Accepted publickey for tameng from 9.9.9.9 port 5 ssh2: ED25519 x"),
         "login", "9.9.9.9", "tameng@app", "wan"),
        (entry("wrong log-in from 10.0.20.9", **WEBSITE),
         "web_login_refused", "10.0.20.9", "app", "staff"),
        (entry("wrong log-in from 127.0.0.1", **WEBSITE), "web_login_refused", "app", "app", ""),
        (entry("[sshd] Ban 10.0.20.9", **FAIL2BAN), "login_banned", "10.0.20.9", "sshd", "staff"),
        (entry("[tameng-website] Ban 9.9.9.9", **FAIL2BAN),
         "web_login_banned", "9.9.9.9", "tameng-website", "wan"),
        (entry("[zone-guest] Ban 10.0.40.9", **FAIL2BAN),
         "zone_banned", "10.0.40.9", "zone-guest", "guest"),
        (entry("    budi : no tty ; HOST=app.lan ; PWD=/ ; USER=root", "sudo", _UID=1001),
         "sudo_refused", "budi@app", "", ""),
        (entry("    tamu : 3 incorrect password attempts ; HOST=app.lan ; TTY=pts/1 ; PWD=/",
               "sudo", _UID=1001),
         "sudo_refused", "tamu@app", "", ""),
        (entry(packet("guest>servers"), **NFLOG),
         "crossing_refused", "10.0.40.9", "10.0.10.5 tcp/445", "guest"),
        (entry(packet("spoofed in guest", source="1.2.3.4"), **NFLOG),
         "spoofed", "1.2.3.4", "10.0.10.5 tcp/445", "guest"),
        (entry(packet("drop"), "kernel", _TRANSPORT="kernel"),
         "host_refused", "10.0.40.9", "10.0.10.5 tcp/445", "guest"),
        (alert("lateral_seen"), "lateral_seen", "10.0.40.9", "10.0.10.5 tcp/445", "guest"),
        (alert("sweep_seen", source="fd00:0020:0000::0007"),
         "sweep_seen", "fd00:20::7", "10.0.10.5 tcp/445", "staff"),
        (alert("flood_seen"), "flood_seen", "10.0.40.9", "10.0.10.5", "guest"),
        (alert("router_seen", source="fe80::0bad", dest_ip="ff02::0001", proto="IPv6-ICMP",
               dest_port=None),
         "router_seen", "fe80::bad%guest0", "ff02::1 ipv6-icmp", ""),
        (malware(), "malware_found", "budi@app", "Win.Trojan.X-1", ""),
        (malware(unit="tameng-antivirus-scan.service", left="the disk is full"),
         "malware_left", "budi@app", "Win.Trojan.X-1", ""),
        (malware(test=True), "malware_test", "budi@app", "Win.Trojan.X-1", ""),
        (entry("app: the run failed (exit-code) and is tried again", **SAVES),
         "run_failed", "app", "", ""),
        (alert("", severity=1), "grave_seen", "10.0.40.9", "10.0.10.5 tcp/445", "guest"),
        (alert("", severity=2), "odd_seen", "10.0.40.9", "10.0.10.5 tcp/445", "guest"),
    ],
)  # fmt: skip
def test_what_is_an_event(
    program: Any, told: dict[str, Any], kind: str, source: str, target: str, zone: str
) -> None:
    event = program.events.recognise(told, NOON, "app", ZONES)
    assert (event.kind, event.source, event.target, event.zone) == (kind, source, target, zone)


@pytest.mark.parametrize(
    "told",
    [
        entry("Connection closed by 10.0.20.5 port 5 [preauth]"),
        entry("Connection closed by invalid user x 10.0.40.9 port 5 [preauth]", _UID=1001),
        entry(packet("guest>servers"), "ulogd", _SYSTEMD_UNIT="user@1001.service", _UID=1001),
        entry("uji", "tameng-warnings-test", _UID=1001),
        entry("wrong log-in from 10.0.20.9", "tameng-website", _UID=33),
        entry("[sshd] Restore Ban 10.0.20.9", **FAIL2BAN),
        entry("[sshd] Ban 10.0.20.9", "fail2ban", _UID=1001),
        alert("self_test"),
        malware(unit="user@1001.service"),
        entry(
            '{"scan": {"files": 3}}',
            "tameng-antivirus",
            _SYSTEMD_UNIT="tameng-antivirus-scan.service",
            _UID=105,
        ),
        entry("gateway: the run failed (exit-code) and is tried again", **SAVES),
        entry("app: archives vanished: 3", **SAVES),
        entry("app: the run failed", "tameng-backup", _SYSTEMD_UNIT="user@1001.service"),
        alert("scan_seen") | {"_SYSTEMD_UNIT": "user@1001.service"},
        entry(
            "all 6 packet processing threads", "suricata", _SYSTEMD_UNIT="tameng-detection.service"
        ),
        entry("    tameng : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", "sudo"),
    ],
)
def test_what_is_none(program: Any, told: dict[str, Any]) -> None:
    """What is no sign of anything, and what somebody without rights says in another's name."""
    assert program.events.recognise(told, NOON, "app", ZONES) is None


def come(program: Any, book: Any, kind: str, at: float, **fields: str) -> None:
    fields = {"host": "app", "source": "10.0.40.9", "target": "x", "zone": "guest"} | fields
    book.now = at
    book.take("app", [program.events.Event(at=at, kind=kind, **fields)], None, at)


def test_a_scan_is_one_warning(program: Any, book: Any) -> None:
    """A thousand refused packets: one warning, one letter, and all are counted."""
    for n in range(1000):
        come(program, book, "crossing_refused", NOON + n / 10, target=f"10.0.10.5 tcp/{n}")
    (warning,) = book.listed(NOON)
    assert (warning["kind"], warning["subject"], warning["count"]) == ("scan", "10.0.40.9", 1000)
    assert len(book.outgoing("mail")) == 1


def test_who_is_shut_out_before_the_fifth_guess_is_told_of(program: Any, book: Any) -> None:
    """fail2ban counts a wrong name twice; its ban and the refused log-ins are one letter."""
    for n in range(3):
        come(program, book, "login_refused", NOON + n)
    assert not book.listed(NOON)
    come(program, book, "login_banned", NOON + 3, target="sshd")
    come(program, book, "login_refused", NOON + 4)
    (warning,) = book.listed(NOON)
    assert (warning["kind"], warning["grade"]) == ("login_refused", "sedang")


def test_what_two_see_is_one_warning(program: Any, book: Any) -> None:
    """A scan that the gateway refuses and Suricata knows: one letter."""
    come(program, book, "scan_seen", NOON)
    for n in range(20):
        come(program, book, "crossing_refused", NOON + n, target=f"10.0.10.5 tcp/{n}")
    assert [(row["kind"], row["count"]) for row in book.listed(NOON)] == [("scan", 21)]


def test_a_flood_is_told_by_whom_it_hits(program: Any, book: Any) -> None:
    """Its sources are made up, another one each time."""
    for n in range(9):
        come(program, book, "flood_seen", NOON + n, source=f"10.0.40.{n}", target="10.0.10.5")
    assert [(row["subject"], row["grade"]) for row in book.listed(NOON)] == [
        ("10.0.10.5", "tinggi")
    ]


def test_normal_use_raises_none(program: Any, book: Any) -> None:
    """A few slips, over a day, from several desks."""
    for n in range(40):
        source = f"10.0.20.{n % 8}"
        come(program, book, "login_refused", NOON + 600 * n, source=source)
        come(program, book, "crossing_refused", NOON + 600 * n, source=source)
    assert not book.listed(NOON)


def test_one_that_goes_on_is_told_again_later(program: Any, book: Any) -> None:
    """Seven hours of it, a refusal a minute: two letters of one warning. After a silence of more
    than six hours it is another one."""
    for n in range(7 * 60):
        come(program, book, "login_refused", NOON + 60 * n)
    assert len(book.listed(NOON)) == 1
    assert len(book.outgoing("mail")) == 2
    for n in range(5):
        come(program, book, "login_refused", NOON + 15 * 3600 + n)
    assert len(book.listed(NOON)) == 2


def test_a_log_in_after_refusals_is_grave(program: Any, book: Any) -> None:
    """Whose guesses were refused, and who then got in, may have guessed right."""
    come(program, book, "login", NOON)
    for n in range(5):
        come(program, book, "login_refused", NOON + 1 + n)
    come(program, book, "login", NOON + 60)
    grades = {row["kind"]: row["grade"] for row in book.listed(NOON)}
    assert grades == {"login_refused": "sedang", "login_guessed": "tinggi"}


def test_who_is_out_of_reach_gets_it_later(program: Any, book: Any) -> None:
    """Tried again after 30 s, then ever later up to half an hour; after a new start at once."""
    come(program, book, "login_guessed", NOON)
    (letter,) = book.outgoing("mail")
    waits = []
    for _ in range(9):
        book.failed([letter["letter"]], "no answer")
        waits.append(book.waiting()[0]["due"] - book.now)
    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert not book.outgoing("mail")
    book.open(365, "{}")
    assert len(book.outgoing("mail")) == 1
    book.sent([letter["letter"]])
    assert not book.waiting()


@pytest.mark.parametrize(
    ("grade", "hour", "until"),
    [
        ("sedang", 12, 12), ("sedang", 21, 30), ("rendah", 23, 30), ("sedang", 3, 6),
        ("sedang", 6, 6), ("tinggi", 3, 3), ("uji", 3, 3),
    ],
)  # fmt: skip
def test_low_grades_wait_for_the_morning(program: Any, grade: str, hour: int, until: int) -> None:
    """From nine in the evening to six in the morning."""
    midnight = NOON - 12 * 3600
    told = program.sending.quiet_until(NIGHT, grade, midnight + 3600 * hour)
    assert told == midnight + 3600 * until
    assert program.sending.quiet_until({}, grade, NOON) == NOON


def test_every_kind_has_its_words(program: Any) -> None:
    """In letters and in documents the same: the host's program and the reports share no code, so
    each has them; the daily test is in no document."""
    rules = program.events.RULES
    assert {rule.kind for rule in rules} == set(program.sending.WORDS)
    told = {kind: words for kind, words in program.sending.WORDS.items() if kind != "test"}
    assert told == watched.WARNINGS
    known = {kind for rule in rules for kind in rule.events}
    assert known - {"test"} == set(watched.EVENTS) - {"login", "zone_banned", "malware_test"}
    assert known > program.events.SEEN


def test_one_letter_tells_all_that_is_due(program: Any, book: Any) -> None:
    """The gravest first, in Indonesian, with where and when."""
    come(program, book, "sudo_refused", NOON, source="budi@app", zone="")
    come(program, book, "login_guessed", NOON)
    title, text = program.sending.letter("PA Contoh", book.outgoing("mail"))
    assert title == (
        "[PA Contoh] TINGGI: Berhasil masuk SSH setelah berulang kali ditolak: 10.0.40.9"
        " (dan 1 lagi)"
    )
    assert "Sumber: 10.0.40.9 (zona guest)\nTerlihat pada: app\n" in text
    assert text.index("TINGGI") < text.index("SEDANG")


def test_the_month_is_counted(program: Any, book: Any) -> None:
    """By kind, zone and the week's Monday; a test is none."""
    for n in range(6):
        come(program, book, "login_refused", NOON + n)
    come(program, book, "test", NOON, target="uji")
    month = book.month()
    assert month["events"] == [
        {"kind": "login_refused", "zone": "guest", "week": "2026-11-23", "count": 6}
    ]
    assert month["sources"] == [{"source": "10.0.40.9", "zone": "guest", "count": 6}]
    assert [warning["kind"] for warning in month["warnings"]] == ["login_refused"]


def test_what_is_old_goes(program: Any, book: Any) -> None:
    come(program, book, "login_guessed", NOON)
    book.now = NOON + 366 * 86400
    book.prune(365)
    assert not book.listed(0)
    assert not book.rows("SELECT id FROM events UNION ALL SELECT id FROM letters")
