"""Tameng, role warnings: what in a journal is an event, and which events make a warning."""

import ipaddress
import json
import re
from dataclasses import dataclass

TEST = "tameng-warnings-test"  # what a test calls itself in the journal
UNIT = "tameng-warnings.service"
# What is read of a journal: what these call themselves, and (below) who they really are.
WEBSITE = "tameng-website"
ANTIVIRUS = "tameng-antivirus"
BACKUP = "tameng-backup"
SENDERS = [
    *("sshd", "sshd-session", "sudo", "ulogd", "kernel", "suricata", "fail2ban"),
    *(WEBSITE, ANTIVIRUS, BACKUP, TEST),
]
GRADES = ["rendah", "sedang", "tinggi", "uji"]  # a test is told at any hour


@dataclass(frozen=True)
class Event:
    at: float
    host: str
    kind: str
    source: str  # an address, a host for what it does to itself, or user@host
    target: str = ""
    zone: str = ""


@dataclass(frozen=True)
class Rule:
    """So many events of these kinds within so many minutes, alike in ``by``, are one warning."""

    kind: str
    events: tuple
    at_least: int
    minutes: int
    grade: str
    by: tuple = ("source",)
    distinct: bool = False  # counted are targets, not events


REFUSED = ("crossing_refused", "host_refused")
# What the detection's own rules call what they see; a rule of others has no such word, but a
# severity.
SEEN = {
    "scan_seen",
    "sweep_seen",
    "guesses_seen",
    "tunnel_seen",
    "lateral_seen",
    "flood_seen",
    "router_seen",
}
DETECTION = "tameng-detection.service"
FINDERS = {"tameng-antivirus-quarantine.service", "tameng-antivirus-scan.service"}
# Who is shut out may have had fewer tries than are warned of. By jail; at the gateway's others the
# detection has told already.
BANNED = {"sshd": "login_banned", "tameng-website": "web_login_banned"}
# The backup server says what is wrong with whose archives; a client's own word is none.
KEEPERS = {f"tameng-{unit}.service" for unit in ("backup-watch", "backup-verify", "second-copy")}
SAVES = "tameng-backup.service"  # of itself a client is believed bad news
GRAVE = 1
RULES = [
    Rule("login_refused", ("login_refused",), 5, 10, "sedang"),
    Rule("login_refused", ("login_banned",), 1, 10, "sedang"),
    Rule("web_login_refused", ("web_login_refused",), 5, 10, "sedang"),
    Rule("web_login_refused", ("web_login_banned",), 1, 10, "sedang"),
    Rule("login_guessed", ("login_guessed",), 1, 10, "tinggi"),
    Rule("sudo_refused", ("sudo_refused",), 1, 10, "sedang"),
    Rule("scan", REFUSED, 10, 10, "sedang", distinct=True),
    Rule("scan", ("scan_seen",), 1, 10, "sedang"),
    Rule("sweep", ("sweep_seen",), 1, 10, "sedang"),
    Rule("guessing", ("guesses_seen",), 1, 10, "sedang"),
    Rule("tunnel", ("tunnel_seen",), 1, 10, "sedang"),
    Rule("lateral", ("lateral_seen",), 1, 10, "tinggi"),
    Rule("flood", ("flood_seen",), 1, 10, "tinggi", by=("target",)),
    Rule("router", ("router_seen",), 1, 10, "tinggi"),
    Rule("malware", ("malware_found",), 1, 10, "tinggi", by=("source", "target")),
    Rule("malware_left", ("malware_left",), 1, 10, "tinggi", by=("source", "target")),
    Rule("intrusion", ("grave_seen",), 1, 10, "tinggi"),
    Rule("oddity", ("odd_seen",), 5, 60, "rendah"),
    Rule("insistence", REFUSED, 30, 60, "rendah", by=("source", "target")),
    Rule("spoofed", ("spoofed",), 3, 10, "tinggi", by=("zone",)),
    Rule("crowded", ("crowded",), 5, 10, "sedang"),
    Rule("archives", ("archives_vanished",), 1, 10, "tinggi"),
    Rule("archives_changed", ("archives_changed",), 1, 10, "tinggi"),
    Rule("backup", ("backup_failed",), 1, 10, "sedang"),
    Rule("backup", ("run_failed",), 3, 60, "sedang"),
    Rule("test", ("test",), 1, 1, "uji", by=("target",)),
]
# Who gets in from an address that was refused so often in the last hour may have guessed.
GUESSES, GUESSING = 5, 3600

# The one line with which sshd lets go of who didn't get in.
LET_GO = re.compile(
    r"(?:Connection (?:closed|reset) by|Disconnected from|Disconnecting)"
    r" (?:authenticating|invalid) user (?P<user>.*) (?P<source>\S+) port \d+"
)
LET_IN = re.compile(r"Accepted \S+ for (?P<user>\S+) from (?P<source>\S+) port \d+")
WRONG_AT_WEBSITE = re.compile(r"wrong log-in from (?P<source>\S+)")
BAN = re.compile(r"\[(?P<jail>[^]]+)\] Ban (?P<source>\S+)")
NO_SUDO = re.compile(
    r"\s*(?P<user>\S+) : (?:\d+ incorrect password attempts?|a password is required"
    r"|no tty|user NOT (?:in sudoers|authorized on host)|command not allowed) ;"
)
OF_CLIENT = re.compile(r"(?P<client>[a-z0-9-]+): (?P<what>.+)")
# What the rules of the gateway and of each host note: tameng guest>servers: IN=guest … SRC=…
PACKET = re.compile(
    r"tameng (?P<word>[^:]+): +IN=\S*.* SRC=(?P<source>\S+) DST=(?P<address>\S+)"
    r".* PROTO=(?P<protocol>\S+)(?:.* DPT=(?P<port>\d+))?"
)


