"""What the mirror of virus signatures gives to one who believes the court's own authority alone:
sent to the mirror as it is, prints its answers.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from pathlib import Path
from typing import Any

PATIENCE = 15  # seconds
AUTHORITY = "/etc/tameng/antivirus_mirror/authority.crt"
SIGNATURES = Path("/var/lib/clamav")
KINDS = (".cvd", ".cld", ".hdb", ".hsb", ".ldb", ".ndb", ".yara")
# A list of all, the test's own signature, what people released here, and what is none of its files.
OTHERS = ("/", "/tameng.hsb", "/tameng-released.sfp", "/freshclam.dat", "/../../../etc/passwd")


def main(address: str, port: int) -> dict[str, Any]:
    """{files: {name: [status, whether the length is the file's]}, others: {path: status}, ends:
    when its certificate does, in seconds since 1970, trouble}."""
    told: dict[str, Any] = {"trouble": "", "files": {}, "others": {}}
    trust = ssl.create_default_context(cafile=AUTHORITY)
    mirror = http.client.HTTPSConnection(address, port, timeout=PATIENCE, context=trust)

    def head(path: str) -> tuple[int, str | None]:
        mirror.request("HEAD", path)
        answer = mirror.getresponse()
        answer.read()
        return answer.status, answer.getheader("Content-Length")

    try:
        mirror.connect()
        shown: dict[str, Any] = mirror.sock.getpeercert() or {}
        told["ends"] = ssl.cert_time_to_seconds(shown["notAfter"])
        for file in sorted(SIGNATURES.iterdir()):
            if file.suffix in KINDS and not file.name.startswith("tameng"):
                status, length = head(f"/{file.name}")
                told["files"][file.name] = [status, length == str(file.stat().st_size)]
        told["others"] = {path: head(path)[0] for path in OTHERS}
    except (OSError, http.client.HTTPException) as problem:
        told["trouble"] = str(problem)
    return told


if __name__ == "__main__":
    json.dump(main(sys.argv[1], int(sys.argv[2])), sys.stdout)
