"""``tameng test``: everything that CI runs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from cli.options import Verbs, add_verb
from inputs import paths

_EXAMPLES = """\
examples:
  sudo ./tameng test                    everything, in a lab of its own that is taken down again
  ./tameng test unit                    no root, no network, within a minute
  ./tameng test lint types              two parts
  sudo ./tameng test disasters          hosts that are lost and rebuilt, archives in every trouble
  sudo ./tameng test lab -k sabotage --keep
                                        some of the lab's tests; the lab stays up for the next time
"""
_BIN = Path(sys.executable).parent
_TAMENG = [sys.executable, "-m", "cli"]
_CODE = ["inputs", "compliance", "reports", "cli", "plugins", "tests", "benchmarks"]
_PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]
_SYNTAX = [str(_BIN / "ansible-playbook"), "--syntax-check", "playbooks/site.yml"]
_KERNEL = "tests/lab/test_kernel.py"
# Machines and archives that are lost in every way that we know of.
_DISASTERS = ("tests/lab/test_disasters.py", "tests/lab/test_backup_faults.py")
PARTS: dict[str, list[list[str]]] = {
    "lint": [
        [str(_BIN / "ruff"), "check"],
        [str(_BIN / "ruff"), "format", "--check"],
        [str(_BIN / "yamllint"), "--strict", "."],
        [*_SYNTAX, "-i", "inventory/lab/hosts.yml"],
        [*_SYNTAX, "-i", "inventory/penajam/hosts.yml"],
        [str(_BIN / "ansible-lint"), "--offline", "--profile", "production"],
    ],
    "types": [[str(_BIN / "mypy"), *_CODE]],
    "unit": [[*_PYTEST, "tests/unit", "tests/test_architecture.py"]],
    "lab": [[*_PYTEST, "tests/lab", *(f"--ignore={file}" for file in (_KERNEL, *_DISASTERS))]],
    "disasters": [[*_PYTEST, *_DISASTERS]],
    # Its disk is made of the tree that the lab's hosts stand on.
    "kernel": [[*_TAMENG, "lab", "up", "--limit", "monitor"], [*_PYTEST, _KERNEL]],
}
# They take a quarter of an hour, and more than an hour: asked for by name.
_ALONE = {"disasters", "kernel"}
# Never the lab that somebody may be looking at: tests break hosts.
_LAB = {"TAMENG_LAB": "test", "TAMENG_LAB_SUBNET": "10.216"}


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "test",
        help="lint, types, unit tests, and tests on real hosts",
        description="Run the tests, part by part; the first command that fails ends the run.",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "part",
        nargs="*",
        type=_part,
        help=f"of {', '.join(PARTS)}; without one all but the last two",
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="only the tests that match, as pytest's")
    parser.add_argument("--keep", action="store_true", help="leave the test lab up")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when all that was asked for passed, else 1."""
    for part in args.part or [name for name in PARTS if name not in _ALONE]:
        failed = any(_run(command, args.k) for command in PARTS[part])
        if part in ("lab", *_ALONE) and not args.keep:
            _run([*_TAMENG, "lab", "down"], None)
        if failed:
            print(f"tameng: the part {part} failed, see above", file=sys.stderr)
            return 1
    return 0


def _part(word: str) -> str:
    if word not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no {word}, only {', '.join(PARTS)}")
    return word


def _run(command: list[str], only: str | None) -> int:
    """Run one command with its output as it comes, then say how long it took."""
    if only and "pytest" in command:
        command = [*command, "-k", only]
    shown = " ".join(Path(word).name if word.startswith("/") else word for word in command)
    print(f"== {shown}", flush=True)
    began = time.monotonic()
    environment = {**os.environ, **_LAB, "ANSIBLE_NOCOLOR": "1"}
    status = subprocess.run(command, cwd=paths.ROOT, env=environment, check=False).returncode
    print(f"== {'failed' if status else 'ok'} after {time.monotonic() - began:.0f} s", flush=True)
    return status
