"""``tameng apply``: make the machines as the inventory says."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from cli.options import Verbs, add_inventory, add_verb
from inputs import paths

_EXAMPLES = """\
examples:
  tameng apply                             the lab, every role
  tameng apply --check                     show what would change, change nothing
  tameng apply -i penajam --limit servers  one group of a court
  tameng apply --tags firewall --limit app one role on one host
  tameng apply -i penajam -- --ask-vault-pass
                                           what follows -- goes to ansible-playbook

`ansible-playbook -i inventory/COURT/hosts.yml playbooks/site.yml` does the same.
"""


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "apply",
        help="make the machines as the inventory says",
        description="Run playbooks/site.yml. What could cut you off is undone by the host itself "
        "unless a new log-in works afterwards. The run is recorded as evidence.",
        examples=_EXAMPLES,
    )
    add_inventory(parser)
    parser.add_argument("--limit", metavar="HOSTS", help="an Ansible pattern: app, servers, ...")
    parser.add_argument("--tags", metavar="ROLE[,ROLE]", action="append", help="only these roles")
    parser.add_argument("--check", action="store_true", help="change nothing, show differences")
    parser.add_argument("more", nargs="*", metavar="-- ...", help="for ansible-playbook")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """ansible-playbook's own output is the progress; its exit 0 stays 0, anything else is 1."""
    words = [f"--limit={args.limit}"] if args.limit else []
    words += [f"--tags={roles}" for roles in args.tags or []]
    words += ["--check", "--diff"] if args.check else []
    if playbook("site.yml", paths.inventory(args.inventory), [*words, *args.more]):
        print("tameng: not everything was applied: see the failed task above", file=sys.stderr)
        return 1
    print(f"next: tameng audit -i {args.inventory}")
    return 0


def playbook(name: str, folder: Path, words: list[str]) -> int:
    """Run a playbook on an inventory, with ansible-playbook's own output; returns its exit."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(folder / "hosts.yml"), f"playbooks/{name}", *words]
    return subprocess.run(command, cwd=paths.ROOT, check=False).returncode