def recognise(entry, at, host, zones):
    """The event that an entry of a host's journal tells, or None."""
    name, said = entry.get("SYSLOG_IDENTIFIER"), str(entry.get("MESSAGE"))
    if name in ("sshd", "sshd-session") and entry.get("_UID") == 0:
        for kind, line in (("login_refused", LET_GO), ("login", LET_IN)):
            if found := line.match(said):
                source, user = found["source"], f"{found['user']}@{host}"
                if ipaddress.ip_address(source).is_loopback:
                    return Event(at, host, kind, host, user)
                return Event(at, host, kind, source, user, zone_of(source, zones))
    elif name == WEBSITE and entry.get("_SYSTEMD_UNIT") == "apache2.service":
        if found := WRONG_AT_WEBSITE.fullmatch(said):
            source = found["source"]
            if ipaddress.ip_address(source).is_loopback:
                return Event(at, host, "web_login_refused", host, host)
            return Event(at, host, "web_login_refused", source, host, zone_of(source, zones))
    elif name == "fail2ban" and entry.get("_SYSTEMD_UNIT") == "fail2ban.service":
        if found := BAN.fullmatch(said):
            source, kind = found["source"], BANNED.get(found["jail"], "zone_banned")
            return Event(at, host, kind, source, found["jail"], zone_of(source, zones))
    elif name == "sudo":
        if found := NO_SUDO.match(said):
            return Event(at, host, "sudo_refused", f"{found['user']}@{host}")
    elif entry.get("_SYSTEMD_UNIT") == DETECTION:
        return alert(said, at, host, zones)
    elif name == ANTIVIRUS and entry.get("_SYSTEMD_UNIT") in FINDERS:
        return finding(said, at, host)
    elif entry.get("_SYSTEMD_UNIT") in KEEPERS:
        if name == BACKUP and (found := OF_CLIENT.fullmatch(said)):
            odd = {"archives changed": "archives_changed", "archives": "archives_vanished"}
            kinds = (kind for word, kind in odd.items() if found["what"].startswith(word))
            return Event(at, host, next(kinds, "backup_failed"), found["client"])
    elif entry.get("_SYSTEMD_UNIT") == SAVES:
        if name == BACKUP and said.startswith(f"{host}: the run failed"):
            return Event(at, host, "run_failed", host)
    elif name == TEST and (entry.get("_UID") == 0 or entry.get("_SYSTEMD_UNIT") == UNIT):
        return Event(at, host, "test", host, said)
    elif entry.get("_TRANSPORT") == "kernel" or entry.get("_SYSTEMD_UNIT") == "ulogd2.service":
        return packet(said, at, host, zones)
    return None


def packet(said, at, host, zones):
    """A packet that was refused."""
    found = PACKET.match(said)
    if not found:
        return None
    word, source = found["word"], found["source"]
    service = "/".join(filter(None, [found["protocol"].lower(), found["port"]]))
    target = f"{found['address']} {service}"
    if word.startswith("spoofed in "):
        return Event(at, host, "spoofed", source, target, word.removeprefix("spoofed in "))
    kind = {"busy": "crowded", "drop": "host_refused"}.get(word, "crossing_refused")
    return Event(at, host, kind, source, target, zone_of(source, zones))


def alert(said, at, host, zones):
    """What Suricata has seen; not its own daily test, and nothing of what it says of itself."""
    try:
        seen = json.loads(said)
    except ValueError:
        return None
    rule = seen["alert"]
    if words := rule.get("metadata", {}).get("tameng"):
        kind = words[0]
        if kind not in SEEN:
            return None
    else:
        kind = "grave_seen" if rule["severity"] <= GRAVE else "odd_seen"
    source, address = (ipaddress.ip_address(seen[end]) for end in ("src_ip", "dest_ip"))
    port = seen.get("dest_port")
    service = seen["proto"].lower() + (f"/{port}" if port else "")
    target = str(address) if kind == "flood_seen" else f"{address} {service}"
    if source.is_link_local:  # the same on each link
        return Event(at, host, kind, f"{source}%{seen['in_iface']}", target)
    return Event(at, host, kind, str(source), target, zone_of(source, zones))


def finding(said, at, host):
    """A malicious file: whose it was, and what it is. An audit's own test warns nobody."""
    try:
        found = json.loads(said)["antivirus"]
    except (ValueError, KeyError, TypeError):
        return None
    kind = "malware_left" if found["left"] else "malware_found"
    kind = "malware_test" if found["test"] else kind
    return Event(at, host, kind, f"{found['owner']}@{host}", found["found"])


def zone_of(address, zones):
    """The zone that an address lies in; wan is whatever no other one is."""
    one = ipaddress.ip_address(address)
    for zone, networks in zones.items():
        if any(one in ipaddress.ip_network(network) for network in networks):
            return zone
    return "wan"
