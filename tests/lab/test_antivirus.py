"""The antivirus on real hosts: a person's malicious file from the moment it is opened to the letter
and the decision; and what goes wrong (the engine hangs or is killed, its signatures are ruined, the
mirror is away, no room, a wrong clock, little memory), which leaves nobody waiting for long, and no
host unguarded without saying so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from compliance import inventory
from compliance.verdict import State
from inputs import paths
from tests.lab.proving import ask
from tests.lab.watching import ansible_playbook, forget, month, on, until

HOST = "pc-1"
OLD_HOST = "pc-2"  # Debian 12
UNIT = "tameng-antivirus.service"
# The EICAR test file, put together on the host only; alone, and in an archive.
TEXT = """"".join(["X5O!P%@AP[4\\\\PZX54(P^)", "7CC)7}$EICAR-STANDARD",
    "-ANTIVIRUS-TEST-FILE!$H+H*"])"""
EICAR = f"""python3 -c 'import sys
open(sys.argv[1], "w").write({TEXT})' """
PACKED = f"""python3 -c 'import sys, zipfile
zipfile.ZipFile(sys.argv[1], "w").writestr("surat", {TEXT})' """
FULL = "mode=0700,uid=clamav,gid=clamav tmpfs"
BAD, CLEAN = "/srv/budi/surat.doc.exe", "/srv/budi/clean"


def refused(path: str) -> bool:
    return on(HOST, f"timeout 20 cat {path} >/dev/null 2>&1; echo $?") == "1"


def waiting() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(on(HOST, "antivirus facts"))["waiting"]
    return [record for record in found if record["path"].startswith("/srv/budi/")]


