"""Run a playbook and tell a person what happens: one line a step, the rest in a log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?:[\w.-]+ : )?(?P<name>.*)\] \*+$")
OUTPUT = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "PYTHONUNBUFFERED": "1",
}
RESULT = re.compile(r"^(?:fatal|failed): \[.*\].*=> (?P<json>\{.*\})$")
# Ansible checks a role's arguments before each role: a step to it, noise to a person.
QUIET = "Validating arguments"


class Steps:
    """Follows ansible-playbook's output; prints each step, and how long it took."""

    def __init__(self) -> None:
        self.cause = "ansible-playbook said nothing of why"
        self._name = ""
        self._since = 0.0

    def line(self, text: str) -> None:
        """Take one line of output."""
        if match := TASK.match(text):
            self.end()
            self._name = match["name"]
            self._since = time.monotonic()
            if not self._name.startswith(QUIET):
                print(f"  {self._name} … ", end="", flush=True)
        elif text.startswith("PLAY RECAP"):
            self.end()
        elif text.startswith("[ERROR]: "):
            self.cause = text.removeprefix("[ERROR]: ")
        elif match := RESULT.match(text):
            self._explain(json.loads(match["json"]))

    def _explain(self, result: Mapping[str, object]) -> None:
        """What the tool that failed said itself goes before what Ansible says of it."""
        said = str(result.get("stderr") or result.get("msg") or "").strip()
        if said:
            self.cause = said

    def end(self) -> None:
        """The step that runs, if any, is over."""
        if self._name and not self._name.startswith(QUIET):
            print(f"{time.monotonic() - self._since:.1f} s", flush=True)
        self._name = ""


def run_playbook(
    playbook: Path,
    arguments: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    keep_open: Sequence[int] = (),
) -> int:
    """Run ``playbook`` to its end; returns ansible-playbook's exit status.

    Everything it prints goes to ``log``; of a failure the cause is printed too. ``keep_open`` are
    file descriptors that the playbook shares, such as a lock's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *arguments]
    env = {**os.environ, **OUTPUT, **environment}
    steps = Steps()
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=keep_open,
        ) as process,
    ):
        kept.write(f"\n==== {playbook.name} {' '.join(arguments)}\n")
        for line in process.stdout or ():
            kept.write(line)
            kept.flush()
            steps.line(line.rstrip())
    steps.end()
    if process.returncode:
        print(f"tameng: {steps.cause}", file=sys.stderr)
        print(f"tameng: everything it said is in {log}", file=sys.stderr)
    return process.returncode
