"""The log server may be away: nothing waits for it, and nothing is lost. And it takes nothing from
who can't prove who he is."""

from __future__ import annotations

import json
import time

import pytest

from tests.lab.watching import ansible_playbook, on

SENDERS = ["pc-1", "pc-2"]  # Debian 13 and 12
LINES = 2000
FOLDER = "/etc/tameng/log"
POST = (
    "POST /upload HTTP/1.1\\r\\nHost: log\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"
)


def write(host: str, mark: str) -> float:
    """Seconds that LINES marked lines take until journald has them."""
    return float(
        on(
            host,
            f"began=$(date +%s.%N); seq -f '{mark} %g' {LINES} | systemd-cat -t proof;"
            ' journalctl --sync; echo "$(date +%s.%N) $began" | awk "{ print \\$1 - \\$2 }"',
        )
    )


def arrived(host: str, mark: str) -> int:
    """How many different lines of this mark the log server has of this host."""
    file = f"/var/log/journal/remote/{host}.journal"
    return int(
        on(
            "monitor",
            f"journalctl -q --file={file} -t proof -o cat -g '^{mark} ' | sort -u | wc -l",
        )
    )


@pytest.mark.usefixtures("lab")
def test_loss_of_the_log_server_blocks_nobody_and_loses_nothing() -> None:
    """Two thousand lines, written while it is away, are all there soon after it is back; they took
    no longer to write than with it."""
    mark = f"proof-{time.time_ns()}"
    with_it = {host: write(host, f"{mark}-with") for host in SENDERS}
    on("monitor", "systemctl stop tameng-log-gate.service")
    try:
        without = {host: write(host, f"{mark}-without") for host in SENDERS}
        time.sleep(20)  # the senders fail, and fail again
        assert [arrived(host, f"{mark}-without") for host in SENDERS] == [0, 0]
        # A sender that is started anew meanwhile goes on from its cursor, too.
        on("pc-1", "systemctl restart --no-block systemd-journal-upload.service")
    finally:
        on("monitor", "systemctl start tameng-log-gate.service")
    until = time.monotonic() + 60
    got: dict[str, int] = {}
    while time.monotonic() < until and set(got.values()) != {LINES}:
        time.sleep(2)
        got = {host: arrived(host, f"{mark}-without") for host in SENDERS}
    assert got == dict.fromkeys(SENDERS, LINES)
    for host in SENDERS:
        assert without[host] < 3 * with_it[host] + 1, (with_it, without)


@pytest.mark.usefixtures("lab")
def test_only_a_certificate_of_the_court_is_let_in() -> None:
    """No certificate, a self-made one for a host's own key, and the log server's own: all refused;
    a sender's true one gets through to its receiver (which wants a journal, and says so)."""
    address = on(
        "pc-1", "sed -n 's,^URL=https://,,p' /etc/systemd/journal-upload.conf.d/zz-tameng.conf"
    )
    said = {}
    on(
        "pc-1",
        f"openssl req -x509 -new -key {FOLDER}/host.key -subj /CN=pc-2 -days 2 -out /run/self.crt",
    )
    for who, host, words in (
        ("nobody", "pc-1", ""),
        ("self-made", "pc-1", f"-cert /run/self.crt -key {FOLDER}/host.key"),
        ("log server", "monitor", f"-cert {FOLDER}/host.crt -key {FOLDER}/host.key"),
        ("sender", "pc-1", f"-cert {FOLDER}/host.crt -key {FOLDER}/host.key"),
    ):
        said[who] = on(
            host,
            f"printf '{POST}' | timeout 10 openssl s_client -quiet -connect {address} {words}"
            " 2>/dev/null | head -n 1 | cut -d' ' -f2",
        )
    on("pc-1", "rm /run/self.crt")
    assert said == {"nobody": "400", "self-made": "400", "log server": "400", "sender": "415"}


@pytest.mark.usefixtures("lab")
def test_a_certificate_is_renewed_before_its_end() -> None:
    """A run that finds too few days left has the same key signed anew, and the log goes on."""
    facts = (
        f"openssl x509 -in {FOLDER}/host.crt -noout -serial;"
        f" openssl pkey -in {FOLDER}/host.key -pubout"
    )
    before = on("pc-1", facts).split("\n", 1)
    wanted = {"certificate_days": 200, "certificate_renew_days": 190}
    ansible_playbook(
        "playbooks/site.yml", "--limit", "pc-1", "--tags", "logging", "-e", json.dumps(wanted)
    )
    after = on("pc-1", facts).split("\n", 1)
    assert after[0] != before[0], "the old certificate is still there"
    assert after[1] == before[1], "the host has another key"
    mark = f"renewed-{time.time_ns()}"
    on("pc-1", f"logger -t proof '{mark} 1'")
    until = time.monotonic() + 30
    while time.monotonic() < until and not arrived("pc-1", mark):
        time.sleep(2)
    assert arrived("pc-1", mark) == 1
