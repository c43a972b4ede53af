"""The antivirus on real hosts: a person's malicious file from the moment it is opened to the letter
and the decision; and what goes wrong (the engine hangs or is killed, its signatures are ruined, no
room), which leaves nobody waiting for long, and no host unguarded without saying so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.watching import forget, month, on, until

HOST = "pc-1"
UNIT = "tameng-antivirus.service"
# The EICAR test file, put together on the host only.
EICAR = """python3 -c 'import sys
open(sys.argv[1], "w").write("".join(["X5O!P%@AP[4\\\\PZX54(P^)", "7CC)7}$EICAR-STANDARD",
    "-ANTIVIRUS-TEST-FILE!$H+H*"]))' """
BAD, CLEAN = "/srv/budi/surat.doc.exe", "/srv/budi/clean"


def refused(path: str) -> bool:
    return on(HOST, f"timeout 20 cat {path} >/dev/null 2>&1; echo $?") == "1"


def waiting() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(on(HOST, "antivirus facts"))["waiting"]
    return [record for record in found if record["path"].startswith("/srv/budi/")]


def heal() -> None:
    on(HOST, f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")


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
