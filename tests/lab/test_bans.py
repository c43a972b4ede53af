"""Who guesses at log-ins is shut out within seconds, by fail2ban's own table, and let in again; the
operator never is. A desk that has no business at the gateway's SSH plays the attacker, and guesses
at the website."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.lab import plan
from tests.lab.watching import DOOR, WRONG, guess_at_website, on

TARGET, STRANGER, WEBSITE = "gateway", "pc-2", "app"
MOST_LOG_INS = 10


def is_banned(address: str, host: str = TARGET, jail: str = "sshd") -> bool:
    """As the kernel has it."""
    return address in on(host, f"nft list set inet f2b-table addr-set-{jail}").split()


def reaches(address: str, port: int = 22) -> bool:
    """Whether the attacker gets as far as sshd, or another server."""
    knock = f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo in || echo out"
    return on(STRANGER, knock) == "in"


def seconds_to_ban(lines: list[str], attacker: str, guess: str) -> float:
    """From the last guess in these lines of a journal before the ban, until it; and tells."""
    ban = next(at for at, line in enumerate(lines) if f"Ban {attacker}" in line)
    guesses = [line for line in lines[:ban] if guess in line]
    assert guesses
    seconds = float(lines[ban].split()[0]) - float(guesses[-1].split()[0])
    print(f"banned after {len(guesses)} wrong log-ins, {seconds:.2f} s after the last of them")
    return seconds


@pytest.fixture(scope="module")
def addresses(lab: str) -> Iterator[tuple[str, str]]:
    """Attacker's and target's; the firewall lets the attacker in, so that only bans count."""
    known = plan(lab)
    attacker, target = known[STRANGER]["staff"], known[TARGET]["staff"]
    on(STRANGER, "rm -f /run/wrong-key*; ssh-keygen -q -t ed25519 -N '' -f /run/wrong-key")
    on(TARGET, f"{DOOR}; fail2ban-client unban {attacker}")
    yield attacker, target
    on(TARGET, f"fail2ban-client unban {attacker}; systemctl restart fail2ban.service")
    on(TARGET, "systemctl reload tameng-firewall.service")
    on(STRANGER, "rm -f /run/wrong-key*")


def test_who_guesses_is_shut_out_within_seconds(addresses: tuple[str, str]) -> None:
    """From the last wrong log-in that sshd noted before the ban, until the ban is made."""
    attacker, target = addresses
    began = on(TARGET, "date +%s.%N")
    assert reaches(target)
    refused = f"for i in $(seq {MOST_LOG_INS}); do {WRONG} admin$i@{target} 2>&1 | tail -n 1; done"
    assert "refused" in on(STRANGER, refused)
    assert is_banned(attacker)
    assert not reaches(target)
    log = f"journalctl -q -o short-unix --since @{began} -u ssh.service -u fail2ban.service"
    lines = on(TARGET, f"{log} | grep -F ' {attacker}'").splitlines()
    assert seconds_to_ban(lines, attacker, "Invalid user") < 10


def test_who_guesses_at_the_website_is_shut_out_and_released(lab: str) -> None:
    """By its log-in form over TLS; one command lets him in again."""
    attacker, target = plan(lab)[STRANGER]["staff"], plan(lab)[WEBSITE]["servers"]
    on(WEBSITE, f"fail2ban-client unban {attacker}")
    began = on(WEBSITE, "date +%s.%N")
    assert reaches(target, 443)
    try:
        guess_at_website(STRANGER, MOST_LOG_INS)
        until = time.monotonic() + 10
        while time.monotonic() < until and not is_banned(attacker, WEBSITE, "tameng-website"):
            time.sleep(0.5)
        assert is_banned(attacker, WEBSITE, "tameng-website")
        assert not reaches(target, 443)
        noted = "SYSLOG_IDENTIFIER=tameng-website + _SYSTEMD_UNIT=fail2ban.service"
        log = f"journalctl -q -o short-unix --since @{began} {noted} | grep -F ' {attacker}'"
        lines = on(WEBSITE, log).splitlines()
        assert seconds_to_ban(lines, attacker, "wrong log-in") < 10
    finally:
        on(WEBSITE, f"fail2ban-client unban {attacker}")
    assert reaches(target, 443)


def test_neither_table_takes_the_other_along(addresses: tuple[str, str]) -> None:
    """The ban outlives a reload of our firewall, and our rules a restart of fail2ban; that one
    brings the ban back, too."""
    attacker, _ = addresses
    on(
        TARGET,
        f"fail2ban-client set sshd banip {attacker}; systemctl reload tameng-firewall.service",
    )
    assert is_banned(attacker)
    before = on(TARGET, "nft -s list table inet tameng")
    on(TARGET, "systemctl restart fail2ban.service")
    assert on(TARGET, "nft -s list table inet tameng") == before
    assert is_banned(attacker)
    on(TARGET, DOOR)


def test_one_command_releases_an_address(addresses: tuple[str, str]) -> None:
    """As docs/how-to/release-an-address.md says."""
    attacker, target = addresses
    on(TARGET, f"fail2ban-client set sshd banip {attacker}")
    assert not reaches(target)
    on(TARGET, f"fail2ban-client unban {attacker}")
    assert not is_banned(attacker)
    assert reaches(target)


def test_a_ban_ends_by_itself(addresses: tuple[str, str]) -> None:
    """One of five seconds."""
    attacker, target = addresses
    on(TARGET, f"fail2ban-client set sshd bantime 5; fail2ban-client set sshd banip {attacker}")
    assert not reaches(target)
    until = time.monotonic() + 20
    while time.monotonic() < until and is_banned(attacker):
        time.sleep(1)
    assert reaches(target)


def test_the_operator_is_never_banned(lab: str, tmp_path: Path) -> None:
    """He mistypes as often as the attacker, and fail2ban says that it leaves him out."""
    on(TARGET, "fail2ban-client set sshd maxretry 2")  # sshd itself holds more against an address
    began = on(TARGET, "date +%s.%N")
    key = str(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    command = [*shlex.split(WRONG.replace("/run/wrong-key", key))]
    for name in ("wrong1", "wrong2"):
        login = [*command, f"{name}@{plan(lab)[TARGET]['management']}"]
        assert subprocess.run(login, check=False, capture_output=True).returncode
    ignored = f"journalctl -q -o cat --since @{began} -u fail2ban.service -g 'Ignore|Ban'"
    until = time.monotonic() + 10
    while time.monotonic() < until and "Ignore" not in on(TARGET, f"{ignored}; true"):
        time.sleep(0.5)
    told = on(TARGET, f"{ignored}; true")
    on(TARGET, "systemctl restart fail2ban.service")
    assert "Ignore" in told
    # An attacker of before may have guesses to his name, and two are too many now.
    operator = told.partition("Ignore ")[2].split()[0]
    assert f"Ban {operator}" not in told
