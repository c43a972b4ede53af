"""What the ``converge`` module does on a host. Needs nothing but Debian's python3 (3.11 or newer)."""