def heal() -> None:
    on(HOST, f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


def verdict(control: str, host: str = HOST) -> str:
    """The state and the words of an audit's verdict."""
    found = ask(inventory.load(paths.inventory("lab")), [control], [host])[control, host]
    return f"{found.state}: {found.message}"


def apply(host: str) -> None:
    ansible_playbook("playbooks/site.yml", "--tags", "antivirus", "--limit", host)


@pytest.fixture(autouse=True)
def folder(lab: str) -> Iterator[None]:
    """A person's, in a guarded one; afterwards nothing of it waits for a decision."""
    on(HOST, f"mkdir -p /srv/budi && chown nobody /srv/budi && sleep 1 && echo fine > {CLEAN}")
    yield
    heal()
    on(HOST, "rm -rf /srv/budi")
    for record in waiting():
        on(HOST, f"antivirus delete {record['id']} latihan")


def test_from_a_malicious_file_to_a_letter_and_a_decision() -> None:
    """Refused to root, put away with whose it was, warned of, and gone for good."""
    forget()
    on(HOST, f"setpriv --reuid nobody --regid nogroup --clear-groups sh -c {quoted(EICAR + BAD)}")
    began = time.monotonic()
    assert refused(BAD)
    until(10, lambda: bool(waiting()))
    (record,) = waiting()
    assert (record["owner"], record["path"], record["left"]) == ("nobody", BAD, "")
    until(30, lambda: any(w["kind"] == "malware" for w in month()["warnings"]))
    print(f"\nfrom opening to a warning: {time.monotonic() - began:.0f} s")
    (warning,) = [w for w in month()["warnings"] if w["kind"] == "malware"]
    assert (warning["grade"], warning["hosts"]) == ("tinggi", HOST)
    on(HOST, f"antivirus delete {record['id']} latihan")
    assert not waiting()


def quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"


def test_a_stuck_engine_keeps_nobody_for_long() -> None:
    """It is ended and begins anew; then it guards again."""
    on(HOST, f"systemctl kill -s STOP {UNIT}")
    took = until(25, lambda: on(HOST, f"timeout 20 cat {CLEAN} || true") == "fine")
    print(f"\nopen with a stuck engine: {took:.0f} s")
    until(30, lambda: on(HOST, "antivirus ready && echo ready || true") == "ready")
    on(HOST, EICAR + BAD)
    assert refused(BAD)


def test_a_killed_engine_comes_back() -> None:
    on(HOST, f"systemctl kill -s KILL {UNIT}")
    assert on(HOST, f"timeout 5 cat {CLEAN}") == "fine"
    until(40, lambda: on(HOST, "antivirus ready && echo ready || true") == "ready")


def test_ruined_signatures_are_taken_away() -> None:
    """The engine goes on with those it has; one that starts is mended by what the role calls."""
    on(HOST, f"echo ruined > /var/lib/clamav/other.hsb; systemctl reload {UNIT}; sleep 2")
    on(HOST, EICAR + BAD)
    assert refused(BAD)
    on(HOST, f"systemctl restart --no-block {UNIT}; sleep 3; antivirus ready || antivirus mend")
    assert on(HOST, "ls /var/lib/clamav/other.hsb 2>/dev/null || echo gone") == "gone"
    until(30, lambda: on(HOST, "antivirus ready && echo ready || true") == "ready")


def test_a_folder_that_is_another_one_now_is_guarded_too() -> None:
    """A disk is mounted where the guard knew a folder: the role sees that, and guards the disk."""
    on(HOST, "mount -t tmpfs tmpfs /srv && mkdir /srv/budi")
    try:
        on(HOST, EICAR + BAD)
        assert not refused(BAD)
        on(HOST, f"rm {BAD}")
        apply(HOST)
        on(HOST, EICAR + BAD)
        assert refused(BAD)
    finally:
        on(HOST, "umount -l /srv; systemctl restart tameng-antivirus-access.service")
        on(HOST, "antivirus guarded")


def test_a_bomb_neither_fills_the_disk_nor_stops_the_engine() -> None:
    """A gigabyte of nothing in a megabyte, opened in a guarded folder."""
    on(
        HOST,
        """python3 -c 'import zipfile
with zipfile.ZipFile("/root/bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
    with out.open("x", "w") as inner:
        for _ in range(1024): inner.write(bytes(1 << 20))'
        cp /root/bomb.zip /srv/budi/bomb.zip; rm /root/bomb.zip""",
    )
    free = int(on(HOST, "df --output=avail / | tail -n 1"))
    took = until(30, lambda: on(HOST, "timeout 20 wc -c < /srv/budi/bomb.zip || true") != "")
    assert took < 15
    assert free - int(on(HOST, "df --output=avail / | tail -n 1")) < 300 << 10
    assert on(HOST, "antivirus ready && echo ready") == "ready"


def test_what_is_harmless_comes_back() -> None:
    """Whose it was and who may read it are as before, and it is not found again."""
    name = "/srv/budi/laporan.zip"
    on(HOST, f"{PACKED} {name}; chown nobody {name}; chmod 0640 {name}")
    assert refused(name)
    until(10, lambda: bool(waiting()))
    (record,) = waiting()
    on(HOST, f"antivirus release {record['id']} 'contoh dari pelatihan'")
    assert on(HOST, f"stat -c '%U %a' {name}") == "nobody 640"
    until(10, lambda: not refused(name))
    assert on(HOST, f"sha256sum {name}").split()[0] == record["sha256"]
    on(HOST, "rm -f /var/lib/clamav/tameng-released.sfp")
    assert not waiting()


def test_a_mirror_that_is_away_is_told_of() -> None:
    """Those who fetch there go on with what they have, and the audit says that nothing came."""
    mirror = "tameng-antivirus-mirror.service"
    fetch = "systemctl start tameng-antivirus-signatures.service"
    on("monitor", f"systemctl stop {mirror}")
    try:
        on(HOST, f"! {fetch}")
        on(HOST, EICAR + BAD)
        assert refused(BAD)
        assert verdict("antivirus_updates").startswith("fail: the last fetch of signatures ended")
        assert verdict("antivirus_on_access").startswith("pass")
    finally:
        on("monitor", f"systemctl start {mirror}; sleep 1")
        on(HOST, fetch)
    assert verdict("antivirus_updates").startswith("pass")


@pytest.mark.parametrize(("size", "filled"), [("300m", False), ("1m", True)])
def test_a_full_disk_lets_nothing_pass(size: str, filled: bool) -> None:
    """Without room in the quarantine, even for a record, the file stays where it was, refused to
    everybody; somebody is warned, and the audit says so."""
    kept = "/var/lib/tameng-antivirus/quarantine"
    forget()
    on(HOST, f"mount -t tmpfs -o size={size},{FULL} {kept}")
    try:
        if filled:
            on(HOST, f"! head -c 2M /dev/zero > {kept}/full 2>/dev/null")
        else:
            on(HOST, f"head -c 60M /dev/zero > {kept}/full")
        on(HOST, EICAR + BAD)
        assert refused(BAD)
        until(30, lambda: any(w["kind"] == "malware_left" for w in month()["warnings"]))
        on(HOST, f"test -e {BAD}")
        assert refused(BAD)
        on(HOST, f"sleep 4; ! journalctl -q -u {UNIT} -S -3s | grep FOUND")  # it is left in peace
        assert not verdict("antivirus_quarantines").startswith("pass")
    finally:
        on(HOST, f"rm -f {BAD}; umount {kept}")
    assert verdict("antivirus_quarantines").startswith("pass")


def test_an_engine_without_room_to_unpack_goes_on() -> None:
    """Nobody waits long for what it can't unpack; what it can see it still refuses."""
    room = "/var/cache/tameng-antivirus"
    on(HOST, f"mount -t tmpfs -o size=64k,{FULL} {room}")
    try:
        on(
            HOST,
            "head -c 5M /dev/urandom > /root/x; tar -C /root -czf /srv/budi/x.tgz x; rm /root/x",
        )
        on(HOST, "timeout 15 cat /srv/budi/x.tgz >/dev/null 2>&1; test $? -ne 124")
        on(HOST, EICAR + BAD)
        assert refused(BAD)
        assert on(HOST, "antivirus ready && echo ready") == "ready"
    finally:
        on(HOST, f"umount -l {room}; rm -f /srv/budi/x.*")


def test_a_wrong_clock_is_no_fresh_signature() -> None:
    """What was fetched tomorrow was fetched by a wrong clock: nobody knows how old it is."""
    on(HOST, "touch -d '+2 days' /var/lib/tameng-antivirus/updated")
    try:
        assert "a clock was wrong" in verdict("antivirus_signatures_fresh")
    finally:
        on(HOST, "touch /var/lib/tameng-antivirus/updated")
    assert verdict("antivirus_signatures_fresh").startswith("pass")


def test_little_memory_means_a_scan_at_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Debian 12: nothing is looked at when opened, and the audit says why; the scan starts the
    engine, puts away what it finds, and lets the engine go."""
    monkeypatch.setenv("TAMENG_LAB_LITTLE_MEMORY", "yes")
    try:
        apply(OLD_HOST)
        said = verdict("antivirus_on_access", OLD_HOST)
        assert said.startswith(f"{State.NOT_APPLICABLE}: "), said
        assert "it is scanned at night only" in said
        on(OLD_HOST, f"{EICAR} /srv/night; cat /srv/night >/dev/null")
        on(OLD_HOST, "systemctl start tameng-antivirus-scan.service")
        on(OLD_HOST, "test ! -e /srv/night")
        until(20, lambda: on(OLD_HOST, f"systemctl is-active {UNIT} || true") != "active")
        assert verdict("antivirus_scanned", OLD_HOST).startswith("pass")
        (record,) = json.loads(on(OLD_HOST, "antivirus facts"))["waiting"]
        assert (record["path"], record["by"]) == ("/srv/night", "scan")
        on(OLD_HOST, f"antivirus delete {record['id']} latihan")
    finally:
        monkeypatch.delenv("TAMENG_LAB_LITTLE_MEMORY")
        on(OLD_HOST, "rm -f /srv/night")
        apply(OLD_HOST)
    assert verdict("antivirus_on_access", OLD_HOST).startswith("pass")
