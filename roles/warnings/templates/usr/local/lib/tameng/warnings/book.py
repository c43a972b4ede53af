"""Tameng, role warnings: the book of events, warnings and letters, and what it can tell.

Events are many; a warning is one for all that is alike; a letter carries a warning to a notifier.
Times are seconds since 1970, days and weeks those of the machine's time zone.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from events import GUESSES, GUESSING, RULES

HOME = Path("/var/lib/tameng-warnings")
SHAPE = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at REAL, host TEXT, kind TEXT, source TEXT, target TEXT, zone TEXT);
CREATE INDEX IF NOT EXISTS alike ON events (source, kind, at);
CREATE INDEX IF NOT EXISTS age ON events (at);
CREATE TABLE IF NOT EXISTS warnings (
    id INTEGER PRIMARY KEY, kind TEXT, subject TEXT, zone TEXT, grade TEXT, hosts TEXT,
    opened REAL, last REAL, count INTEGER, told REAL);
CREATE INDEX IF NOT EXISTS open ON warnings (kind, subject, last);
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY, warning INTEGER, notifier TEXT, made REAL, due REAL,
    tries INTEGER DEFAULT 0, sent REAL, trouble TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, cursor TEXT, heard REAL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""
LONGEST_WAIT = 1800
MOST_LISTED = 200


class Book:
    """``notifiers`` are the names of those whom a warning is sent to, ``due`` says when one of a
    grade may go out, ``repeat`` after how many seconds one that goes on is told again."""

    def __init__(self, path, notifiers=(), due=None, repeat=21600, clock=time.time):
        self.notifiers, self.repeat, self.clock = list(notifiers), repeat, clock
        self.due = due or (lambda _, at: at)
        self.db = sqlite3.connect(path, uri=True, isolation_level=None)
        self.db.row_factory = sqlite3.Row

    def rows(self, query, *values):
        with closing(self.db.execute(query, values)) as cursor:
            return cursor.fetchall()

    # --- what comes in ---

    def cursor(self, host):
        """Where the last look into a host's journal ended, and the time of its last entry."""
        found = self.rows("SELECT cursor, heard FROM hosts WHERE host = ?", host)
        return (found[0]["cursor"], found[0]["heard"] or 0) if found else (None, 0)

    def take(self, host, events, cursor, heard):
        """What one look brought, whole or not at all."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for event in events:
                self.enter(event)
            self.db.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?)", (host, cursor, heard))

    def enter(self, event):
        self.db.execute(
            "INSERT INTO events (at, host, kind, source, target, zone) VALUES (?, ?, ?, ?, ?, ?)",
            (event.at, event.host, event.kind, event.source, event.target, event.zone),
        )
        for rule in RULES:
            if event.kind in rule.events:
                self.weigh(rule, event)
        if event.kind == "login":
            refused = self.rows(
                "SELECT id FROM events WHERE kind = 'login_refused' AND source = ?"
                " AND at BETWEEN ? AND ?",
                event.source, event.at - GUESSING, event.at,
            )  # fmt: skip
            if len(refused) >= GUESSES:
                self.enter(replace(event, kind="login_guessed"))

    def weigh(self, rule, event):
        """One event more: of a warning that is open, or perhaps enough of them for a new one."""
        values = [getattr(event, field) for field in rule.by]
        known = self.rows(
            "SELECT * FROM warnings WHERE kind = ? AND subject = ? AND last > ?"
            " ORDER BY id DESC LIMIT 1",
            rule.kind, " ".join(values), event.at - self.repeat,
        )  # fmt: skip
        if known:
            hosts = " ".join(sorted({*known[0]["hosts"].split(), event.host}))
            self.db.execute(
                "UPDATE warnings SET count = count + 1, last = max(last, ?), hosts = ?"
                " WHERE id = ?",
                (event.at, hosts, known[0]["id"]),
            )
            if self.clock() > known[0]["told"] + self.repeat:
                self.tell(known[0]["id"], rule.grade)
            return
        alike = " AND ".join(f"{field} = ?" for field in rule.by)
        recent = self.rows(
            f"SELECT at, host, target FROM events WHERE kind IN ({marks(rule.events)})"  # noqa: S608 - our own columns
            f" AND {alike} AND at > ? AND at <= ? ORDER BY at",
            *rule.events, *values, event.at - 60 * rule.minutes, event.at,
        )  # fmt: skip
        if len({row["target"] for row in recent} if rule.distinct else recent) < rule.at_least:
            return
        hosts = " ".join(sorted({row["host"] for row in recent}))
        entered = self.db.execute(
            "INSERT INTO warnings (kind, subject, zone, grade, hosts, opened, last, count)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (rule.kind, " ".join(values), event.zone, rule.grade, hosts, recent[0]["at"], event.at,
             len(recent)),
        )  # fmt: skip
        self.tell(entered.lastrowid, rule.grade)

    def tell(self, warning, grade):
        now = self.clock()
        self.db.execute("UPDATE warnings SET told = ? WHERE id = ?", (now, warning))
        self.db.executemany(
            "INSERT INTO letters (warning, notifier, made, due) VALUES (?, ?, ?, ?)",
            [(warning, notifier, now, self.due(grade, now)) for notifier in self.notifiers],
        )

    # --- what goes out ---

    def open(self, keep_days, settings):
        """At the start: who is no notifier any more gets nothing, who was out of reach is tried
        at once."""
        self.db.executescript(SHAPE)
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for row in self.rows("SELECT id, notifier FROM letters WHERE sent IS NULL"):
                if row["notifier"] not in self.notifiers:
                    self.db.execute("DELETE FROM letters WHERE id = ?", (row["id"],))
            self.db.execute(
                "UPDATE letters SET due = ? WHERE sent IS NULL AND tries > 0", (self.clock(),)
            )
            self.note("settings", settings)
            self.prune(keep_days)

    def prune(self, keep_days):
        before = (self.clock() - 86400 * keep_days,)
        self.db.execute("DELETE FROM events WHERE at < ?", before)
        self.db.execute("DELETE FROM letters WHERE made < ?", before)
        self.db.execute("DELETE FROM warnings WHERE last < ?", before)

    def note(self, name, value):
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def fact(self, name):
        found = self.rows("SELECT value FROM facts WHERE name = ?", name)
        return found[0][0] if found else None

    def outgoing(self, notifier):
        return self.rows(
            "SELECT letters.id AS letter, warnings.* FROM letters"
            " JOIN warnings ON warnings.id = letters.warning"
            " WHERE notifier = ? AND sent IS NULL AND due <= ? ORDER BY letters.id LIMIT 50",
            notifier, self.clock(),
        )  # fmt: skip

    def sent(self, letters):
        self.db.executemany(
            "UPDATE letters SET sent = ?, trouble = '' WHERE id = ?",
            [(self.clock(), one) for one in letters],
        )

    def failed(self, letters, trouble):
        """Tried again later, and later still."""
        self.db.executemany(
            "UPDATE letters SET due = ? + min(?, 30 << min(tries, 10)), tries = tries + 1,"
            " trouble = ? WHERE id = ?",
            [(self.clock(), LONGEST_WAIT, trouble[:200], one) for one in letters],
        )

    # --- what it tells ---

    def waiting(self):
        return self.rows(
            "SELECT letters.*, kind, subject, grade FROM letters"
            " JOIN warnings ON warnings.id = letters.warning WHERE sent IS NULL ORDER BY made"
        )

    def listed(self, since):
        """Warnings of this time, newest first, without tests."""
        return self.rows(
            "SELECT *, (SELECT min(sent) FROM letters WHERE warning = warnings.id) AS sent"
            " FROM warnings WHERE last >= ? AND grade != 'uji' ORDER BY id DESC",
            since,
        )

    def test(self):
        """The last test: when it was begun, and when each notifier had it."""
        found = self.rows("SELECT * FROM warnings WHERE kind = 'test' ORDER BY id DESC LIMIT 1")
        if not found:
            return None
        letters = self.rows("SELECT * FROM letters WHERE warning = ?", found[0]["id"])
        return {
            "begun": found[0]["opened"],
            "sent": {letter["notifier"]: letter["sent"] for letter in letters},
            "trouble": [letter["trouble"] for letter in letters if letter["trouble"]],
        }

    def month(self):
        """What this month has had so far: events by kind, zone and the week's Monday, where most
        of them came from, and the warnings."""
        first = time.mktime((*time.localtime(self.clock())[:2], 1, 0, 0, 0, 0, 0, -1))
        events = self.rows(
            "SELECT kind, zone, date(at, 'unixepoch', 'localtime', 'weekday 0', '-6 days') AS week,"
            " count(*) AS count FROM events WHERE at >= ? AND kind != 'test'"
            " GROUP BY kind, zone, week ORDER BY kind, zone, week",
            first,
        )
        sources = self.rows(
            "SELECT source, zone, count(*) AS count FROM events"
            " WHERE at >= ? AND kind NOT IN ('test', 'login')"
            " GROUP BY source, zone ORDER BY count DESC, source LIMIT 10",
            first,
        )
        warnings = self.listed(first)
        return {
            "since": first,
            "events": list(map(dict, events)),
            "sources": list(map(dict, sources)),
            "warnings": [{**dict(row), "name": name(row)} for row in warnings[:MOST_LISTED]],
            "warnings_count": len(warnings),
        }


def marks(values):
    """As many question marks."""
    return ", ".join("?" * len(values))


def name(warning):
    """What people call a warning: its day, and its number in the book."""
    return f"{time.strftime('%Y%m%d', time.localtime(warning['opened']))}-{warning['id']}"
