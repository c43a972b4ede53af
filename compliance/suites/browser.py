"""Requests to the web server of this machine, as a browser sends them: sent to the host as it is,
prints what came back. Whose certificate it is doesn't matter here; that is a question of its own.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
from typing import Any

PATIENCE = 15  # seconds
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    """What came back of each path; all are asked for in the same way."""
    return {path: asked(path, wanted) for path in wanted["paths"]}


def asked(path: str, wanted: dict[str, Any]) -> dict[str, Any]:
    browser = http.client.HTTPConnection(wanted["name"])
    try:
        line = socket.create_connection(("127.0.0.1", 443 if wanted["tls"] else 80), PATIENCE)
        if wanted["tls"]:
            careless = ssl._create_unverified_context()  # noqa: S323  # see above
            line = careless.wrap_socket(line, server_hostname=wanted["name"])
        browser.sock = line
        browser.request(wanted["method"], path, wanted["form"] or None, FORM)
        answer = browser.getresponse()
        text = answer.read(1 << 20).decode(errors="replace")
    except (OSError, http.client.HTTPException) as exc:
        return {"status": 0, "headers": {}, "text": repr(exc)}
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return {"status": answer.status, "headers": headers, "text": text}


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
