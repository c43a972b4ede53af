"""Tameng, role warnings: early warning from the journals of all hosts.

warnings watch      look into the journals for ever, and send what must be known (the service)
warnings list       the last thirty days' warnings
warnings waiting    letters that have not gone out, until when they wait, and why
warnings test       have a test warning go all the way: journal, book, notifier
warnings facts      all that an audit asks, as JSON
"""

import json
import os
import sqlite3
import sys
import time
from pathlib import Path

import journals
import sending
from book import HOME, Book
from events import recognise

SETTINGS = Path("/etc/tameng/warnings.json")
BOOK = HOME / "book.sqlite"
PAUSE = 5
NOTED = 30  # so often is it written down that nothing came: each time costs the disk a write
DAY = 86400


def watch():
    settings = json.loads(SETTINGS.read_text())
    addresses = json.loads(Path(os.environ["CREDENTIALS_DIRECTORY"], "addresses").read_text())
    book = opened(settings, addresses)
    pruned, noted = time.time(), 0.0
    while True:
        began = time.time()
        for host in settings["hosts"]:
            look(book, host, settings)
        for notifier, address in addresses.items():
            post(book, notifier, address, settings["court"])
        if began > noted + NOTED:
            book.note("looked", str(began))
            noted = began
        if began > pruned + DAY:
            book.prune(settings["retention_days"])
            pruned = began
        if test_is_due(book, settings, began):
            test()
        time.sleep(max(0, began + PAUSE - time.time()))


def opened(settings, addresses):
    """The book; a ruined one is put aside, as warning matters more than what was."""
    quiet = settings["quiet"]
    words = {
        "notifiers": addresses,
        "due": lambda grade, at: sending.quiet_until(quiet, grade, at),
        "repeat": 3600 * settings["repeat_hours"],
    }
    kept = json.dumps({**settings, "notifiers": sorted(addresses)})
    try:
        book = Book(BOOK, **words)
        book.open(settings["retention_days"], kept)
    except sqlite3.DatabaseError as problem:
        if isinstance(problem, sqlite3.OperationalError):
            raise  # locked, or the disk is full: not the book's fault
        aside = BOOK.with_suffix(".ruined")
        BOOK.replace(aside)
        print(f"the book is ruined ({problem}); it lies in {aside}", file=sys.stderr)
        book = Book(BOOK, **words)
        book.open(settings["retention_days"], kept)
    return book


def look(book, host, settings):
    """Read on in one host's journal."""
    names = journals.files(host, own=host == settings["own"])
    if not names:
        return
    cursor, before = book.cursor(host)
    try:
        found, heard = journals.look(names, cursor, time.time())
    except OSError as problem:  # a file was just dropped, or is damaged: the others are read
        print(f"{host}: not read: {problem}", file=sys.stderr)
        return
    if found or (heard or 0) > before + NOTED:
        events = [recognise(entry, at, host, settings["zones"]) for entry, at, _ in found]
        book.take(host, filter(None, events), found[-1][2] if found else cursor, heard)


def post(book, notifier, address, court):
    """One letter for all that is due."""
    due = book.outgoing(notifier)
    if due:
        trouble = sending.send(address, *sending.letter(court, due))
        letters = [row["letter"] for row in due]
        if trouble:
            print(f"{notifier}: not sent: {trouble}", file=sys.stderr)
            book.failed(letters, trouble)
        else:
            book.sent(letters)


def test_is_due(book, settings, now):
    """Each day after its hour; on the first day at once. One that got lost is begun anew after an
    hour."""
    last = book.test()
    begun = float(book.fact("test_begun") or 0)
    hour = sending.clock(time.localtime(now), settings["test_at"])
    missed = not last or (last["begun"] < hour <= now)
    if missed and begun < now - 3600:
        book.note("test_begun", str(now))
        return True
    return False


def test():
    """Says something in the journal, as any program would; from there on it goes its way."""
    journals.say(f"uji {time.strftime('%d-%m-%Y %H:%M:%S')}")


def facts(book):
    return {
        "now": time.time(),
        "looked": float(book.fact("looked") or 0),
        "settings": json.loads(book.fact("settings") or "{}"),
        "heard": {row["host"]: row["heard"] for row in book.rows("SELECT host, heard FROM hosts")},
        "waiting": [dict(row) for row in book.waiting()],
        "test": book.test(),
        "month": book.month(),
    }


def main(verb="", *rest):
    if rest or verb not in ("watch", "list", "waiting", "test", "facts"):
        sys.exit(__doc__)
    if verb == "watch":
        watch()
    elif verb == "test":
        test()
    else:
        book = Book(f"file:{BOOK}?mode=ro")
        if verb == "facts":
            print(json.dumps(facts(book)))
        elif verb == "list":
            for row in book.listed(time.time() - 30 * DAY):
                print(sending.paragraph(row), end="\n\n")
        else:
            for row in book.waiting():
                made, due = (
                    time.strftime("%d-%m-%Y %H:%M:%S", time.localtime(row[when]))
                    for when in ("made", "due")
                )
                what = f"{row['grade']} {row['kind']} {row['subject']} -> {row['notifier']}"
                print(f"{made} {what}: not before {due}{row['trouble'] and ': ' + row['trouble']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
