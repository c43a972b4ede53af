"""Options that several verbs share."""

from __future__ import annotations

import argparse


def add_inventory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        "--inventory",
        metavar="COURT",
        default="lab",
        help="a folder of inventory/ or a path to one (default: lab)",
    )
