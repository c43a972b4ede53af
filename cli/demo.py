"""``tameng demo``: a court on this machine, configured, audited and reported."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from types import ModuleType

from cli import audit, lab, report
from cli.options import Verbs, add_verb
from cli.steps import run_playbook
from inputs import court as courts
from inputs import paths

_EXAMPLES = """\
example:
  sudo ./tameng demo     again and again: what is in place stays as it is

The first time takes some minutes (two Debian trees, six hosts, their packages), later ones less
than two. `sudo ./tameng lab down` removes the hosts; evidence and documents stay under var/.
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "demo",
        help="the whole way on this machine: lab, roles, audit, documents",
        description="Raise the lab, apply every role, audit it, write the month's documents.",
        examples=_EXAMPLES,
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """0 when every control passes; else the exit status of the first step that didn't."""
    began = time.monotonic()
    month = f"{dt.datetime.now(courts.load(paths.inventory('lab')).tz):%Y-%m}"
    print("== 1 of 4: raise the lab", flush=True)
    if status := _verb(lab, "lab", "up"):
        return status
    print("\n== 2 of 4: apply playbooks/site.yml", flush=True)
    if status := _apply():
        return status
    print("\n== 3 of 4: audit", flush=True)
    status = _verb(audit, "audit")
    print("\n== 4 of 4: documents", flush=True)
    written = _verb(report, "report", month)
    print(f"\ndemo: {time.monotonic() - began:.0f} s in all")
    return status or written


def _verb(module: ModuleType, *words: str) -> int:
    """Run another verb as its own command line would."""
    parser = argparse.ArgumentParser(prog="tameng")
    module.add(parser.add_subparsers())
    args = parser.parse_args(words)
    return int(args.run(args))


def _apply() -> int:
    """One line a step instead of Ansible's own output, which goes to a log."""
    folder = paths.inventory("lab")
    log = paths.var(paths.court_id(folder)) / "apply.log"
    options = ["-i", str(folder / "hosts.yml")]
    site = paths.ROOT / "playbooks/site.yml"
    return run_playbook(site, options, log=log, environment={})
