"""``tameng rollback``: machines as they were before a run."""

from __future__ import annotations

import argparse
import json
import sys

from cli.apply import playbook
from cli.options import Verbs, add_inventory, add_verb
from inputs import paths
from inputs.errors import BadInput

_EXAMPLES = """\
examples:
  tameng rollback                                          which runs there are
  tameng rollback 20261122T193142.459Z-apply-8b54 --check  what it would undo
  tameng rollback 20261122T193142.459Z-apply-8b54 --limit app
  tameng rollback 20261122T193142.459Z-apply-8b54 --roles ssh_server,firewall

Packages that a run installed or purged stay so. Afterwards inventory and machine differ: the next
`tameng apply` makes the change again, unless the inventory says otherwise.
"""
SHOWN = 15


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "rollback",
        help="machines as they were before a run of apply",
        description="Undo, on each host, what a run of apply and all later ones changed in its "
        "configuration and services.",
        examples=_EXAMPLES,
    )
    add_inventory(parser)
    parser.add_argument("before", nargs="?", metavar="RUN", help="the run's id; none lists them")
    parser.add_argument("--limit", metavar="HOSTS", help="an Ansible pattern: app, servers, ...")
    parser.add_argument("--roles", metavar="ROLE[,ROLE]", help="only what these roles changed")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would be")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when every host went back, 1 when one didn't."""
    folder = paths.inventory(args.inventory)
    kept = paths.var(paths.court_id(folder)) / "runs"
    runs = sorted(at.name for at in kept.glob("*-apply-*"))
    if not args.before:
        print("\n".join(runs[-SHOWN:]) or "no run of apply is on record")
        return 0
    if args.before not in runs:
        what = f"no run {args.before}; the newest are {', '.join(runs[-3:]) or 'none'}"
        raise BadInput.at(kept, 0, what)
    wanted = {"rollback_before": args.before}
    wanted |= {"rollback_roles": args.roles.split(",")} if args.roles else {}
    words = ["-e", json.dumps(wanted)]
    words += [f"--limit={args.limit}"] if args.limit else []
    words += ["--check"] if args.check else []
    if playbook("rollback.yml", folder, words):
        print("tameng: not every host went back: see the failed task above", file=sys.stderr)
        return 1
    print(f"next: tameng audit -i {args.inventory}")
    return 0
