"""What ``converge`` does on a host; needs only Debian's python3 (3.11 or newer)."""
