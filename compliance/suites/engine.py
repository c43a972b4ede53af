"""All that an audit asks Suricata, over its own socket: sent to the gateway as it is, prints its
answers. ``suricatasc`` would start Python for each of some thirty questions. Nothing is changed.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import time
from typing import Any

PATIENCE = 10  # seconds


def main(path: str, later: float) -> dict[str, Any]:
    """What the engine tells, ``later`` by some seconds; None is what it can't tell."""
    time.sleep(later)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        line.connect(path)
        said = line.makefile("rw")

        def put(message: dict[str, Any]) -> Any:
            said.write(f"{json.dumps(message)}\n")
            said.flush()
            answer = json.loads(said.readline())
            return answer.get("message", "") if answer["return"] == "OK" else None

        def ask(command: str, **arguments: str) -> Any:
            return put({"command": command, "arguments": arguments})

        def setting(name: str) -> Any:
            return ask("conf-get", variable=name)

        if put({"version": "0.2"}) is None:
            raise OSError("it doesn't speak our version of its protocol")
        interfaces = ask("iface-list")["ifaces"]
        files = (setting(f"rule-files.{number}") for number in itertools.count())
        return {
            "uptime": ask("uptime"),
            "mode": ask("capture-mode"),
            "interfaces": {name: ask("iface-stat", iface=name) for name in interfaces},
            "copies": [setting(f"af-packet.{n}.copy-mode") for n in range(len(interfaces))],
            "rules": ask("ruleset-stats"),
            "rule_files": list(itertools.takewhile(lambda file: file is not None, files)),
            "counters": ask("dump-counters"),
        }


if __name__ == "__main__":
    try:
        json.dump(main(sys.argv[1], float(sys.argv[2])), sys.stdout)
    except (OSError, ValueError, TypeError) as problem:
        sys.exit(f"the engine doesn't answer: {problem}")
