"""The verbs; thin. Each verb is a module with ``add(subparsers)`` and a function that returns the
exit status."""
