"""What a Windows PC saves reaches the archives. A desk with Samba's client stands in for the PC: it
speaks the same SMB 3.1.1 with the same encryption; there is no Windows here."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator

import pytest

from tests.lab.watching import on

PC, SERVER, PERSON, SHARE = "pc-1", "app", "ratna", "kepaniteraan"
TYPED = secrets.token_hex(8)
LETTER = "putusan 12/Pdt.G/2026"


def from_pc(share: str, orders: str, typed: str = TYPED) -> str:
    """What the PC shows, from the staff's zone through the gateway."""
    address = on(SERVER, "hostname -I").split()[0]
    return on(
        PC,
        f"PASSWD={typed} smbclient //{address}/{share} -s /dev/null -U {PERSON} -m SMB3_11"
        f" -c {shlex.quote(orders)} 2>&1 || true",
    )


@pytest.fixture(scope="module")
def pc(lab: str) -> Iterator[None]:
    """With a client, and a person who has typed a password."""
    on(PC, "DEBIAN_FRONTEND=noninteractive apt-get -qq install smbclient >/dev/null 2>&1")
    on(SERVER, f"echo {TYPED} | /usr/local/lib/tameng/file_share password {PERSON}")
    yield
    on(PC, "apt-get -qq purge --autoremove smbclient >/dev/null 2>&1")
    on(SERVER, f"smbpasswd -c /etc/tameng/file_share/smb.conf -x {PERSON}")


def test_what_is_saved_on_a_pc_is_in_the_next_archive(pc: None) -> None:
    """Through the matrix of flows, by name and password, and back out of the repository."""
    on(PC, f"echo '{LETTER}' >/run/surat.txt")
    from_pc(SHARE, "mkdir 2026; put /run/surat.txt 2026\\surat.txt")
    on(SERVER, "systemctl start tameng-backup.service")
    borg = "/usr/local/lib/tameng/backup borg"
    newest = f"$({borg} list --last 1 --short)"
    said = on(SERVER, f"{borg} extract --stdout ::{newest} srv/share/{SHARE}/2026/surat.txt")
    assert said == LETTER


def test_nobody_sees_anothers_files(pc: None) -> None:
    """A person stays in his own share, and a wrong password in none."""
    assert "ACCESS_DENIED" in from_pc("kesekretariatan", "ls")
    assert "LOGON_FAILURE" in from_pc(SHARE, "ls", "wrong-password")


def test_a_short_password_is_refused(pc: None) -> None:
    """And so is one of somebody whom the inventory doesn't name."""
    program = "/usr/local/lib/tameng/file_share"
    assert "at least" in on(SERVER, f"echo pendek | {program} password {PERSON} 2>&1 || true")
    said = on(SERVER, f"echo {TYPED} | {program} password tamu 2>&1 || true")
    assert "the inventory says who" in said


def test_who_guesses_locks_the_account_for_a_while(pc: None) -> None:
    """From a PC, until somebody unlocks it by the README's words."""
    for _ in range(5):
        from_pc(SHARE, "ls", "wrong-password")
    assert "LOCKED_OUT" in from_pc(SHARE, "ls")
    assert "unlocked" in on(SERVER, f"/usr/local/lib/tameng/file_share unlock {PERSON}")
    assert "blocks available" in from_pc(SHARE, "ls")
