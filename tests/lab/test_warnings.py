"""A warning's whole way, by real packets and log-ins: from one host's misdeed to a letter in the
folder of the lab's mail server. Normal use raises none; a mail server that is away costs nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from email import message_from_string, policy

import pytest

from cli.lab import plan
from tests.lab.watching import LETTERS, NET, forget, on, until

SETTINGS = "/etc/tameng/warnings.json"
# Comes without a key that anybody knows.
STRANGE = [
    *("ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityFile=none"),
]

ZONES = {"servers": 10, "public": 30, "guest": 40, "management": 50}


def scan(zone: str, ports: int = 20) -> str:
    """Knocks at so many closed ports. Each pair of zones has its own limit of what is noted, so
    each test takes another zone; two such scans in a minute are too few for the detection's ban."""
    target = f"{NET}.{ZONES[zone]}.200"
    knock = f'timeout 0.2 bash -c ">/dev/tcp/{target}/$p"'
    return f"for p in $(seq 2000 {1999 + ports}); do {knock}; done 2>/dev/null; true"


def letters() -> list[str]:
    """Subject and text of each letter that arrived."""
    raw = on(
        "monitor", f"for f in $(ls {LETTERS} 2>/dev/null); do cat {LETTERS}/$f; echo ====; done"
    )
    found = []
    for text in filter(str.strip, raw.split("\n====")):
        letter = message_from_string(text.lstrip(), policy=policy.default)
        body = letter.get_body(("plain",))
        found.append(f"{letter['subject']}\n{body.get_content() if body else ''}")
    return found


def quiet(hours: dict[str, str] | None) -> None:
    """Have the program keep these quiet hours."""
    settings = json.loads(on("monitor", f"cat {SETTINGS}")) | {"quiet": hours}
    on("monitor", f"cat > {SETTINGS} <<'END'\n{json.dumps(settings)}\nEND")


@pytest.fixture(scope="module")
def awake(lab: str) -> Iterator[None]:
    """No quiet hours: the tests have to pass at night, too."""
    on("monitor", f"cp -p {SETTINGS} {SETTINGS}.kept")
    quiet(None)
    yield
    on("monitor", f"mv {SETTINGS}.kept {SETTINGS}; systemctl restart tameng-warnings.service")


@pytest.fixture
def fresh(awake: None) -> None:
    """An empty folder of letters, and a book that knows of no event."""
    forget()


@pytest.mark.usefixtures("fresh")
def test_a_scan_is_one_letter() -> None:
    """Twenty refused ports from a desk: one letter, within half a minute, that names the desk."""
    on("pc-1", scan("servers"))
    took = until(30, lambda: any("Pemindaian" in letter for letter in letters()))
    time.sleep(12)
    (letter,) = [letter for letter in letters() if "Pemindaian" in letter]
    print(f"a scan's letter came {took:.0f} s after its end")
    assert re.search(rf"Sumber: {NET}\.20\.11 \(zona staff\)", letter)
    assert "Terlihat pada: gateway" in letter


@pytest.mark.usefixtures("fresh")
def test_refused_log_ins_are_one_letter_and_slips_none() -> None:
    """Two refused log-ins and a refused packet raise nothing; six more log-ins do."""
    knock = f"{' '.join(STRANGE)} nobody@127.0.0.1 true 2>/dev/null"
    on("pc-1", f"for n in 1 2; do {knock}; done; {scan('servers', 1)}")
    time.sleep(15)
    assert not letters(), "normal use is warned of"
    on("pc-1", f"for n in 1 2 3 4 5 6; do {knock}; done; true")
    took = until(30, lambda: any("Percobaan masuk SSH" in letter for letter in letters()))
    print(f"a letter on refused log-ins came {took:.0f} s after the last")
    assert len(letters()) == 1


@pytest.mark.usefixtures("fresh")
def test_a_mail_server_that_is_away_gets_it_later() -> None:
    """The letter waits, the program works on, and it arrives once the server is back."""
    on("monitor", "systemctl stop lab-mail.service")
    try:
        on("pc-1", scan("guest"))
        until(30, lambda: "error" in on("monitor", "warnings waiting"))
        assert on("monitor", "systemctl is-active tameng-warnings.service") == "active"
    finally:
        on("monitor", "systemctl start lab-mail.service")
    took = until(120, lambda: any("Pemindaian" in letter for letter in letters()))
    print(f"it came {took:.0f} s after the mail server was back")
    until(10, lambda: on("monitor", "warnings waiting") == "")


@pytest.mark.usefixtures("fresh")
def test_nothing_waits_for_the_program() -> None:
    """Stopped, logs come in as ever; started again it reads on, and nothing is missed."""
    on("monitor", "systemctl stop tameng-warnings.service")
    on("pc-1", scan("public") + "; logger -t proof while-it-is-away")
    file = "/var/log/journal/remote/pc-1.journal"
    until(30, lambda: on("monitor", f"journalctl -q -t proof --file={file} -n 1 -o cat") != "")
    on("monitor", "systemctl start tameng-warnings.service")
    until(30, lambda: any("Pemindaian" in letter for letter in letters()))


@pytest.mark.usefixtures("fresh")
def test_quiet_hours_hold_all_but_the_grave_back(lab: str) -> None:
    """What can wait does, and says until when; who gets in after guessing is told of at once."""
    hour = int(on("monitor", "date +%k"))
    ends = f"{(hour + 2) % 24:02}:00"
    quiet({"from": f"{(hour - 1) % 24:02}:00", "to": ends, "but_for": "tinggi"})
    on("monitor", "systemctl restart tameng-warnings.service")
    try:
        on("pc-1", scan("management"))
        until(30, lambda: "scan" in on("monitor", "warnings waiting"))
        for _ in range(5):
            subprocess.run([*STRANGE, f"nobody@{plan(lab)['pc-1']['staff']}", "true"], check=False)
        on("pc-1", "true")
        until(30, lambda: any("Berhasil masuk SSH" in letter for letter in letters()))
        assert len(letters()) == 1
        waiting = on("monitor", "warnings waiting").splitlines()
        assert {line.split()[3] for line in waiting} == {"scan", "login_refused"}
        assert all(line.endswith(f" {ends}:00") for line in waiting)
    finally:
        quiet(None)
