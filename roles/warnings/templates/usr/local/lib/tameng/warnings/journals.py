"""Tameng, role warnings: what is new in each host's journal, from where the last look ended."""

from pathlib import Path

from events import SENDERS
from systemd import journal

OWN = Path("/var/log/journal") / Path("/etc/machine-id").read_text().strip()
REMOTE = Path("/var/log/journal/remote")
FIRST_LOOK = 3600  # seconds back, where no look has ended yet


def files(host, own):
    """The journal's files. A host's name is that of the file, which its certificate proved."""
    if own:
        return sorted(map(str, OWN.glob("*.journal")))
    return sorted(map(str, [*REMOTE.glob(f"{host}.journal"), *REMOTE.glob(f"{host}@*.journal")]))


def look(names, cursor, now):
    """Entries of those we listen to, each with its time and cursor, and when anything last came.

    A journal for each host is read by itself: what a host sends late lies before what others sent
    meanwhile, and one cursor for all would pass it by."""
    with journal.Reader(files=names) as reader:
        for name in SENDERS:
            reader.add_match(SYSLOG_IDENTIFIER=name)
        if cursor:
            reader.seek_cursor(cursor)
        else:
            reader.seek_realtime(now - FIRST_LOOK)
        found = []
        while entry := reader.get_next():
            if entry["__CURSOR"] != cursor:
                found.append((entry, entry["__REALTIME_TIMESTAMP"].timestamp(), entry["__CURSOR"]))
        reader.flush_matches()
        reader.seek_tail()
        last = reader.get_previous()
        return found, last["__REALTIME_TIMESTAMP"].timestamp() if last else None
