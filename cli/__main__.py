"""``./tameng VERB …``: find the verb, run it, turn what a person can mend into one message."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from inputs.errors import BadInput

# In the order of --help. Each names a module of this package.
VERBS = ("demo", "test", "lab", "apply", "audit", "report", "verify", "trace")


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples in an epilog as they were written."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tameng",
        description="Configure a court's machines, prove every month that they are as they "
        "should be, and write the SOP's documents from the proof.",
        formatter_class=Help,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    words = sys.argv[1:] if argv is None else argv
    # A verb that is named needs no other verb's modules: some take a second to load.
    for name in [word for word in words[:1] if word in VERBS] or VERBS:
        import_module(f"cli.{name}").add(verbs)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except BadInput as exc:
        for complaint in exc.complaints:
            print(f"tameng: {complaint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tameng: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
