"""``./tameng VERB …``: find the verb, run it, turn what a person can mend into one message."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

from cli.footing import STATE
from inputs.errors import BadInput

# In the order of --help. Each names a module of this package.
VERBS = ("demo", "test", "lab", "apply", "rollback", "audit", "record", "report", "verify", "trace")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tameng",
        description="Configure a court's machines, prove every month that they are as they "
        "should be, and write the SOP's documents from the proof.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    words = sys.argv[1:] if argv is None else argv
    # A verb that is named needs no other verb's modules: some take a second to load.
    for name in [word for word in words[:1] if word in VERBS] or VERBS:
        import_module(f"cli.{name}").add(verbs)
    args = parser.parse_args(argv)
    _find_lab()
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BadInput as exc:
        for complaint in exc.complaints:
            print(f"tameng: {complaint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tameng: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _find_lab() -> None:
    """All labs share one inventory: TAMENG_LAB names one, which says itself where it stands."""
    subnet = STATE / (os.environ.get("TAMENG_LAB") or "lab") / "subnet"
    if subnet.is_file():
        os.environ.setdefault("TAMENG_LAB_SUBNET", subnet.read_text().strip())


if __name__ == "__main__":
    sys.exit(main())
