"""What several verbs share on the command line."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_verb(
    verbs: Verbs, name: str, *, help: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A verb whose --help ends with its examples, as they were written."""
    return verbs.add_parser(
        name,
        help=help,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_inventory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        "--inventory",
        metavar="COURT",
        default="lab",
        help="a folder of inventory/ or a path to one (default: lab)",
    )
